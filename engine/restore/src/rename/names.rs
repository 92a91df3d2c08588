//! Old and new names of nodes.

use outcome::{Code, Failure, Result};
use serde::Serialize;

use crate::folders::is_node_name;
use crate::swap::Renaming;

/// The new name of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewName {
    /// Its name in the shard maps, for example `couchdb@db1`.
    pub old: String,
    /// The name under which CouchDB starts from now on.
    pub new: String,
}

/// The new names of some nodes of a cluster, and the nodes that do not exist any more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewNames {
    pub(super) names: Vec<NewName>,
    /// Nodes that are removed from the list of the cluster's nodes.
    pub(super) forget: Vec<String>,
}

impl NewNames {
    /// Reads `OLD=NEW` for each node, and the names of nodes to be removed from the list of the cluster's nodes.
    ///
    /// Fails if a name is not a node name, or is given twice.
    pub fn parse(pairs: &[String], forget: &[String]) -> Result<Self> {
        let mut names: Vec<NewName> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let Some((old, new)) = pair.split_once('=') else { return Err(not_a_pair(pair)) };
            names.push(NewName { old: old.to_owned(), new: new.to_owned() });
        }
        let all = names.iter().flat_map(|name| [&name.old, &name.new]).chain(forget);
        let mut seen: Vec<&String> = Vec::new();
        for name in all {
            if !is_node_name(name) {
                return Err(Failure::refused(
                    Code::new("CC-R71"),
                    format!("{name:?} is not the name of a node, and cannot be renamed"),
                    "Give names as NAME@HOST, as after -name in vm.args, for example couchdb@db1=couchdb@db1.example.com.",
                ));
            }
            if seen.contains(&name) {
                return Err(Failure::refused(
                    Code::new("CC-R72"),
                    format!("the node name {name} is given twice"),
                    "Give every node once as OLD=NEW. A new name must not be the old name of another node: use another name, or \
                     rename in two steps.",
                ));
            }
            seen.push(name);
        }
        Ok(Self { forget: forget.to_vec(), names })
    }

    /// The decisions of an interrupted renaming.
    pub(crate) fn of(renaming: &Renaming) -> Self {
        let name = |(old, new): &(String, String)| NewName { old: old.clone(), new: new.clone() };
        Self { names: renaming.names.iter().map(name).collect(), forget: renaming.forget.clone() }
    }

    /// What a journal records.
    pub(super) fn renaming(&self, offline: bool) -> Renaming {
        let names = self.names.iter().map(|name| (name.old.clone(), name.new.clone())).collect();
        Renaming { names, forget: self.forget.clone(), offline }
    }

    /// The name that a node has from now on.
    pub(crate) fn after<'n>(&'n self, name: &'n str) -> &'n str {
        self.names.iter().find(|of| of.old == name).map_or(name, |of| &of.new)
    }

    /// The name that a node had before.
    pub(crate) fn before<'n>(&'n self, name: &'n str) -> &'n str {
        self.names.iter().find(|of| of.new == name).map_or(name, |of| &of.old)
    }

    /// Whether a node with this name gets another name.
    pub(super) fn renames(&self, name: &str) -> bool {
        self.names.iter().any(|of| of.old == name)
    }
}

/// Whether an argument is `OLD=NEW` rather than a node: a node's password or directory may hold `=` and `@`, too.
pub(super) fn is_pair(text: &str) -> bool {
    text.split_once('=').is_some_and(|(old, new)| is_node_name(old) && is_node_name(new))
}

fn not_a_pair(text: &str) -> Failure {
    Failure::refused(
        Code::new("CC-R70"),
        format!("{text:?} is not OLD=NEW"),
        "Give the old and the new name of each node that is renamed, for example couchdb@db1=couchdb@db1.example.com, and then \
         all nodes.",
    )
}

impl NewNames {
    /// Splits arguments into `OLD=NEW`, which come first, and nodes.
    ///
    /// Fails if there is no `OLD=NEW`.
    pub fn split(arguments: &[String]) -> Result<(&[String], &[String])> {
        let count = arguments.iter().take_while(|argument| is_pair(argument)).count();
        match (count, arguments.first()) {
            (0, first) => {
                Err(not_a_pair(first.map_or("", |first| first.split(['@', ':']).next().unwrap_or(""))))
            }
            _ => Ok(arguments.split_at(count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn names_before_and_after() {
        let names = NewNames::parse(&owned(&["a@x=a@y", "b@x=b@y"]), &owned(&["c@x"])).unwrap();
        assert_eq!((names.after("a@x"), names.after("z@x"), names.before("b@y")), ("a@y", "z@x", "b@x"));
        assert!(names.renames("a@x") && !names.renames("a@y"));
        assert_eq!(NewNames::of(&names.renaming(false)), names);
    }

    #[test]
    fn what_is_not_two_names_is_refused() {
        for (pairs, code) in [
            (&["a@x"][..], "CC-R70"),
            (&["a@x=b"], "CC-R71"),
            (&["a@x=b@y z"], "CC-R71"),
            (&["a@x=a@x"], "CC-R72"),
            (&["a@x=b@x", "b@x=c@x"], "CC-R72"),
            (&["a@x=c@x", "b@x=c@x"], "CC-R72"),
        ] {
            assert_eq!(
                NewNames::parse(&owned(pairs), &[]).unwrap_err().code().to_string(),
                code,
                "{pairs:?}"
            );
        }
        assert!(NewNames::parse(&owned(&["a@x=b@x"]), &owned(&["b@x"])).is_err());
    }

    #[test]
    fn pairs_come_before_nodes() {
        let arguments = owned(&["a@x=a@y", "b@x=b@y", "admin:p=q@db1:5984,/data", "db2,/d=e,a@y"]);
        let (pairs, nodes) = NewNames::split(&arguments).unwrap();
        assert_eq!((pairs.len(), nodes.len()), (2, 2));
        let refused = NewNames::split(&owned(&["admin:secret@db1,/data"])).unwrap_err();
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}

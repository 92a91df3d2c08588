//! What a restore is asked to do, read from its arguments.

use std::ffi::OsStr;

use outcome::{Code, Failure, Result};
use restore::folders::Target;
use store::Location;

use super::Restore;
use crate::flags::repository::usual_backup;
use crate::node_argument;

/// One of the six kinds of restore, with the arguments that it takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RestoreRequest<'r> {
    /// Write data directories of nodes that are not running.
    Offline { archive: Location, targets: Vec<Target> },
    /// Restore single databases into a running cluster, through one of its nodes.
    Databases { archive: Location, nodes: &'r [String] },
    /// Bring one node of a running cluster back.
    OneNode { name: &'r str, archive: Location, nodes: &'r [String] },
    /// Restore the data that an earlier restore has replaced.
    RollBack { nodes: &'r [String] },
    /// Finish an interrupted restore of this archive, or of the archive that the nodes have recorded.
    Resume { archive: Option<Location>, nodes: &'r [String] },
    /// Replace the data of running nodes.
    Replace { archive: Location, nodes: &'r [String] },
}

impl<'r> RestoreRequest<'r> {
    /// Reads the arguments. What they leave out may come from the configuration file, if there is one.
    pub(super) fn parse(command: &'r Restore, has_configuration: bool) -> Result<Self> {
        let (mode, words) = (&command.mode, command.arguments.as_slice());
        let first = words.split_first();
        if mode.offline {
            return Self::offline(first);
        }
        if !command.databases.db.is_empty() {
            let has_cluster = command.access.cluster.is_some() || has_configuration;
            return Self::databases(first, has_cluster, has_configuration);
        }
        if mode.roll_back || mode.resume {
            // The archive may be omitted. A node is not the path of a file.
            let (archive, nodes) =
                match first.map(|(archive, rest)| (Location::parse(OsStr::new(archive)), rest)) {
                    Some((Ok(Location::Path(path)), rest)) if path.is_file() => {
                        (Some(Location::Path(path)), rest)
                    }
                    Some((Ok(Location::Object(object)), rest)) => (Some(Location::Object(object)), rest),
                    _ => (None, words),
                };
            return Ok(if mode.roll_back {
                Self::RollBack { nodes }
            } else {
                Self::Resume { archive, nodes }
            });
        }
        let (archive, nodes) = first.ok_or_else(|| no_archive("Name the archive, then the nodes."))?;
        let archive = Location::parse(OsStr::new(archive))?;
        Ok(match &mode.node {
            Some(name) => Self::OneNode { name, archive, nodes },
            None => Self::Replace { archive, nodes },
        })
    }

    fn offline(first: Option<(&'r String, &'r [String])>) -> Result<Self> {
        let Some((archive, targets)) = first.filter(|(_, targets)| !targets.is_empty()) else {
            return Err(Failure::refused(
                Code::new("CC-X06"),
                "an archive and at least one target are required",
                "For example: couchcopy restore --offline backup.tar.gz /opt/couchdb/data,couchdb@127.0.0.1",
            ));
        };
        let targets = targets.iter().map(|text| node_argument::target(text)).collect::<Result<_>>()?;
        Ok(Self::Offline { archive: Location::parse(OsStr::new(archive))?, targets })
    }

    fn databases(
        first: Option<(&'r String, &'r [String])>,
        has_cluster: bool,
        has_configuration: bool,
    ) -> Result<Self> {
        let (archive, nodes) = match first {
            None if has_configuration => return Ok(Self::Databases { archive: usual_backup(), nodes: &[] }),
            first => first.ok_or_else(|| no_archive("Name the archive, then one node."))?,
        };
        if nodes.len() > 1 || nodes.is_empty() && !has_cluster {
            return Err(Failure::refused(
                Code::new("CC-X11"),
                format!("--db takes one node, but {} are named", nodes.len()),
                "Name the archive, then any one node of the cluster, which knows the other nodes. For example: couchcopy restore \
                 --db shop backup.tar.gz admin:password@localhost:5984",
            ));
        }
        Ok(Self::Databases { archive: Location::parse(OsStr::new(archive))?, nodes })
    }
}

fn no_archive(remedy: &str) -> Failure {
    Failure::refused(Code::new("CC-X05"), "no archive is named", remedy)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::{Args, FromArgMatches};

    use super::*;

    fn restore(words: &[&str]) -> Restore {
        let command = Restore::augment_args(clap::Command::new("restore").no_binary_name(true));
        Restore::from_arg_matches(&command.get_matches_from(words)).unwrap()
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_kind_of_restore_follows_from_the_options() {
        let (archive, nodes) = (Location::Path("a.tar.gz".into()), owned(&["n1", "n2"]));
        let command = restore(&["a.tar.gz", "n1", "n2"]);
        let parsed = RestoreRequest::parse(&command, false).unwrap();
        assert_eq!(parsed, RestoreRequest::Replace { archive: archive.clone(), nodes: &nodes });
        let command = restore(&["--db", "shop", "a.tar.gz", "n1"]);
        let parsed = RestoreRequest::parse(&command, false).unwrap();
        assert_eq!(parsed, RestoreRequest::Databases { archive: archive.clone(), nodes: &nodes[..1] });
        let command = restore(&["--offline", "a.tar.gz", "/d,couchdb@a"]);
        let targets = vec![Target { folder: PathBuf::from("/d"), node: "couchdb@a".into() }];
        assert_eq!(
            RestoreRequest::parse(&command, false).unwrap(),
            RestoreRequest::Offline { archive, targets }
        );
        let command = restore(&["--roll-back", "n1", "n2"]);
        assert_eq!(
            RestoreRequest::parse(&command, false).unwrap(),
            RestoreRequest::RollBack { nodes: &nodes }
        );
    }

    #[test]
    fn a_file_before_the_nodes_is_the_archive_to_resume() {
        let nodes = owned(&["n1", "n2"]);
        let command = restore(&["--resume", "n1", "n2"]);
        let parsed = RestoreRequest::parse(&command, false).unwrap();
        assert_eq!(parsed, RestoreRequest::Resume { archive: None, nodes: &nodes });
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let command = restore(&["--resume", file, "n1", "n2"]);
        let parsed = RestoreRequest::parse(&command, false).unwrap();
        assert_eq!(
            parsed,
            RestoreRequest::Resume { archive: Some(Location::Path(file.into())), nodes: &nodes }
        );
    }

    #[test]
    fn missing_arguments_are_refused() {
        for (words, problem) in [
            (&[][..], "no archive is named"),
            (&["--db", "shop"], "no archive is named"),
            (&["--db", "shop", "a.tar.gz"], "--db takes one node"),
            (&["--db", "shop", "a.tar.gz", "n1", "n2"], "--db takes one node"),
            (&["--offline"], "at least one target"),
            (&["--offline", "a.tar.gz"], "at least one target"),
        ] {
            let error = RestoreRequest::parse(&restore(words), false).unwrap_err().to_string();
            assert!(error.contains(problem), "{words:?}: {error}");
        }
        let command = restore(&["--db", "shop", "--cluster", "prod.toml", "a.tar.gz"]);
        assert!(RestoreRequest::parse(&command, false).is_ok());
        let command = restore(&["--db", "shop"]);
        let parsed = RestoreRequest::parse(&command, true).unwrap();
        assert_eq!(parsed, RestoreRequest::Databases { archive: usual_backup(), nodes: &[] });
        // What replaces all data is named.
        assert!(RestoreRequest::parse(&restore(&[]), true).is_err());
    }
}

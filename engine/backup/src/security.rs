//! Which security object a database has if its shards differ.
//!
//! CouchDB keeps the object in every shard and answers from any of them. Its own rule for repairs (`mem3_sync_security.erl`,
//! `is_ok/2`) takes, of two objects, the one of a simple majority of all shards; anything else needs a person. A backup then
//! takes the more restrictive object, so that nothing becomes readable.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use contents::{SecurityChoice, SecurityTerm};
use couchfile::database::Database;
use couchfile::read_at::ReadAt;
use outcome::report::{Notice, Reporter, Severity};
use serde_json::Value;

/// The security objects of shards, counted by database.
#[derive(Default, Clone)]
pub(super) struct Securities(Arc<Mutex<Counts>>);

/// The distinct objects, undecoded: most databases have the same few objects.
#[derive(Default)]
struct Counts {
    numbers: HashMap<SecurityTerm, u32>,
    /// The numbers of the objects by database, and the number of shards that have each.
    databases: HashMap<Box<str>, Vec<(u32, u64)>>,
}

/// Security objects, `null` for CouchDB's default, and the number of shards that have each.
type Counted = Vec<(Value, u64)>;

impl Securities {
    /// Counts the object of an open shard. An object that cannot be read is ignored: that is damage, which is reported elsewhere.
    pub(super) fn note_of<R: ReadAt>(&self, db: &str, shard: &Database<R>) {
        if let Some(term) = SecurityTerm::of(shard) {
            self.note(db, term);
        }
    }

    /// Counts the object of a shard.
    pub(super) fn note(&self, db: &str, term: SecurityTerm) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Counts { numbers, databases } = &mut *counts;
        let next = numbers.len() as u32;
        let number = *numbers.entry(term).or_insert(next);
        match databases.get_mut(db) {
            Some(found) => match found.iter_mut().find(|(known, _)| *known == number) {
                Some((_, count)) => *count += 1,
                None => found.push((number, 1)),
            },
            None => {
                databases.insert(db.into(), vec![(number, 1)]);
            }
        }
    }

    /// The databases whose shards differ.
    pub(super) fn disagreeing(self) -> BTreeMap<String, SecurityChoice> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut terms: Vec<(u32, SecurityTerm)> =
            counts.numbers.into_iter().map(|(term, number)| (number, term)).collect();
        terms.sort_unstable_by_key(|(number, _)| *number);
        let several = counts.databases.into_iter().filter(|(_, found)| found.len() > 1);
        several
            .filter_map(|(db, found)| {
                let objects = decoded(&terms, found);
                (objects.len() > 1).then(|| (db.into_string(), choose(objects)))
            })
            .collect()
    }
}

/// The objects of terms. Terms of the same object are counted together, terms that hold no object are left out.
fn decoded(terms: &[(u32, SecurityTerm)], found: Vec<(u32, u64)>) -> Counted {
    let mut counted: Counted = Vec::new();
    for (number, count) in found {
        let Some(object) = terms.get(number as usize).and_then(|(_, term)| term.object()) else { continue };
        match counted.iter_mut().find(|(known, _)| *known == object) {
            Some((_, known)) => *known += count,
            None => counted.push((object, count)),
        }
    }
    counted
}

fn choose(mut counted: Counted) -> SecurityChoice {
    let shards: u64 = counted.iter().map(|(_, count)| count).sum();
    counted.sort_by_key(|(object, count)| (std::cmp::Reverse(*count), closedness(object)));
    let most = counted.first().filter(|(_, count)| counted.len() == 2 && *count > shards / 2);
    let majority = most.is_some();
    let closed = || counted.iter().max_by_key(|(object, _)| closedness(object));
    let object = most.or_else(closed).map(|(object, _)| object.clone()).unwrap_or_default();
    SecurityChoice { object, majority, found: counted }
}

/// How restrictive a security object is: larger is more restrictive. Without members everybody may read; without an object only
/// admins.
fn closedness(object: &Value) -> (u8, i64, String) {
    if object.is_null() {
        return (3, 0, String::new());
    }
    let list = |kind: &str, who: &str| -> Vec<String> {
        let list = object[kind][who].as_array().into_iter().flatten();
        list.filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    };
    let (names, roles) = (list("members", "names"), list("members", "roles"));
    let text = object.to_string();
    let class = match (names.is_empty(), roles.as_slice()) {
        (true, []) => 0,
        (true, [role]) if role == "_admin" => 2,
        _ => 1,
    };
    let admins = list("admins", "names").len() + list("admins", "roles").len();
    (class, -((names.len() + roles.len() + admins) as i64), text)
}

/// Reports databases whose shards differ.
pub(super) fn tell(disagreeing: &BTreeMap<String, SecurityChoice>, reporter: &dyn Reporter) {
    for (db, choice) in disagreeing {
        let found: Vec<String> =
            choice.found.iter().map(|(object, count)| format!("{object} in {count} shards")).collect();
        let why = if choice.majority { "most shards have it" } else { "it is the most restrictive one" };
        let text = format!(
            "the shards of {db} have different security objects: {}. The archive holds {}, because {why}. To make them equal in \
             the cluster, PUT the right object to /{db}/_security.",
            found.join("; "),
            choice.object
        );
        reporter.notice(&Notice { severity: Severity::Warning, text });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_simple_majority_of_two_objects_counts() {
        let open = json!({});
        let closed = json!({"members": {"names": ["a"], "roles": []}});
        let chosen = choose(vec![(open.clone(), 2), (closed.clone(), 1)]);
        assert_eq!((chosen.object, chosen.majority), (json!({}), true));
        let chosen = choose(vec![(open, 1), (closed.clone(), 1)]);
        assert_eq!((chosen.object, chosen.majority), (closed, false));
    }

    #[test]
    fn in_doubt_the_more_closed_one_counts() {
        let member = json!({"members": {"names": ["a"]}});
        let admins = json!({"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}});
        let chosen = choose(vec![(json!({}), 5), (member.clone(), 1), (admins.clone(), 1)]);
        assert_eq!((chosen.object, chosen.majority), (admins, false));
        let chosen = choose(vec![(json!({}), 1), (member, 1), (Value::Null, 1)]);
        assert_eq!(chosen.object, Value::Null);
        let two = json!({"members": {"names": ["a", "b"]}});
        let one = json!({"members": {"names": ["a"]}});
        assert_eq!(choose(vec![(two, 1), (one.clone(), 1)]).object, one);
    }
}

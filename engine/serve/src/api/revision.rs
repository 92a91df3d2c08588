//! Revisions as clients name them, and where they are in a document's tree.
//!
//! Sources: `couch_doc.erl` (`parse_rev/1`), `couch_key_tree.erl`, `fabric_doc_open_revs.erl`.

use std::collections::BTreeSet;
use std::fmt;

use couchfile::revtree::{RevId, RevTree, Revision};
use serde_json::Value;

use crate::http::HttpError;

/// A revision as a client names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rev {
    /// The number before the dash.
    pub(super) generation: u64,
    /// What is behind it, decoded where it is 32 hexadecimal digits.
    pub(super) id: Vec<u8>,
}

/// Revisions that were requested: those that exist, and those that do not.
pub(super) struct Opened<'t> {
    /// With a body.
    pub(super) found: Vec<Revision<'t>>,
    /// Not known, or without body.
    pub(super) missing: Vec<Rev>,
}

impl Rev {
    /// Reads a revision.
    pub(super) fn parse(text: &str) -> Result<Self, HttpError> {
        let bad = || HttpError::bad_request("Invalid rev format");
        let (generation, id) = text.split_once('-').ok_or_else(bad)?;
        let generation = generation.parse().map_err(|_| bad())?;
        let id = if id.len() == 32 { hex::decode(id).map_err(|_| bad())? } else { id.as_bytes().to_vec() };
        Ok(Self { generation, id })
    }

    /// Reads a JSON list of revisions.
    pub(super) fn parse_list(value: &Value) -> Result<Vec<Self>, HttpError> {
        let items = value.as_array().ok_or_else(|| HttpError::bad_request("Invalid list of revisions"))?;
        items.iter().map(Self::from_json).collect()
    }

    /// Reads a JSON value.
    pub(super) fn from_json(value: &Value) -> Result<Self, HttpError> {
        Self::parse(value.as_str().ok_or_else(|| HttpError::bad_request("Invalid rev format"))?)
    }

    /// Whether that is this revision.
    pub(super) fn is(&self, revision: &Revision<'_>) -> bool {
        self.generation == revision.generation && self.id == revision.id.0
    }

    fn of(revision: &Revision<'_>) -> Self {
        Self { generation: revision.generation, id: revision.id.0.to_vec() }
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.generation, RevId(&self.id))
    }
}

/// Looks revisions up; all leaves if `wanted` is `None`. With `latest` it is the leaves that came of them.
pub(super) fn open<'t>(tree: &RevTree<'t>, wanted: Option<&[Rev]>, latest: bool) -> Opened<'t> {
    let all = tree.revisions();
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    let mut missing = BTreeSet::new();
    match wanted {
        None => chosen.extend(leaves(all)),
        Some(wanted) => {
            for rev in wanted {
                match all.iter().position(|revision| rev.is(revision)) {
                    None => {
                        missing.insert(rev.clone());
                    }
                    Some(at) if latest => chosen.extend(leaves(all).filter(|&leaf| comes_of(all, leaf, at))),
                    Some(at) => {
                        chosen.insert(at);
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    for revision in chosen.into_iter().filter_map(|at| all.get(at)) {
        if revision.stored.is_some() {
            found.push(*revision);
        } else {
            missing.insert(Rev::of(revision));
        }
    }
    found.sort_by_key(|revision| (revision.generation, revision.id));
    Opened { found, missing: missing.into_iter().collect() }
}

/// Those of these revisions that a document does not know, in order.
pub(super) fn unknown(tree: &RevTree<'_>, revs: &[Rev]) -> Vec<Rev> {
    let known = |rev: &&Rev| tree.revisions().iter().any(|revision| rev.is(revision));
    let unknown: BTreeSet<&Rev> = revs.iter().filter(|rev| !known(rev)).collect();
    unknown.into_iter().cloned().collect()
}

fn leaves<'r>(all: &'r [Revision<'_>]) -> impl Iterator<Item = usize> + 'r {
    all.iter().enumerate().filter(|(_, revision)| revision.children == 0).map(|(at, _)| at)
}

/// Whether a revision is another one, or came of it.
fn comes_of(all: &[Revision<'_>], leaf: usize, of: usize) -> bool {
    // A parent stands before its children.
    std::iter::successors(Some(leaf), |&at| all.get(at).and_then(|revision| revision.parent))
        .any(|at| at == of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions() {
        let rev = Rev::parse("3-dc10ddf179e6ea44862c1ce3603a9330").unwrap();
        assert_eq!((rev.generation, rev.id.len()), (3, 16));
        assert_eq!(rev.to_string(), "3-dc10ddf179e6ea44862c1ce3603a9330");
        assert_eq!(Rev::parse("1-AbC").unwrap().to_string(), "1-AbC");
        for bad in ["", "3", "x-1", "-1", "3-zc10ddf179e6ea44862c1ce3603a9330"] {
            assert_eq!(Rev::parse(bad).unwrap_err().reason, "Invalid rev format", "{bad}");
        }
        assert_eq!(Rev::parse_list(&serde_json::json!({})).unwrap_err().reason, "Invalid list of revisions");
    }
}

//! Decides what is left of a document.
//!
//! Nodes of trees carry no checksum, so what a node says counts only if something else confirms it:
//!
//! - An **id** belongs to an entry if both the id tree and the sequence tree say so, in two places of a file or in two copies.
//! - A **body** belongs to a revision if its chunk has the right checksum and CouchDB's hash of it is the revision's id; or if two
//!   copies have the same body for it at different places.
//! - An **attachment** belongs to a body if it has the length and the MD5 that the body's summary records.
//!
//! A node that is found by searching may be the content of an attachment that only looks like a node, see [`Found::framed`]. Such
//! nodes count only for a body that lies where they say, with the right checksum and the right hash: a file that is attached to a
//! document has none there, because its pointers count from its own beginning. Content that somebody made for this purpose can
//! have one; [`Judge::strict`] is for those who have to expect that.

mod bodies;
mod known;
mod leaves;
mod witnesses;

use std::collections::{HashMap, HashSet};

use couchfile::btree::{Entry, Key};
use couchfile::document::DocInfo;
use couchfile::revtree::RevTree;

use crate::copy::{Purged, ScannedCopy};
use crate::evidence::Bodies;
use crate::found::{By, Found};
use crate::kept::Kept;
use crate::report::Grade;

/// So many older revisions of a document are tried.
const MAX_OLDER: usize = 64;

/// A revision: generation and id.
pub(crate) type Rev<'a> = (u64, &'a [u8]);

/// What is left of a document.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) grade: Grade,
    /// The proven revisions; the best one first.
    pub(crate) kept: Vec<Kept>,
    /// Revisions with a body that nothing proves.
    pub(crate) unproven: Vec<Kept>,
    pub(crate) newest: bool,
    /// The winning revision, if its body is lost.
    pub(crate) lost_rev: Option<String>,
    pub(crate) lost_conflicts: u64,
}

/// An entry that is understood.
struct Known<'a> {
    found: &'a Found,
    tree: RevTree<'a>,
    live: bool,
    /// Whether the other tree of the same copy has the document at the same sequence, and enough is known of the two nodes.
    paired: bool,
    /// The same, whatever is known of the nodes.
    paired_somewhere: bool,
}

/// Judges documents by the entries of all copies.
pub(crate) struct Judge<'c> {
    pub(crate) copies: &'c [ScannedCopy],
    pub(crate) purged: &'c Purged,
    /// Whether a document with this id can lie in the shard.
    pub(crate) belongs: &'c dyn Fn(&[u8]) -> bool,
    /// Whether one of two nodes must be framed, whatever else they prove.
    pub(crate) strict: bool,
}

impl Judge<'_> {
    /// Judges one document. `None` if it belongs to an earlier state and was purged since.
    pub(crate) fn judge(&self, entries: &[Found]) -> Option<Verdict> {
        let first = entries.first()?;
        let mut known = self.understand(entries);
        if known.is_empty() {
            return Some(Verdict::without_body(Grade::IdOnly));
        }
        choose_live(&mut known);
        if !known.iter().any(|known| known.live) && !entries.iter().any(|found| found.by == By::Key) {
            return None;
        }
        let case = Case {
            bodies: Bodies::new(self.copies),
            copies: self.copies,
            known,
            purged: self.purged.get(&first.id),
            belongs: (self.belongs)(&first.id),
            strict: self.strict,
        };
        case.verdict()
    }

    fn understand<'a>(&self, entries: &'a [Found]) -> Vec<Known<'a>> {
        let mut known: Vec<Known<'a>> = entries
            .iter()
            .filter_map(|found| {
                let copy = self.copies.get(usize::from(found.copy))?;
                let value = found.value.as_slice();
                let info = match found.by {
                    By::Id => DocInfo::from_id_tree(&Entry { key: Key::Bytes(&found.id), value }),
                    By::Seq => DocInfo::from_seq_tree(&Entry { key: Key::Seq(found.seq), value }),
                    By::Key => return None,
                };
                let tree = info.ok()?.revisions?;
                Some(Known {
                    found,
                    tree,
                    live: copy.may_be_newest(found),
                    paired: false,
                    paired_somewhere: false,
                })
            })
            .collect();
        let place = |found: &Found| (found.copy, found.seq);
        let mut pairs: HashMap<(u16, u64), [(bool, bool); 2]> = HashMap::new();
        for Known { found, .. } in &known {
            let pair = &mut pairs.entry(place(found)).or_default()[usize::from(found.by == By::Seq)];
            *pair = (true, pair.1 | found.framed);
        }
        for known in &mut known {
            let pair = pairs.get(&place(known.found)).copied().unwrap_or_default();
            known.paired_somewhere = pair[0].0 && pair[1].0;
            known.paired = known.paired_somewhere && (pair[0].1 || pair[1].1);
        }
        known
    }
}

/// Of entries that no intact tree shows, only the newest that is confirmed can be the document's last state, and what is newer still.
fn choose_live(known: &mut [Known<'_>]) {
    let mut newest: HashMap<u16, u64> = HashMap::new();
    for known in known.iter().filter(|known| known.live && (known.paired_somewhere || known.found.current)) {
        let seq = newest.entry(known.found.copy).or_default();
        *seq = (*seq).max(known.found.seq);
    }
    for known in known.iter_mut().filter(|known| !known.found.current) {
        if newest.get(&known.found.copy).is_some_and(|&newest| known.found.seq < newest) {
            known.live = false;
        }
    }
}

/// A document that is being judged.
struct Case<'a> {
    bodies: Bodies<'a>,
    copies: &'a [ScannedCopy],
    known: Vec<Known<'a>>,
    purged: Option<&'a HashSet<(u64, Vec<u8>)>>,
    belongs: bool,
    strict: bool,
}

/// What is known of a leaf.
struct Leaf<'a> {
    rev: Rev<'a>,
    deleted: bool,
    /// Whether the revision exists without doubt.
    real: bool,
    body: Body,
}

enum Body {
    Proven(Kept),
    Unproven(Kept),
    Lost,
}

impl Verdict {
    fn without_body(grade: Grade) -> Self {
        let (kept, unproven) = (Vec::new(), Vec::new());
        Self { grade, kept, unproven, newest: false, lost_rev: None, lost_conflicts: 0 }
    }
}

fn rev_text(rev: Rev<'_>) -> String {
    format!("{}-{}", rev.0, couchfile::revtree::RevId(rev.1))
}

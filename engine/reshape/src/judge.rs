//! Asks a filter what becomes of the leaves of a document.

use couchfile::document::{DocInfo, JsonOptions, leaf_json};
use couchfile::ejson::NegativeZero;
use couchfile::revtree::{RevTree, Revision};
use couchfile::writer::Leaf;
use filter::{Before, Filter, FilterError, Glance, Replaced, Session, Verdict};
use outcome::Result;

use crate::run::OldShard;

/// A filter at work on the documents of a database, on one thread.
pub(crate) struct Judge<'j> {
    filter: &'j dyn Filter,
    session: Box<dyn Session + 'j>,
    database: &'j str,
    /// Of the last leaf.
    json: Vec<u8>,
}

impl<'j> Judge<'j> {
    pub(crate) fn new(filter: &'j dyn Filter, database: &'j str) -> Result<Self> {
        let session = filter.session(database).map_err(|e| FilterError::failed(database, e))?;
        Ok(Self { filter, session, database, json: Vec::new() })
    }

    /// What becomes of each leaf of a document, in the order of its revision tree.
    pub(crate) fn leaves(
        &mut self,
        source: &OldShard,
        doc: &DocInfo<'_>,
        tree: &RevTree<'_>,
    ) -> Result<Vec<Leaf>> {
        let id = String::from_utf8_lossy(doc.id);
        tree.leaves().map(|leaf| self.leaf(source, doc, tree, leaf, &id)).collect()
    }

    fn leaf(
        &mut self,
        source: &OldShard,
        doc: &DocInfo<'_>,
        tree: &RevTree<'_>,
        leaf: &Revision<'_>,
        id: &str,
    ) -> Result<Leaf> {
        let deleted = leaf.stored.is_some_and(|stored| stored.deleted);
        let glance = Glance { id, deleted };
        let verdict = match self.filter.at_a_glance(glance) {
            Some(Verdict::Keep) => Verdict::Keep,
            Some(Verdict::LeaveOut) => Verdict::LeaveOut,
            // What takes the place of a body has to be compared with it.
            Some(Verdict::Replace(_)) | None => {
                self.json.clear();
                let options = JsonOptions { zero: NegativeZero::Kept, ..JsonOptions::default() };
                leaf_json(&source.file, doc, tree, leaf, options, &mut self.json)
                    .map_err(|e| contents::unusable(&source.name, e))?;
                let judged = self.session.judge(glance, &self.json);
                judged.map_err(|e| FilterError::failed(self.database, e))?
            }
        };
        Ok(match verdict {
            Verdict::Keep => Leaf::Keep,
            Verdict::LeaveOut => Leaf::LeaveOut,
            Verdict::Replace(text) => {
                let rev = leaf.to_string();
                let before = Before { id, rev: &rev, deleted, text: &self.json };
                let changed = Replaced::of(&before, &text).and_then(|replaced| {
                    Ok(Leaf::Replace { term: replaced.term()?, attachments: replaced.attachments().to_vec() })
                });
                changed.map_err(|problem| FilterError::not_the_document(self.database, id, problem))?
            }
        })
    }
}

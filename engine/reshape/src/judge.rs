//! What becomes of the leaves of a document that a filter decides about.

use couchfile::document::{DocInfo, leaf_json};
use couchfile::revtree::{RevTree, Revision};
use couchfile::writer::Leaf;
use filter::{Filter, FilterError, Judged, Judging};
use outcome::Result;

use crate::run::OldShard;

/// A filter at work on the documents of a database, on one thread.
pub(crate) struct Judge<'j> {
    judging: Judging<'j>,
    database: &'j str,
}

impl<'j> Judge<'j> {
    pub(crate) fn new(filter: &'j dyn Filter, database: &'j str) -> Self {
        Self { judging: Judging::new(filter, database), database }
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
        let judged = self.judging.judge(id, leaf, |options, out| {
            leaf_json(&source.file, doc, tree, leaf, options, out)
                .map_err(|e| contents::unusable(&source.name, e))
        })?;
        Ok(match judged {
            Judged::Kept => Leaf::Keep,
            Judged::LeftOut => Leaf::LeaveOut,
            Judged::Replaced(replaced) => {
                let wrong = |problem| FilterError::not_the_document(self.database, id, problem);
                let term = replaced.term().map_err(wrong)?;
                Leaf::Replace { term, attachments: replaced.attachments().to_vec() }
            }
        })
    }
}

//! Asks a filter about leaf revisions, and compares what it gives back with them.

use couchfile::document::JsonOptions;
use couchfile::ejson::NegativeZero;
use couchfile::revtree::Revision;
use outcome::Result;

use crate::{Before, Filter, FilterError, Glance, Replaced, Session, Verdict};

/// What is restored of a leaf revision.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// The revision as it is.
    Kept,
    /// The revision with this content.
    Replaced(Replaced),
    /// Nothing.
    LeftOut,
}

/// A filter at work on the documents of one database, on one thread.
pub struct Judging<'f> {
    filter: &'f dyn Filter,
    database: String,
    /// Begun with the first revision whose body decides.
    session: Option<Box<dyn Session + 'f>>,
    /// The last revision that was given to the filter.
    json: Vec<u8>,
}

impl<'f> Judging<'f> {
    /// For documents of this database of the backup.
    pub fn new(filter: &'f dyn Filter, database: &str) -> Self {
        Self { filter, database: database.to_owned(), session: None, json: Vec::new() }
    }

    /// What is restored of a leaf revision of the document `id`. `body` appends the revision as JSON text, with these options; it is
    /// only called if the filter needs the body.
    ///
    /// Fails if `body` fails, if the filter fails, or if it gives back what cannot be this document.
    pub fn judge(
        &mut self,
        id: &str,
        leaf: &Revision<'_>,
        body: impl FnOnce(JsonOptions<'static>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<Judged> {
        let deleted = leaf.stored.is_some_and(|stored| stored.deleted);
        let revision = Glance { id, deleted };
        match self.filter.at_a_glance(revision) {
            Some(Verdict::Keep) => return Ok(Judged::Kept),
            Some(Verdict::LeaveOut) => return Ok(Judged::LeftOut),
            // What takes the place of a body has to be compared with it.
            Some(Verdict::Replace(_)) | None => {}
        }
        let failed = |e| FilterError::failed(&self.database, e);
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.filter.session(&self.database).map_err(failed)?),
        };
        self.json.clear();
        body(JsonOptions { zero: NegativeZero::Kept, ..JsonOptions::default() }, &mut self.json)?;
        match session.judge(revision, &self.json).map_err(failed)? {
            Verdict::Keep => Ok(Judged::Kept),
            Verdict::LeaveOut => Ok(Judged::LeftOut),
            Verdict::Replace(text) => {
                let rev = leaf.to_string();
                let before = Before { id, rev: &rev, deleted, text: &self.json };
                let replaced = Replaced::of(&before, &text);
                let wrong = |problem| FilterError::not_the_document(&self.database, id, problem);
                Ok(Judged::Replaced(replaced.map_err(wrong)?))
            }
        }
    }
}

//! Documents of a database one after the other.

use couchfile::btree::Cursor;
use couchfile::database::Database;

use crate::database::SnapshotDatabase;
use crate::document::Document;
use crate::error::Result;
use crate::lanes::Lanes;
use crate::open::AnySource;

/// The documents of a walk over the ids, deleted ones too, each with the number of its shard. Ends after the first error.
pub struct InOrder<'d> {
    database: &'d SnapshotDatabase,
    files: Vec<&'d Database<AnySource>>,
    /// `None` at the end.
    lanes: Option<Lanes<'d>>,
}

impl<'d> InOrder<'d> {
    pub(crate) fn new(
        database: &'d SnapshotDatabase,
        files: Vec<&'d Database<AnySource>>,
        lanes: Lanes<'d>,
    ) -> Self {
        Self { database, files, lanes: Some(lanes) }
    }
}

impl<'d> Iterator for InOrder<'d> {
    type Item = Result<(usize, Document<'d>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match self.lanes.as_mut()?.next() {
            Ok(Some(entry)) => Document::from_id_tree(self.files[entry.lane], &entry.key, entry.value)
                .map(|document| (entry.lane, document))
                .map_err(|e| (entry.lane, e)),
            Ok(None) => {
                self.lanes = None;
                return None;
            }
            Err(failed) => Err(failed),
        };
        if found.is_err() {
            self.lanes = None;
        }
        Some(found.map_err(|(number, e)| self.database.damaged(number, e)))
    }
}

/// The changes of one shard. Ends after the first error.
pub struct ShardChanges<'d> {
    database: &'d SnapshotDatabase,
    number: usize,
    file: &'d Database<AnySource>,
    cursor: Option<Cursor<'d, AnySource>>,
}

impl<'d> ShardChanges<'d> {
    pub(crate) fn new(
        database: &'d SnapshotDatabase,
        number: usize,
        file: &'d Database<AnySource>,
        cursor: Cursor<'d, AnySource>,
    ) -> Self {
        Self { database, number, file, cursor: Some(cursor) }
    }
}

impl<'d> Iterator for ShardChanges<'d> {
    type Item = Result<Document<'d>>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match self.cursor.as_mut()?.next_entry() {
            Ok(Some(entry)) => Document::from_seq_tree(self.file, entry.key, entry.value.to_vec()),
            Ok(None) => {
                self.cursor = None;
                return None;
            }
            Err(e) => Err(e),
        };
        if found.is_err() {
            self.cursor = None;
        }
        Some(found.map_err(|e| self.database.damaged(self.number, e)))
    }
}

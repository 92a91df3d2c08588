//! Documents of a database one after the other.

use std::collections::VecDeque;

use contents::AnySource;
use couchfile::btree::Cursor;
use couchfile::database::Database;

use crate::database::SnapshotDatabase;
use crate::document::Document;
use crate::error::{Error, Result};
use crate::lanes::Lanes;

/// The documents of a walk over the ids, deleted ones too, each with the number of its shard. Ends after the first error, unless
/// it goes around damage: then every damage is an [`Error::Database`] or [`Error::Lost`] among the documents.
pub struct InOrder<'d> {
    database: &'d SnapshotDatabase,
    /// `None` at the end.
    lanes: Option<Lanes<'d>>,
    /// Damage that is still to be told; `None` where the first one ends the walk.
    damage: Option<VecDeque<Error>>,
}

impl<'d> InOrder<'d> {
    pub(crate) fn new(database: &'d SnapshotDatabase, lanes: Lanes<'d>) -> Self {
        Self { database, lanes: Some(lanes), damage: None }
    }

    /// One that goes around damage; `damage` is what is known of it already.
    pub(crate) fn around_damage(
        database: &'d SnapshotDatabase,
        lanes: Lanes<'d>,
        damage: VecDeque<Error>,
    ) -> Self {
        Self { database, lanes: Some(lanes), damage: Some(damage) }
    }

    fn step(&mut self) -> Option<Result<(usize, Document<'d>)>> {
        let found = match self.lanes.as_mut()?.next() {
            Ok(Some(entry)) => {
                let number = entry.lane;
                let document = self.database.file(number).and_then(|file| {
                    Document::from_id_tree(file, &entry.key, entry.value)
                        .map_err(|e| self.database.damaged(number, e))
                });
                if document.is_err() && self.damage.is_some() {
                    return Some(document.map(|document| (number, document)));
                }
                document.map(|document| (number, document))
            }
            Ok(None) => {
                self.note_faults();
                self.lanes = None;
                return None;
            }
            Err((number, e)) => Err(self.database.damaged(number, e)),
        };
        if found.is_err() {
            self.lanes = None;
        }
        Some(found)
    }

    fn note_faults(&mut self) {
        if let (Some(damage), Some(lanes)) = (&mut self.damage, &mut self.lanes) {
            let faults = lanes.take_faults().into_iter();
            damage.extend(faults.map(|(number, fault)| self.database.lost(number, "documents", fault)));
        }
    }
}

impl<'d> Iterator for InOrder<'d> {
    type Item = Result<(usize, Document<'d>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.note_faults();
        if let Some(error) = self.damage.as_mut().and_then(VecDeque::pop_front) {
            return Some(Err(error));
        }
        match self.step() {
            // Of the last nodes nobody has heard yet.
            None => self.damage.as_mut().and_then(VecDeque::pop_front).map(Err),
            found => found,
        }
    }
}

/// The changes of one shard. Ends after the first error, unless it goes around damage as [`InOrder`] does.
pub struct ShardChanges<'d> {
    database: &'d SnapshotDatabase,
    number: usize,
    file: &'d Database<AnySource>,
    cursor: Option<Cursor<'d, AnySource>>,
    /// As in [`InOrder`].
    damage: Option<VecDeque<Error>>,
}

impl<'d> ShardChanges<'d> {
    pub(crate) fn new(
        database: &'d SnapshotDatabase,
        number: usize,
        file: &'d Database<AnySource>,
        cursor: Cursor<'d, AnySource>,
        around_damage: bool,
    ) -> Self {
        let damage = around_damage.then(VecDeque::new);
        Self { database, number, file, cursor: Some(cursor), damage }
    }

    fn note_faults(&mut self) {
        if let (Some(damage), Some(cursor)) = (&mut self.damage, &mut self.cursor) {
            let faults = cursor.take_faults().into_iter();
            damage.extend(faults.map(|fault| self.database.lost(self.number, "changes", fault)));
        }
    }

    fn step(&mut self) -> Option<Result<Document<'d>>> {
        let found = match self.cursor.as_mut()?.next_entry() {
            Ok(Some(entry)) => {
                let document = Document::from_seq_tree(self.file, entry.key, entry.value.to_vec());
                if document.is_err() && self.damage.is_some() {
                    return Some(document.map_err(|e| self.database.damaged(self.number, e)));
                }
                document
            }
            Ok(None) => {
                self.note_faults();
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

impl<'d> Iterator for ShardChanges<'d> {
    type Item = Result<Document<'d>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.note_faults();
        if let Some(error) = self.damage.as_mut().and_then(VecDeque::pop_front) {
            return Some(Err(error));
        }
        match self.step() {
            None => self.damage.as_mut().and_then(VecDeque::pop_front).map(Err),
            found => found,
        }
    }
}

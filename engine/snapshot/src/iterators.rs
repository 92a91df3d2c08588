//! Documents of a database one after the other.

use std::collections::VecDeque;

use contents::AnySource;
use couchfile::btree::Cursor;
use couchfile::database::Database;

use crate::database::SnapshotDatabase;
use crate::document::Document;
use crate::error::{Error, Result};
use crate::lanes::Lanes;

/// The documents of a walk over the ids, deleted documents included, each with the number of its shard. Ends after the first
/// error, unless it goes around damage: then every damage is an [`Error::Database`] or [`Error::Lost`] among the documents.
pub struct InOrder<'d>(Steps<IdSource<'d>>);

impl<'d> InOrder<'d> {
    pub(crate) fn new(database: &'d SnapshotDatabase, lanes: Lanes<'d>) -> Self {
        Self(Steps { source: Some(IdSource { database, lanes }), damage: None })
    }

    /// An iterator that goes around damage; `damage` is what is known of it already.
    pub(crate) fn around_damage(
        database: &'d SnapshotDatabase,
        lanes: Lanes<'d>,
        damage: VecDeque<Error>,
    ) -> Self {
        Self(Steps { source: Some(IdSource { database, lanes }), damage: Some(damage) })
    }
}

impl<'d> Iterator for InOrder<'d> {
    type Item = Result<(usize, Document<'d>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// The changes of one shard. Ends after the first error, unless it goes around damage as [`InOrder`] does.
pub struct ShardChanges<'d>(Steps<ChangeSource<'d>>);

impl<'d> ShardChanges<'d> {
    pub(crate) fn new(
        database: &'d SnapshotDatabase,
        number: usize,
        file: &'d Database<AnySource>,
        cursor: Cursor<'d, AnySource>,
        around_damage: bool,
    ) -> Self {
        let source = ChangeSource { database, number, file, cursor };
        Self(Steps { source: Some(source), damage: around_damage.then(VecDeque::new) })
    }
}

impl<'d> Iterator for ShardChanges<'d> {
    type Item = Result<Document<'d>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Where documents come from.
trait Source {
    type Item;

    /// The next document, or why this document cannot be read; an error of the outer result ends the walk.
    fn next(&mut self) -> Result<Option<Result<Self::Item>>>;

    /// The damage that the walk went around since this was last called.
    fn take_faults(&mut self) -> impl Iterator<Item = Error>;
}

/// The documents of a source and the damage among them.
struct Steps<S> {
    /// `None` at the end.
    source: Option<S>,
    /// Damage that is still to be reported; `None` if the first damage ends the walk.
    damage: Option<VecDeque<Error>>,
}

impl<S: Source> Steps<S> {
    fn next(&mut self) -> Option<Result<S::Item>> {
        self.note_faults();
        if let Some(error) = self.next_damage() {
            return Some(Err(error));
        }
        match self.source.as_mut()?.next() {
            Ok(Some(Ok(item))) => Some(Ok(item)),
            Ok(Some(Err(error))) if self.damage.is_some() => Some(Err(error)),
            Ok(Some(Err(error))) | Err(error) => {
                self.source = None;
                Some(Err(error))
            }
            Ok(None) => {
                // The nodes read last may have been damaged.
                self.note_faults();
                self.source = None;
                self.next_damage().map(Err)
            }
        }
    }

    fn note_faults(&mut self) {
        if let (Some(damage), Some(source)) = (&mut self.damage, &mut self.source) {
            damage.extend(source.take_faults());
        }
    }

    fn next_damage(&mut self) -> Option<Error> {
        self.damage.as_mut().and_then(VecDeque::pop_front)
    }
}

/// The trees of ids of all shards, merged.
struct IdSource<'d> {
    database: &'d SnapshotDatabase,
    lanes: Lanes<'d>,
}

impl<'d> Source for IdSource<'d> {
    type Item = (usize, Document<'d>);

    fn next(&mut self) -> Result<Option<Result<Self::Item>>> {
        let found = self.lanes.next().map_err(|(number, e)| self.database.damaged(number, e))?;
        Ok(found.map(|entry| {
            let number = entry.lane;
            let file = self.database.file(number)?;
            let document = Document::from_id_tree(file, &entry.key, entry.value);
            document.map(|document| (number, document)).map_err(|e| self.database.damaged(number, e))
        }))
    }

    fn take_faults(&mut self) -> impl Iterator<Item = Error> {
        let faults = self.lanes.take_faults().into_iter();
        faults.map(|(number, fault)| self.database.lost(number, "documents", fault))
    }
}

/// The tree of update sequences of one shard.
struct ChangeSource<'d> {
    database: &'d SnapshotDatabase,
    number: usize,
    file: &'d Database<AnySource>,
    cursor: Cursor<'d, AnySource>,
}

impl<'d> Source for ChangeSource<'d> {
    type Item = Document<'d>;

    fn next(&mut self) -> Result<Option<Result<Self::Item>>> {
        let damaged = |e| self.database.damaged(self.number, e);
        let found = self.cursor.next_entry().map_err(damaged)?;
        Ok(found.map(|entry| {
            Document::from_seq_tree(self.file, entry.key, entry.value.to_vec()).map_err(damaged)
        }))
    }

    fn take_faults(&mut self) -> impl Iterator<Item = Error> {
        let faults = self.cursor.take_faults().into_iter();
        faults.map(|fault| self.database.lost(self.number, "changes", fault))
    }
}

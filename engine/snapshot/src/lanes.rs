//! Walks the same tree of several files at once, in the order of the keys.

use contents::AnySource;
use couchfile::btree::{BackwardCursor, Cursor, Fault, Key, TreeKind};
use couchfile::database::Database;
use couchfile::error::CouchFileError;

use crate::walk::Walk;

enum Direction<'f> {
    Forth(Cursor<'f, AnySource>),
    Back(BackwardCursor<'f, AnySource>),
}

/// One file's tree and its current entry.
struct Lane<'f> {
    number: usize,
    cursor: Direction<'f>,
    key: Vec<u8>,
    value: Vec<u8>,
    ended: bool,
}

/// The trees of several files. The same key in a second file is skipped: while shards are split, two files hold the same
/// documents.
pub(crate) struct Lanes<'f> {
    files: Vec<Lane<'f>>,
    walk: Walk,
    last: Option<Vec<u8>>,
}

/// An entry of one of the files.
pub(crate) struct LaneEntry {
    /// The file's number.
    pub(crate) lane: usize,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Why a lane ended early: its number and the error.
pub(crate) type LaneError = (usize, CouchFileError);

impl<'f> Lanes<'f> {
    /// A position before the first entry of the walk. `kind` must be a tree whose keys are ids.
    pub(crate) fn new(
        files: impl IntoIterator<Item = &'f Database<AnySource>>,
        kind: TreeKind,
        walk: &Walk,
    ) -> Result<Self, LaneError> {
        let mut lanes = Vec::new();
        for (number, file) in files.into_iter().enumerate() {
            let from = walk.start.as_deref().map(Key::Bytes);
            let cursor = match (walk.descending, from) {
                (true, from) => file.cursor_back(kind, from).map(Direction::Back),
                (false, Some(from)) => file.cursor_from(kind, from).map(Direction::Forth),
                (false, None) => file.cursor(kind).map(Direction::Forth),
            };
            lanes.push(Lane::begin(number, cursor)?);
        }
        Ok(Self { files: lanes, walk: walk.clone(), last: None })
    }

    /// A walk over the files with these numbers that skips damaged nodes: see [`Self::take_faults`].
    pub(crate) fn around_damage(
        files: impl IntoIterator<Item = (usize, &'f Database<AnySource>)>,
        kind: TreeKind,
        walk: &Walk,
    ) -> Result<Self, LaneError> {
        let mut lanes = Vec::new();
        for (number, file) in files {
            let cursor = match &walk.start {
                Some(from) => file.cursor_around_damage_from(kind, Key::Bytes(from)),
                None => file.cursor_around_damage(kind),
            };
            lanes.push(Lane::begin(number, cursor.map(Direction::Forth))?);
        }
        Ok(Self { files: lanes, walk: walk.clone(), last: None })
    }

    /// The damage that was skipped since the last call, with the number of its file.
    pub(crate) fn take_faults(&mut self) -> Vec<(usize, Fault)> {
        let mut faults = Vec::new();
        for lane in &mut self.files {
            if let Direction::Forth(cursor) = &mut lane.cursor {
                faults.extend(cursor.take_faults().into_iter().map(|fault| (lane.number, fault)));
            }
        }
        faults
    }

    /// The next entry of the walk; `None` at its end.
    pub(crate) fn next(&mut self) -> Result<Option<LaneEntry>, LaneError> {
        loop {
            let ahead = self
                .files
                .iter()
                .enumerate()
                .filter(|(_, lane)| !lane.ended)
                .min_by(|(_, a), (_, b)| self.walk.order(&a.key, &b.key))
                .map(|(place, _)| place);
            let Some(place) = ahead else { return Ok(None) };
            let lane = &mut self.files[place];
            let number = lane.number;
            if self.walk.is_past(&lane.key) {
                return Ok(None);
            }
            let (key, value) = (std::mem::take(&mut lane.key), std::mem::take(&mut lane.value));
            lane.advance().map_err(|e| (number, e))?;
            if self.last.as_ref() == Some(&key) {
                continue;
            }
            self.last = Some(key.clone());
            return Ok(Some(LaneEntry { lane: number, key, value }));
        }
    }
}

impl<'f> Lane<'f> {
    fn begin(number: usize, cursor: Result<Direction<'f>, CouchFileError>) -> Result<Self, LaneError> {
        let failed = |e| (number, e);
        let cursor = cursor.map_err(failed)?;
        let mut lane = Self { number, cursor, key: Vec::new(), value: Vec::new(), ended: false };
        lane.advance().map_err(failed)?;
        Ok(lane)
    }

    fn advance(&mut self) -> Result<(), CouchFileError> {
        let entry = match &mut self.cursor {
            Direction::Forth(cursor) => cursor.next_entry()?,
            Direction::Back(cursor) => cursor.next_entry()?,
        };
        match entry {
            Some(entry) => {
                let Key::Bytes(key) = entry.key else {
                    return Err(CouchFileError::Invalid(
                        "a tree of documents has a key that is not an id".into(),
                    ));
                };
                self.key.extend_from_slice(key);
                self.value.extend_from_slice(entry.value);
            }
            None => self.ended = true,
        }
        Ok(())
    }
}

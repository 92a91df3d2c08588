//! The older states of a database that its file still holds.
//!
//! Every commit appends a header, and nothing is overwritten, so each header in a file is the database as it was then. A
//! compaction writes a new file that begins again: it writes `comp_header`s while it works, and what lies before the last one of
//! them is no state of the database.
//!
//! Sources: `couch_file.erl` (`find_newest_header/2`), `couch_bt_engine_compactor.erl` (`commit_compaction_data/2`).

mod walk;

use walk::{Found, Walk, found, state};
pub use walk::{Reach, States};

use crate::blocks::{BLOCK, HEADER_PREFIX};
use crate::btree::{Cursor, Entry, Key, TreeKind};
use crate::database::Database;
use crate::document::DocInfo;
use crate::error::{CouchFileError, Result};
use crate::header::{self, DbHeader};
use crate::read_at::{Prefix, ReadAt};

/// Blocks that are read first: a header is often near.
const FIRST_STEP: u64 = 4;
/// Blocks that are read at once, at most: a piece of an archive.
const STEP: u64 = (1 << 20) / BLOCK;

/// A database as it was when one of the headers in its file was written.
#[derive(Debug, Clone)]
pub struct State {
    /// The header.
    pub header: DbHeader,
    /// Where it begins.
    pub offset: u64,
    /// Where it ends: the first so many bytes of the file are the database at that time.
    pub end: u64,
}

impl State {
    /// Numbers of documents that exist and that are deleted.
    pub fn counts(&self) -> Result<(u64, u64)> {
        self.header.counts(self.offset)
    }

    /// The last sequence that had been given out.
    pub fn seq(&self) -> u64 {
        self.header.update_seq
    }

    /// Whether both are the same header at the same offset: of one file, or of two of which one is a prefix of the other.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.offset, self.end) == (other.offset, other.end) && self.header.has_equal_fields(&other.header)
    }

    /// Whether documents may have been purged before this state.
    fn may_follow_purges(&self) -> bool {
        let header = &self.header;
        header.purge_tree.is_some()
            || header.purge_seq_tree.is_some()
            || header.legacy_purge_seq.is_some_and(|seq| seq > 0)
    }
}

/// States between which a document stayed as it was.
#[derive(Debug, Clone)]
pub struct Span {
    /// The newest state that has the document like this.
    pub newest: State,
    /// The oldest one.
    pub oldest: State,
}

/// A place between two states.
#[derive(Debug, Clone)]
pub struct Boundary {
    /// The newest state before the boundary, or why there is none.
    pub before: Result<State, Reach>,
    /// The oldest state behind it.
    pub after: State,
}

impl<R: ReadAt> Database<R> {
    /// This state of the database: the newest one, if it was opened with [`Database::open`].
    pub fn state(&self) -> State {
        State { header: self.header().clone(), offset: self.header_offset(), end: self.header_end() }
    }

    /// The states that the file holds, from this one back. Reads all of the file, in pieces of 1 MiB.
    pub fn states(&self) -> States<'_, R> {
        States::new(self.blocks(), self.state())
    }

    /// The state whose header begins at `offset`; `None` if there is no valid header of a database.
    pub fn state_at(&self, offset: u64) -> Result<Option<State>> {
        if offset == self.header_offset() {
            return Ok(Some(self.state()));
        }
        if !offset.is_multiple_of(BLOCK) || offset > self.header_offset() {
            return Ok(None);
        }
        if self.blocks().read_raw(offset, 1)? != [HEADER_PREFIX] {
            return Ok(None);
        }
        let Some(raw) = header::read_header(self.blocks(), offset)? else { return Ok(None) };
        Ok(state(&raw).ok())
    }

    /// Where this database reached a sequence: the newest state below it and the oldest state at or above it. `None` if it has not
    /// reached it. Reads a few pieces of the file.
    pub fn boundary(&self, seq: u64) -> Result<Option<Boundary>> {
        let newest = self.state();
        if newest.seq() < seq { Ok(None) } else { self.boundary_before(newest, seq).map(Some) }
    }

    /// As [`Self::boundary`], from a state of this file back that has reached the sequence.
    pub fn boundary_before(&self, state: State, seq: u64) -> Result<Boundary> {
        let mut after = state;
        // No state that begins before this offset has reached the sequence.
        let mut floor = 0;
        loop {
            match self.newest_between(0, after.offset)? {
                Some(Found::State(before)) if before.seq() < seq => {
                    return Ok(Boundary { before: Ok(*before), after });
                }
                Some(Found::State(state)) => after = *state,
                Some(Found::Compaction) => return Ok(Boundary { before: Err(Reach::Rewritten), after }),
                None => return Ok(Boundary { before: Err(Reach::of(after.seq())), after }),
            }
            // Half of what is left, until few blocks are left.
            while after.offset.saturating_sub(floor) > 2 * FIRST_STEP * BLOCK {
                let middle = (floor + (after.offset - floor) / 2) / BLOCK * BLOCK;
                match self.newest_between(floor, middle)? {
                    Some(Found::State(state)) if state.seq() >= seq => after = *state,
                    _ => floor = middle,
                }
            }
        }
    }

    /// Calls `each` with everything that a document was in the states of this file, the newest first, until `each` returns
    /// `false`. Reads of each state no more than the nodes on the way to the document.
    pub fn document_history<E: From<CouchFileError>>(
        &self,
        id: &[u8],
        mut each: impl FnMut(&DocInfo<'_>, &Span) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut state = self.state();
        loop {
            let older = if let Some((seq, entry)) = self.entry_in(&state, id)? {
                let boundary = self.boundary_before(state.clone(), seq)?;
                let span = Span { newest: state, oldest: boundary.after };
                let entry = Entry { key: Key::Bytes(id), value: &entry };
                let document = DocInfo::from_id_tree(&entry)
                    .map_err(|e| CouchFileError::damaged("entry of the id tree", span.newest.offset, e))?;
                if !each(&document, &span)? {
                    return Ok(());
                }
                boundary.before.ok()
            } else if state.may_follow_purges() {
                // It may have existed before.
                match self.newest_between(0, state.offset)? {
                    Some(Found::State(older)) => Some(*older),
                    _ => None,
                }
            } else {
                None
            };
            let Some(older) = older else { return Ok(()) };
            state = older;
        }
    }

    /// A document in a state of this file: the sequence of its last change, and its entry in the tree of ids.
    fn entry_in(&self, state: &State, id: &[u8]) -> Result<Option<(u64, Vec<u8>)>> {
        let mut cursor = Cursor::starting_at(
            self.blocks(),
            TreeKind::Id,
            state.header.id_tree.as_ref(),
            Key::Bytes(id).encode(),
        )?;
        let Some(entry) = cursor.next_entry()?.filter(|entry| entry.key == Key::Bytes(id)) else {
            return Ok(None);
        };
        let seq = DocInfo::from_id_tree(&entry)
            .map_err(|e| CouchFileError::damaged("entry of the id tree", state.offset, e))?
            .seq;
        if seq > state.seq() {
            let why = format!("a document has sequence {seq}, which was not given out yet");
            return Err(CouchFileError::damaged("entry of the id tree", state.offset, why));
        }
        Ok(Some((seq, entry.value.to_vec())))
    }

    /// The newest state whose header begins in these offsets.
    fn newest_between(&self, floor: u64, limit: u64) -> Result<Option<Found>> {
        let mut walk = Walk::new(self.blocks(), floor, limit);
        while let Some(raw) = walk.next_header()? {
            match found(&raw) {
                Ok(found) => return Ok(Some(found)),
                // What is damaged here does not matter for what is older.
                Err(e) if e.is_io() => return Err(e),
                Err(_) => {}
            }
        }
        Ok(None)
    }
}

impl<R: ReadAt> Database<Prefix<R>> {
    /// Opens a file in the state whose header ends at `end`, see [`State::end`].
    pub fn open_state(source: R, end: u64) -> Result<Self> {
        Self::open(Prefix::new(source, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::Encoder;

    /// The header of a database without documents at this sequence.
    fn header(seq: u64, began_a_compaction: bool) -> Vec<u8> {
        let mut term = Encoder::versioned();
        term.tuple(16).atom(b"db_header").uint(8).uint(seq).uint(0);
        for _ in 0..6 {
            term.atom(b"nil");
        }
        term.uint(1000).atom(b"undefined").atom(b"undefined");
        if began_a_compaction {
            term.uint(0);
        } else {
            term.atom(b"undefined");
        }
        term.uint(1000).atom(b"undefined");
        header::encode(&term.finish())
    }

    fn comp_header() -> Vec<u8> {
        let mut term = Encoder::versioned();
        term.tuple(3).atom(b"comp_header").nil().nil();
        header::encode(&term.finish())
    }

    /// A file with these headers, each after as many blocks of data.
    fn file(headers: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let mut file = Vec::new();
        for (blocks, header) in headers {
            let start = file.len().next_multiple_of(BLOCK as usize) + (*blocks * BLOCK) as usize;
            file.resize(start, 0);
            file.extend_from_slice(header);
        }
        file
    }

    fn sequences(file: Vec<u8>) -> (Vec<u64>, Reach) {
        let database = Database::open(file).unwrap();
        let mut states = database.states();
        let found = states.by_ref().map(|state| state.unwrap().header.update_seq).collect();
        (found, states.reach().unwrap())
    }

    #[test]
    fn states_come_from_the_newest_back() {
        let headers =
            [(0, header(0, false)), (0, header(3, false)), (700, header(3, false)), (1, header(9, false))];
        assert_eq!(sequences(file(&headers)), (vec![9, 3, 3, 0], Reach::Creation));
        let database = Database::open(file(&headers)).unwrap();
        for state in database.states() {
            let state = state.unwrap();
            let older = Database::open_state(file(&headers), state.end).unwrap();
            assert_eq!(older.header().update_seq, state.header.update_seq);
            let again = database.state_at(state.offset).unwrap().unwrap();
            assert_eq!(again.end, state.end);
        }
        assert!(database.state_at(2 * BLOCK).unwrap().is_none());
        assert!(database.state_at(7).unwrap().is_none());
    }

    #[test]
    fn a_compaction_ends_the_walk() {
        let headers = [
            (0, header(0, true)),
            (0, header(0, true)),
            (3, comp_header()),
            (3, comp_header()),
            (1, header(20, false)),
            (2, header(22, false)),
        ];
        assert_eq!(sequences(file(&headers)), (vec![22, 20], Reach::Rewritten));
        let headers = [(0, header(0, true)), (1, header(5, false))];
        assert_eq!(sequences(file(&headers)), (vec![5], Reach::Rewritten));
        assert_eq!(sequences(file(&[(0, header(5, false))])), (vec![5], Reach::Rewritten));
        // The headers of a new database, from the second one on, look like those of a compaction.
        let headers = [(0, header(0, false)), (0, header(0, true)), (1, header(5, true))];
        assert_eq!(sequences(file(&headers)), (vec![5, 0, 0], Reach::Creation));
    }

    #[test]
    fn the_boundary_of_each_sequence_is_found() {
        // Gaps of many sizes, sequences that are skipped, and several headers of the same one.
        let mut headers = vec![(0, header(0, false))];
        for i in 1..200u64 {
            headers.push(((i * 7919) % 40, header(i / 3 * 2, false)));
        }
        let database = Database::open(file(&headers)).unwrap();
        let states: Vec<State> = database.states().map(Result::unwrap).collect();
        for seq in 1..=132 {
            let boundary = database.boundary(seq).unwrap().unwrap();
            let after = states.iter().rev().find(|state| state.seq() >= seq).unwrap();
            let before = states.iter().find(|state| state.seq() < seq).unwrap();
            assert_eq!(
                (boundary.after.offset, boundary.before.unwrap().offset),
                (after.offset, before.offset)
            );
        }
        assert!(database.boundary(133).unwrap().is_none());
        let first = database.boundary(0).unwrap().unwrap();
        assert_eq!((first.after.offset, first.before.unwrap_err()), (0, Reach::Creation));
        let compacted =
            [(0, header(0, true)), (90, comp_header()), (300, header(20, false)), (90, header(22, false))];
        let database = Database::open(file(&compacted)).unwrap();
        assert_eq!(database.boundary(22).unwrap().unwrap().before.unwrap().seq(), 20);
        let oldest = database.boundary(20).unwrap().unwrap();
        assert_eq!((oldest.after.seq(), oldest.before.unwrap_err()), (20, Reach::Rewritten));
    }

    #[test]
    fn damaged_headers_are_passed_over() {
        let mut torn = file(&[(0, header(0, false)), (0, header(3, false)), (0, header(9, false))]);
        torn[BLOCK as usize + 30] ^= 1;
        assert_eq!(sequences(torn), (vec![9, 0], Reach::Creation));
        let forged = file(&[(0, header(0, false)), (0, header(30, false)), (0, header(9, false))]);
        let database = Database::open(forged).unwrap();
        let found: Vec<Option<u64>> =
            database.states().map(|state| state.ok().map(|state| state.header.update_seq)).collect();
        assert_eq!(found, [Some(9), None, Some(0)]);
    }
}

//! Copies of shards, and their states.

use contents::SecurityTerm;
use couchfile::data_dir::Range;
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::{Prefix, ReadAt};
use couchfile::term::Decoder;

use crate::far::Bytes;

/// A copy that was opened, and what its header records.
pub(super) struct Copy {
    /// Number of the data directory.
    pub(super) folder: usize,
    /// The shard's range.
    pub(super) range: Range,
    /// The database.
    pub(super) database: Database<Bytes>,
    /// Whether reading single blocks of it takes long.
    pub(super) is_distant: bool,
    /// Existing and deleted documents.
    pub(super) counts: (u64, u64),
    /// Remembered purges.
    pub(super) purges: u64,
    /// The security object, if it can be read.
    pub(super) security: Option<SecurityTerm>,
    /// Whether its properties say that it is partitioned, if they can be read.
    pub(super) partitioned: Option<bool>,
}

/// The state of a copy at a moment: which prefix of which file it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    uuid: Option<Box<str>>,
    seq: u64,
    offset: u64,
    end: u64,
    /// Documents, deleted documents and purges.
    heard: u64,
}

impl Copy {
    /// Reads what the header of a database records.
    pub(super) fn of(
        folder: usize,
        range: Range,
        database: Database<Bytes>,
        is_distant: bool,
    ) -> Result<Self, CouchFileError> {
        let counts = database.counts()?;
        let purges = database.header().least_purge_seq(database.header_offset())?;
        let security = SecurityTerm::of(&database);
        let partitioned = is_partitioned(&database);
        Ok(Self { folder, range, database, is_distant, counts, purges, security, partitioned })
    }

    /// A number that grows with everything that reaches the copy, writes of new documents and purges.
    pub(super) fn heard(&self) -> u64 {
        self.counts.0.saturating_add(self.counts.1).saturating_add(self.purges)
    }

    /// Its documents, deleted ones included.
    pub(super) fn documents(&self) -> u64 {
        self.counts.0.saturating_add(self.counts.1)
    }

    /// Its present state.
    pub(super) fn state(&self) -> State {
        let header = self.database.header();
        State {
            uuid: header.uuid.as_deref().map(Into::into),
            seq: header.update_seq,
            offset: self.database.header_offset(),
            end: self.database.header_end(),
            heard: self.heard(),
        }
    }

    /// The copy as it was in an earlier state; `None` if that state is not in the file any more because CouchDB has compacted
    /// or replaced it.
    pub(super) fn then(&self, state: &State) -> Option<Database<Prefix<&Bytes>>> {
        let database = Database::open(Prefix::new(self.database.source(), state.end)).ok()?;
        let header = database.header();
        let is_it = database.header_offset() == state.offset
            && header.update_seq == state.seq
            && header.uuid.as_deref() == state.uuid.as_deref();
        is_it.then_some(database)
    }
}

impl State {
    /// A number that grows with everything that reaches the copy.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }
}

/// Whether a database's properties say that it is partitioned; `None` if they cannot be read.
pub(crate) fn is_partitioned<R: ReadAt>(database: &Database<R>) -> Option<bool> {
    let Some(term) = database.props().ok()? else { return Some(false) };
    let mut partitioned = false;
    let mut decoder: Decoder<'_> = term.decoder();
    decoder
        .list_items(|d| -> Result<(), couchfile::error::TermError> {
            d.tuple_of(2)?;
            let is_key = match d.token()? {
                couchfile::term::Token::Atom(key) | couchfile::term::Token::Binary(key) => {
                    key == b"partitioned"
                }
                _ => return Err(d.error("a property without a name")),
            };
            if is_key && d.take_atom(b"true")? {
                partitioned = true;
                return Ok(());
            }
            d.skip()
        })
        .ok()?;
    Some(partitioned)
}

#[cfg(test)]
mod tests {
    use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings};

    use super::*;

    fn file(partitioned: bool) -> Vec<u8> {
        let settings = Settings { partitioned, ..Settings::new("a".repeat(32), "n@h") };
        let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
        let term = couchfile::ejson::encode_json(&serde_json::json!({})).unwrap();
        writer
            .add(&NewDocument::first(b"x:1", NewBody { term, deleted: false, attachments: Vec::new() }))
            .unwrap();
        writer.finish().unwrap()
    }

    fn copy(bytes: Vec<u8>) -> Copy {
        let range = Range { begin: 0, end: u32::MAX };
        Copy::of(0, range, Database::open(Box::new(bytes) as Bytes).unwrap(), false).unwrap()
    }

    #[test]
    fn properties_tell_whether_a_database_is_partitioned() {
        assert_eq!(copy(file(true)).partitioned, Some(true));
        assert_eq!(copy(file(false)).partitioned, Some(false));
    }

    #[test]
    fn an_earlier_state_is_found_in_a_file_that_has_grown() {
        let before = copy(file(false));
        let mut grown = file(false);
        let end = before.database.header_end() as usize;
        let header = before.database.header_offset() as usize;
        let block = grown[header..end].to_vec();
        grown.resize(grown.len().next_multiple_of(4096), 0);
        grown.extend_from_slice(&block);
        let after = copy(grown);
        assert_ne!(after.state(), before.state());
        assert_eq!(after.then(&before.state()).unwrap().header_end(), before.database.header_end());
        let other = State { seq: 99, ..before.state() };
        assert!(after.then(&other).is_none());
    }
}

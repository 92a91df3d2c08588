//! Which of a file's headers may be taken for the database's state.
//!
//! Sources: `couch_bt_engine_header.erl` (`new/0`, `from/1`) and `couch_bt_engine_compactor.erl`, checked against files
//! that CouchDB 3.5.0 wrote.

use crate::blocks::Blocks;
use crate::error::{CouchFileError, Result};
use crate::header::{self, DbHeader, HeaderScan, RawHeader};
use crate::read_at::ReadAt;
use crate::term::Decoder;

/// Where nothing tells what made an empty database's file, this many bytes after its header mean that the real headers
/// are missing.
const EMPTY_TAIL: u64 = 16 << 10;

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Database,
    Compaction,
}

fn kind(term: &[u8]) -> Option<Kind> {
    let mut decoder = Decoder::versioned(term).ok()?;
    decoder.tuple().ok()?;
    match decoder.atom().ok()? {
        b"db_header" => Some(Kind::Database),
        b"comp_header" => Some(Kind::Compaction),
        _ => None,
    }
}

/// Finds the last header of a file and reads it.
pub(super) fn last_header<R: ReadAt>(blocks: &Blocks<R>) -> Result<(RawHeader, DbHeader)> {
    let len = blocks.end();
    let raw = header::find_last(blocks)?.ok_or(CouchFileError::NoHeader { len })?;
    let header = decode(&raw)?;
    if header.is_empty() {
        refuse_cut_compaction(blocks, &raw)?;
    }
    Ok((raw, header))
}

/// Whether a header is one that a compaction writes while it works.
pub(crate) fn is_compaction(term: &[u8]) -> bool {
    kind(term) == Some(Kind::Compaction)
}

/// Reads a header that has to be that of a database.
fn decode(raw: &RawHeader) -> Result<DbHeader> {
    let offset = raw.offset;
    match kind(&raw.term) {
        Some(Kind::Database) => DbHeader::decode(&raw.term, offset),
        Some(Kind::Compaction) => Err(CouchFileError::UnfinishedCompaction { offset }),
        None => Err(CouchFileError::WrongKind { offset, expected: "database" }),
    }
}

/// Fails if a header names data that does not lie before it.
pub(crate) fn check_pointers(header: &DbHeader, offset: u64) -> Result<()> {
    let pointers = header.trees().into_iter().filter_map(|(_, tree)| tree.map(|tree| tree.ptr));
    let terms = [header.security_ptr, header.props_ptr, header.time_seq_ptr].into_iter().flatten();
    match pointers.chain(terms).find(|&ptr| ptr >= offset) {
        Some(ptr) => Err(CouchFileError::damaged(
            "database header",
            offset,
            format!("it names data at offset {ptr}, which is not before it"),
        )),
        None => Ok(()),
    }
}

/// The header of a database of `len` bytes that has passed by: what opening it would take for its state.
pub(crate) fn passed(scan: &HeaderScan) -> Result<(RawHeader, DbHeader)> {
    let len = scan.len();
    let raw = scan.last().ok_or(CouchFileError::NoHeader { len })?.clone();
    let offset = raw.offset;
    let header = decode(&raw)?;
    check_pointers(&header, offset)?;
    if header.is_empty()
        && let Some(first) = scan.first()
        && kind(&first.term) == Some(Kind::Database)
    {
        match DbHeader::decode(&first.term, 0)?.began_a_compaction() {
            Some(true) if !scan.has_compaction_before(offset) => {
                return Err(CouchFileError::UnfinishedCompaction { offset });
            }
            None if len - raw.end > EMPTY_TAIL => {
                return Err(CouchFileError::EmptyHeaderBeforeData { offset, tail: len - raw.end });
            }
            _ => {}
        }
    }
    Ok((raw, header))
}

/// Refuses the header of an empty database where it is but the beginning of a compacted file.
///
/// A compaction writes a header of an empty database first, `comp_header`s while it works, and the real header last; its
/// file differs from a new database's by `compacted_seq` in the header at offset 0. A new database is empty until its first
/// documents are committed, however many bytes of them there are already: a copy made in the meantime is complete.
fn refuse_cut_compaction<R: ReadAt>(blocks: &Blocks<R>, last: &RawHeader) -> Result<()> {
    let offset = last.offset;
    let Some(first) = header::read_header(blocks, 0)? else { return Ok(()) };
    if kind(&first.term) != Some(Kind::Database) {
        return Ok(());
    }
    match DbHeader::decode(&first.term, 0)?.began_a_compaction() {
        Some(true) => {
            let mut before = offset;
            while let Some(header) = header::find_before(blocks, before)? {
                if kind(&header.term) == Some(Kind::Compaction) {
                    return Ok(());
                }
                before = header.offset;
            }
            Err(CouchFileError::UnfinishedCompaction { offset })
        }
        Some(false) => Ok(()),
        None => {
            let tail = blocks.end() - last.end;
            if tail > EMPTY_TAIL {
                return Err(CouchFileError::EmptyHeaderBeforeData { offset, tail });
            }
            Ok(())
        }
    }
}

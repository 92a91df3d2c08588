//! The headers of files of other machines, as they have passed.

use contents::{IndexHeader, ShardHeader};
use couchfile::error::CouchFileError;
use couchfile::header::{HeaderScan, PassedDatabase};

use super::passing::Passed;

/// The result of a transferred shard.
pub(crate) fn passed_shard(passed: &Passed) -> Result<ShardHeader, CouchFileError> {
    passed.look(scanned_shard)
}

/// The header of a shard that has passed.
fn scanned_shard(scan: &HeaderScan) -> Result<ShardHeader, CouchFileError> {
    let PassedDatabase { header, header_offset: offset, .. } = scan.database()?;
    let (docs, deleted) = header.counts(offset)?;
    // The purges themselves have passed. A view index with a larger purge sequence than this is left out by a restore and
    // built anew, though it may be right: so it is where a compaction has dropped old purges.
    let purge_seq = header.least_purge_seq(offset)?;
    Ok(ShardHeader {
        uuid: header.uuid,
        seq: header.update_seq,
        purge_seq,
        purges: purge_seq,
        docs,
        deleted,
        offset,
        security: None,
    })
}

/// The header of a shard of which the end has passed. An empty database is not judged by its end alone: see `database::passed`.
pub(super) fn grown_shard(scan: &HeaderScan) -> Result<ShardHeader, CouchFileError> {
    let header = scanned_shard(scan)?;
    if header.seq == 0 { Err(CouchFileError::NoHeader { len: scan.len() }) } else { Ok(header) }
}

/// The result of a transferred view index.
pub(crate) fn passed_view(passed: &Passed) -> Result<IndexHeader, CouchFileError> {
    passed.look(scanned_view)
}

/// The header of a view index that has passed.
pub(super) fn scanned_view(scan: &HeaderScan) -> Result<IndexHeader, CouchFileError> {
    let header = scan.view()?;
    Ok(IndexHeader { signature: header.signature, seq: header.update_seq, purge_seq: header.purge_seq })
}

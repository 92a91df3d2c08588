//! One copy of a shard: the data as it is, another header.

use std::collections::HashSet;

use couchfile::database::Database;
use couchfile::edit::{Edit, EditedTail, edit};
use couchfile::error::CouchFileError;
use couchfile::header::HeaderEdit;
use couchfile::read_at::ReadAt;
use couchfile::writer::random_uuid;

/// How a copy differs from what was archived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy<'a> {
    /// The node that will open it.
    pub(super) node: &'a str,
    /// Whether it gets a uuid of its own.
    pub(super) fresh_uuid: bool,
    /// Signatures of the view indexes that go along.
    pub(super) views: Option<&'a HashSet<String>>,
}

/// Computes the end of a copy.
///
/// Local documents of internal replication (`_local/shard-sync-…`, `_local/purge-mem3-…`) name uuids of copies that are no
/// more, so they go; the purge checkpoint of a view index (`_local/purge-mrview-…`) stays or goes with its index.
/// Everything else, clients' checkpoints among it, stays.
pub(super) fn tail<R: ReadAt>(database: &Database<R>, copy: Copy<'_>) -> Result<EditedTail, CouchFileError> {
    let uuid = if copy.fresh_uuid || database.header().uuid.is_none() { Some(random_uuid()?) } else { None };
    let header = HeaderEdit { uuid, node: Some(copy.node.to_owned()), ..HeaderEdit::default() };
    let keep_local = |id: &[u8]| {
        if id.starts_with(b"_local/shard-sync-") || id.starts_with(b"_local/purge-mem3-") {
            return false;
        }
        match id.strip_prefix(b"_local/purge-mrview-") {
            Some(signature) => std::str::from_utf8(signature)
                .is_ok_and(|signature| copy.views.is_some_and(|views| views.contains(signature))),
            None => true,
        }
    };
    edit(database, &Edit { header, keep_local: &keep_local })
}

//! One copy of a shard: unchanged data with a new header.

use std::collections::HashSet;

use contents::DatabaseLimits;
use couchfile::database::Database;
use couchfile::edit::{Edit, EditedTail, edit};
use couchfile::error::CouchFileError;
use couchfile::header::HeaderEdit;
use couchfile::internal_replication;
use couchfile::read_at::ReadAt;
use couchfile::writer::random_uuid;

/// How a copy differs from the archived file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copy<'a> {
    /// The node that will open it.
    pub(crate) node: &'a str,
    /// The number of the copy.
    pub(crate) number: usize,
    /// Uuids for all copies.
    pub(crate) uuids: &'a CopyUuids,
    /// Signatures of the view indexes that are restored with it.
    pub(crate) views: Option<&'a HashSet<String>>,
    /// Limits of its database, if CouchDB reported them: a compaction may have lost them in the file.
    pub(crate) limits: Option<DatabaseLimits>,
    /// The security object, if the archived shards have different ones.
    pub(crate) security: Option<&'a serde_json::Value>,
    /// Whether the file is new, so that no other node ever wrote it.
    pub(crate) is_new: bool,
}

/// Uuids for all copies of a range. No two live copies may have the same uuid.
#[derive(Debug, Clone)]
pub(crate) struct CopyUuids {
    fresh: Vec<String>,
    /// Whether the first copy keeps the archived uuid.
    keep_first: bool,
}

impl CopyUuids {
    pub(crate) fn new(copies: usize, keep_first: bool) -> Result<Self, CouchFileError> {
        // A single copy's is most often not needed, and there may be hundreds of thousands of them.
        let needed = if keep_first && copies == 1 { 0 } else { copies };
        Ok(Self { fresh: (0..needed).map(|_| random_uuid()).collect::<Result<_, _>>()?, keep_first })
    }

    fn of<R: ReadAt>(&self, database: &Database<R>) -> Result<Vec<String>, CouchFileError> {
        let mut uuids = self.fresh.clone();
        if uuids.is_empty() {
            uuids.push(database.header().uuid.clone().map_or_else(random_uuid, Ok)?);
        }
        if let (true, Some(first), Some(archived)) =
            (self.keep_first, uuids.first_mut(), &database.header().uuid)
        {
            first.clone_from(archived);
        }
        Ok(uuids)
    }
}

/// Computes the end of a copy.
///
/// The copies of a range hold the same data, and each copy records that about the others. Otherwise internal replication would
/// compare every document once, and write two commits for it on each side.
///
/// Local documents of internal replication (`_local/shard-sync-…`, `_local/purge-mem3-…`) name uuids of copies that do not exist
/// any more, so they are removed. The purge checkpoint of a view index (`_local/purge-mrview-…`) is kept or removed with its
/// index. Everything else, including clients' checkpoints, stays.
pub(crate) fn tail<R: ReadAt>(database: &Database<R>, copy: Copy<'_>) -> Result<EditedTail, CouchFileError> {
    let uuids = copy.uuids.of(database)?;
    let uuid = uuids.get(copy.number).cloned();
    let agreed = internal_replication::agreed(&uuids, database.header().update_seq)?;
    let header = HeaderEdit {
        uuid,
        node: Some(copy.node.to_owned()),
        only_node: copy.is_new,
        revs_limit: copy.limits.map(|limits| limits.revs_limit),
        purge_infos_limit: copy.limits.map(|limits| limits.purged_infos_limit),
        security: copy.security.cloned(),
        ..HeaderEdit::default()
    };
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
    edit(database, &Edit { header, keep_local: &keep_local, add_local: &agreed })
}

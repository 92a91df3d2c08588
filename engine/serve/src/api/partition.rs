//! A partition of a database: its name, and what is in it.
//!
//! Sources: `chttpd_db.erl`, `couch_partition.erl`.

use serde_json::json;
use snapshot::{Flow, Walk};

use super::context::{Context, Db};
use crate::http::{Done, Failure, HttpError, Reply};

/// `GET /{db}/_partition/{partition}`
pub(super) fn partition(
    context: Context<'_>,
    db: &Db,
    partition: &str,
    reply: Reply,
) -> Result<Done, Failure> {
    context.call.only_get()?;
    let (mut documents, mut deleted) = (0u64, 0u64);
    let (mut active, mut external) = (0u64, 0u64);
    db.0.documents(&Walk::prefix(&format!("{partition}:")), |doc| -> Result<Flow, Failure> {
        if doc.is_deleted() {
            deleted += 1;
        } else {
            documents += 1;
        }
        let sizes = doc.sizes().map_err(|e| db.failed(doc.id(), e))?;
        active = active.saturating_add(sizes.active);
        external = external.saturating_add(sizes.external);
        Ok(Flow::On)
    })?;
    reply.json(&json!({
        "db_name": db.name(),
        "sizes": {"active": active, "external": external},
        "partition": partition,
        "doc_count": documents,
        "doc_del_count": deleted,
    }))
}

/// Fails if a partition cannot have that name.
pub(super) fn check(partition: &str) -> Result<(), HttpError> {
    let reason = match partition {
        "" => "Partition must not be empty",
        name if name.starts_with('_') => "Partition must not start with an underscore",
        name if name.contains(':') => "Partition must not contain a colon",
        _ => return Ok(()),
    };
    Err(HttpError::new(400, "illegal_partition", reason))
}

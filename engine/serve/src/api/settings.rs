//! What a database has beside its documents: who may use it, limits, shards, partitions.
//!
//! Sources: `chttpd_db.erl`, `mem3_httpd.erl`, `couch_partition.erl`.

use couchfile::data_dir::document_hash;
use serde_json::{Map, Value, json};
use snapshot::{Flow, Walk};

use super::context::{Context, Db};
use super::databases::start_time;
use super::route::{only_get, only_post};
use crate::http::{Call, Done, Failure, Head, HttpError, Method, Reply};

/// `GET /{db}/_security`
pub(super) fn security(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    setting(context.call, "PUT,GET")?;
    reply.exact_json(Head::json(200), &db.0.security()?)
}

/// `GET /{db}/_revs_limit`
pub(super) fn revs_limit(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    setting(context.call, "PUT,GET")?;
    reply.json(&db.0.revs_limit()?.into())
}

/// `GET /{db}/_purged_infos_limit`
pub(super) fn purged_infos_limit(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    setting(context.call, "GET,PUT")?;
    reply.json(&db.0.purge_infos_limit()?.into())
}

/// `GET /{db}/_auto_purge`: there is none.
pub(super) fn auto_purge(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    setting(context.call, "GET,PUT")?;
    reply.json(&json!({}))
}

/// `POST /{db}/_ensure_full_commit`: nothing is left to be written.
pub(super) fn ensure_full_commit(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    only_post(context.call)?;
    let started = start_time(&db.0.info()?);
    reply.json_with(Head::json(201), &json!({"ok": true, "instance_start_time": started}))
}

/// `GET /{db}/_shards`
pub(super) fn shards(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    if context.call.method != Method::Get {
        return Err(HttpError::only("GET").into());
    }
    let by_range = db.0.map().by_range.iter();
    let shards: Map<String, Value> =
        by_range.map(|(range, nodes)| (range.to_string(), json!(nodes))).collect();
    reply.json(&json!({"shards": shards}))
}

/// `GET /{db}/_shards/{id}`
pub(super) fn shard_of(context: Context<'_>, db: &Db, id: &str, reply: Reply) -> Result<Done, Failure> {
    if context.call.method != Method::Get {
        return Err(HttpError::only("GET").into());
    }
    let map = db.0.map();
    if map.is_partitioned() && !id.starts_with('_') && !id.contains(':') {
        return Err(HttpError::new(400, "illegal_docid", "Doc id must be of form partition:id").into());
    }
    let hash = document_hash(id.as_bytes(), map.is_partitioned());
    let found = map.by_range.iter().find(|(range, _)| range.contains(hash));
    let (range, nodes) = found.ok_or_else(|| HttpError::not_found("missing"))?;
    reply.json(&json!({"range": range.to_string(), "nodes": nodes}))
}

/// `GET /{db}/_partition/{partition}`
pub(super) fn partition(
    context: Context<'_>,
    db: &Db,
    partition: &str,
    reply: Reply,
) -> Result<Done, Failure> {
    only_get(context.call)?;
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

/// Fails where a partition cannot have that name.
pub(super) fn check_partition(partition: &str) -> Result<(), HttpError> {
    let reason = match partition {
        "" => "Partition must not be empty",
        name if name.starts_with('_') => "Partition must not start with an underscore",
        name if name.contains(':') => "Partition must not contain a colon",
        _ => return Ok(()),
    };
    Err(HttpError::new(400, "illegal_partition", reason))
}

/// Something that CouchDB lets read and set.
fn setting(call: &Call, methods: &str) -> Result<(), HttpError> {
    match call.method {
        Method::Get => Ok(()),
        Method::Put => Err(HttpError::read_only("GET,HEAD")),
        _ => Err(HttpError::only(methods)),
    }
}

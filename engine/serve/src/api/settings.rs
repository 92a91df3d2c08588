//! What a database has besides its documents: who may use it, limits, shards.
//!
//! Sources: `chttpd_db.erl`, `mem3_httpd.erl`.

use couchfile::data_dir::document_hash;
use serde_json::{Map, Value, json};

use super::context::{Context, Db};
use super::databases::start_time;
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
    context.call.only_post()?;
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

/// Something that CouchDB lets read and set.
fn setting(call: &Call, methods: &str) -> Result<(), HttpError> {
    match call.method {
        Method::Get => Ok(()),
        Method::Put => Err(HttpError::read_only("GET,HEAD")),
        _ => Err(HttpError::only(methods)),
    }
}

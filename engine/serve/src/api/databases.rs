//! Which databases there are, and what they are like.
//!
//! Sources: `chttpd_misc.erl` (`handle_all_dbs_info_req/1`), `fabric_db_info.erl`.

use std::io::Write;

use serde_json::{Value, json};
use snapshot::Flow;

use super::context::{Context, Db};
use super::page::{Page, Row};
use super::view_arguments::ViewArguments;
use crate::http::{Done, Failure, Head, HttpError, Method, Out, Reply, etag_matches, opaque_etag};

/// Most databases that `POST /_dbs_info` reports on.
const MOST_KEYS: usize = 100;

/// `GET /_all_dbs`
pub(super) fn names(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    list(context, reply, |out, name| {
        serde_json::to_writer(&mut *out, name).map_err(std::io::Error::from)?;
        Ok(())
    })
}

/// `GET` and `POST /_dbs_info`
pub(super) fn infos(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    match context.call.method {
        Method::Get => list(context, reply, |out, name| {
            let info = info(&context.database(name)?)?;
            write!(out, "{}", json!({"key": name, "info": info}))?;
            Ok(())
        }),
        Method::Post => named_infos(context, reply),
        _ => Err(HttpError::only("GET,HEAD,POST").into()),
    }
}

/// `GET /{db}`; what else could be done with a database is a write.
pub(super) fn database(context: Context<'_>, name: &str, reply: Reply) -> Result<Done, Failure> {
    match context.call.method {
        Method::Get => reply.json(&info(&context.database(name)?)?),
        _ => Err(HttpError::read_only("GET,HEAD").into()),
    }
}

/// Lists the databases that the parameters want.
fn list(
    context: Context<'_>,
    reply: Reply,
    mut each: impl FnMut(&mut Out, &str) -> Result<(), Failure>,
) -> Result<Done, Failure> {
    let arguments = ViewArguments::of(context.call)?;
    let archive = context.archive;
    let etag = opaque_etag(&[archive.snapshot.identity(), &context.call.raw_path]);
    if etag_matches(context.call, &etag) {
        return reply.not_modified(&etag);
    }
    let mut out = reply.stream(Head::json(200).with("etag", etag));
    out.write_all(b"[")?;
    let mut page = Page::of(&arguments, b",");
    if let Some(walk) = arguments.range("") {
        archive.databases(&walk, |name| {
            match page.next(&mut out)? {
                Row::Shown => each(&mut out, name)?,
                Row::Skipped => {}
                Row::Beyond => return Ok(Flow::Stop),
            }
            Ok(Flow::On)
        })?;
    }
    out.write_all(b"]\n")?;
    out.finish()
}

fn named_infos(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.check_json_type()?;
    let body = context.call.json_object()?;
    let keys = match body.get("keys") {
        None => return Err(HttpError::bad_request("`keys` member must exist.").into()),
        Some(Value::Array(keys)) => keys,
        Some(_) => return Err(HttpError::bad_request("`keys` member must be an array.").into()),
    };
    if keys.len() > MOST_KEYS {
        return Err(HttpError::bad_request("too_many_keys").into());
    }
    let mut out = reply.stream(Head::json(200));
    out.write_all(b"[")?;
    for (i, key) in keys.iter().enumerate() {
        let found = match key.as_str() {
            Some(name) => context.archive.database(name)?.map(Db),
            None => None,
        };
        let told = match found {
            Some(database) => json!({"key": key, "info": info(&database)?}),
            None => json!({"key": key, "error": "not_found"}),
        };
        write!(out, "{}{told}", if i > 0 { "," } else { "" })?;
    }
    out.write_all(b"]\n")?;
    out.finish()
}

/// A database in numbers.
fn info(db: &Db) -> Result<Value, Failure> {
    let info = db.0.info()?;
    let map = db.0.map();
    let copies = map.copies() as u64;
    let quorum = copies / 2 + 1;
    let props = if map.is_partitioned() { json!({"partitioned": true}) } else { json!({}) };
    Ok(json!({
        "instance_start_time": start_time(&info),
        "db_name": db.name(),
        "purge_seq": info.purge_seq.to_string(),
        "update_seq": info.update_seq.to_string(),
        "sizes": {"file": info.file_size, "external": info.external_size, "active": info.active_size},
        "props": props,
        "doc_del_count": info.deleted,
        "doc_count": info.documents,
        "disk_format_version": info.disk_format_version,
        "compact_running": false,
        "cluster": {"q": map.by_range.len(), "n": copies, "w": quorum, "r": quorum},
    }))
}

/// When a database was created, as CouchDB reports it.
pub(super) fn start_time(info: &snapshot::Info) -> String {
    info.created.unwrap_or(0).to_string()
}

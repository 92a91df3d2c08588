//! From a path to what answers there.

use super::context::{Context, Db};
use super::reference::Reference;
use super::site::Site;
use super::{
    all_docs, archives, attachment, backups, bulk_get, changes, databases, document, find, history,
    local_docs, partition, revs_diff, settings, welcome,
};
use crate::http::{Call, Done, Failure, HttpError, Reply};
use crate::page;

/// Answers a request.
pub(crate) fn answer(site: &Site, call: &Call, reply: Reply) -> Result<Done, Failure> {
    let parts: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let first = &site.served.first().ok_or_else(HttpError::no_database)?.archive;
    let context = |archive| Context { site, archive, call };
    match parts.as_slice() {
        ["_backup", "archives", reference, rest @ ..] => {
            let unknown =
                || HttpError::not_found("There is no archive with that number, or no such backup in it.");
            let reference: Reference = reference.parse().map_err(|()| unknown())?;
            let archive = site.find(reference)?.ok_or_else(unknown)?;
            server(context(&archive), rest, reply)
        }
        ["_backup", "archives"] => archives::list(context(first), reply),
        ["_backup", "backups"] => backups::list(context(first), reply),
        ["_backup", "history"] => history::of_document(context(first), reply),
        ["_backup", rest @ ..] => page::answer(call, rest, reply),
        parts => server(context(first), parts, reply),
    }
}

/// Answers what CouchDB answers as a server.
fn server(context: Context<'_>, parts: &[&str], reply: Reply) -> Result<Done, Failure> {
    match parts {
        [] => welcome::welcome(context, reply),
        ["_all_dbs"] => databases::names(context, reply),
        ["_dbs_info"] => databases::infos(context, reply),
        ["_up"] => welcome::up(context, reply),
        ["_session"] => welcome::session(context, reply),
        ["_uuids"] => welcome::uuids(context, reply),
        ["_active_tasks"] => welcome::active_tasks(context, reply),
        ["_membership"] => welcome::membership(context, reply),
        ["_scheduler", list @ ("jobs" | "docs"), ..] => welcome::scheduler(context, list, reply),
        ["favicon.ico"] => page::favicon(reply),
        ["_replicate"] => {
            Err(HttpError::not_served("Replications run on a CouchDB, which can read from here").into())
        }
        ["_utils", ..] => {
            Err(HttpError::not_served("Fauxton; the page at /_backup/ shows what is in here").into())
        }
        [
            "_node" | "_cluster_setup" | "_reload_query_servers" | "_reshard" | "_metrics" | "_prometheus",
            ..,
        ] => Err(HttpError::not_served("This part of CouchDB's interface").into()),
        [name] => databases::database(context, name, reply),
        [name, rest @ ..] => {
            let db = context.database(name)?;
            within(context, &db, rest, reply)
        }
    }
}

/// Answers what CouchDB answers in a database.
fn within(context: Context<'_>, db: &Db, parts: &[&str], reply: Reply) -> Result<Done, Failure> {
    match parts {
        [list @ ("_all_docs" | "_design_docs")] => all_docs::list(context, db, list, reply),
        [list @ ("_all_docs" | "_design_docs"), "queries"] => all_docs::queries(context, db, list, reply),
        ["_local_docs"] => local_docs::list(context, db, reply),
        ["_local_docs", "queries"] => local_docs::queries(context, db, reply),
        ["_changes"] => changes::changes(context, db, reply),
        ["_bulk_get"] => bulk_get::bulk_get(context, db, reply),
        ["_revs_diff"] => revs_diff::revs_diff(context, db, reply),
        ["_missing_revs"] => revs_diff::missing_revs(context, db, reply),
        ["_find"] => find::find(context, db, None, reply),
        ["_explain"] => find::explain(context, db, None, reply),
        ["_index"] => find::indexes(context, reply),
        ["_index", ..] => Err(HttpError::read_only("GET").into()),
        ["_security"] => settings::security(context, db, reply),
        ["_revs_limit"] => settings::revs_limit(context, db, reply),
        ["_purged_infos_limit"] => settings::purged_infos_limit(context, db, reply),
        ["_auto_purge"] => settings::auto_purge(context, reply),
        ["_ensure_full_commit"] => settings::ensure_full_commit(context, db, reply),
        ["_shards"] => settings::shards(context, db, reply),
        ["_shards", id] => settings::shard_of(context, db, id, reply),
        ["_partition", rest @ ..] => within_partition(context, db, rest, reply),
        ["_bulk_docs" | "_purge" | "_compact" | "_view_cleanup" | "_sync_shards", ..] => {
            Err(HttpError::read_only("").into())
        }
        ["_purged_infos" | "_temp_view" | "_search_analyze" | "_nouveau_analyze", ..] => {
            Err(HttpError::not_served("This part of CouchDB's interface").into())
        }
        ["_local" | "_local/"] => Err(HttpError::bad_request("Invalid _local document id.").into()),
        ["_local", name] => document::local(context, db, &format!("_local/{name}"), reply),
        ["_local", ..] => Err(HttpError::bad_request("_local documents do not accept attachments.").into()),
        ["_design", name] => document::document(context, db, &format!("_design/{name}"), reply),
        ["_design", name, function, ..] if function.starts_with('_') => {
            document::function(context, db, &format!("_design/{name}"), function)
        }
        ["_design", name, file @ ..] => {
            attachment::attachment(context, db, &format!("_design/{name}"), &file.join("/"), reply)
        }
        [id] if id.starts_with("_local/") => document::local(context, db, id, reply),
        [id] => document::document(context, db, id, reply),
        [id, file @ ..] => attachment::attachment(context, db, id, &file.join("/"), reply),
        [] => databases::database(context, db.name(), reply),
    }
}

/// Answers what CouchDB answers in a partition.
fn within_partition(context: Context<'_>, db: &Db, parts: &[&str], reply: Reply) -> Result<Done, Failure> {
    let [name, rest @ ..] = parts else {
        return Err(HttpError::bad_request("invalid_partition_req").into());
    };
    if !db.0.map().is_partitioned() {
        return Err(HttpError::bad_request("database is not partitioned").into());
    }
    partition::check(name)?;
    match rest {
        [] => partition::partition(context, db, name, reply),
        ["_all_docs"] => all_docs::of_partition(context, db, name, reply),
        ["_find"] => find::find(context, db, Some(name), reply),
        ["_explain"] => find::explain(context, db, Some(name), reply),
        ["_design", name, function, ..] if function.starts_with('_') => {
            document::function(context, db, &format!("_design/{name}"), function)
        }
        _ => Err(HttpError::not_found("missing").into()),
    }
}

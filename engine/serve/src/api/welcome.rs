//! What CouchDB reports about itself, and about a server that only reads.
//!
//! Sources: `chttpd_misc.erl`, `couch_httpd_auth.erl` (`handle_session_req/1`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::context::Context;
use crate::http::{Done, Failure, Head, HttpError, Method, Reply};

/// The version whose interface this is; clients choose by it what they ask for.
pub(crate) const COUCHDB_VERSION: &str = "3.5.0";
/// Most uuids that are made at once.
const MOST_UUIDS: i64 = 1000;

/// `GET /`
pub(super) fn welcome(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    reply.json(&json!({
        "couchdb": "Welcome",
        "version": COUCHDB_VERSION,
        "git_sha": "couchcopy",
        "uuid": context.site.uuid,
        "features": ["partitioned"],
        "vendor": {"name": "couchcopy", "version": env!("CARGO_PKG_VERSION")},
    }))
}

/// `GET /_up`
pub(super) fn up(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    reply.json(&json!({"status": "ok", "seeds": {}}))
}

/// `GET /_session`. Logging in with a cookie is answered as by a CouchDB that has none: replicators go on with basic
/// authentication then.
pub(super) fn session(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    if context.call.method != Method::Get {
        return Err(
            HttpError::not_found("There are no cookie sessions here: use basic authentication.").into()
        );
    }
    let user = &context.site.user;
    let mut info = json!({"authentication_handlers": ["default"]});
    if user.is_some() {
        info["authenticated"] = "default".into();
    }
    reply.json(&json!({"ok": true, "userCtx": {"name": user, "roles": ["_admin"]}, "info": info}))
}

/// `GET /_uuids`
pub(super) fn uuids(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    if context.call.method != Method::Get {
        return Err(HttpError::only("GET").into());
    }
    let count = context.call.parameter("count").unwrap_or("1").parse::<i64>();
    let count = match count {
        Ok(count) if count > MOST_UUIDS => {
            return Err(HttpError::bad_request("count parameter too large").into());
        }
        Ok(count) if count >= 0 => count,
        _ => return Err(HttpError::bad_request("count must be a positive integer").into()),
    };
    let uuids: Vec<String> = (0..count).map(|_| uuid()).collect::<Result<_, _>>()?;
    let head = Head::json(200)
        .with("cache-control", "no-cache")
        .with("expires", "Mon, 01 Jan 1990 00:00:00 GMT")
        .with("pragma", "no-cache");
    reply.json_with(head, &json!({"uuids": uuids}))
}

/// `GET /_active_tasks`
pub(super) fn active_tasks(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    reply.json(&json!([]))
}

/// `GET /_membership`: the nodes that were saved.
pub(super) fn membership(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    let nodes: BTreeSet<&String> = context.archive.snapshot.about().nodes.iter().collect();
    reply.json(&json!({"all_nodes": nodes, "cluster_nodes": nodes}))
}

/// `GET /_scheduler/jobs` and `/_scheduler/docs`: nothing runs here.
pub(super) fn scheduler(context: Context<'_>, list: &str, reply: Reply) -> Result<Done, Failure> {
    context.call.only_get()?;
    let mut answer = json!({"total_rows": 0, "offset": 0});
    answer[list] = Value::Array(Vec::new());
    reply.json(&answer)
}

fn uuid() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| HttpError::new(500, "internal_server_error", format!("no random numbers: {e}")))?;
    Ok(hex::encode(bytes))
}

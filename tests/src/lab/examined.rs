//! What a CouchDB that runs on restored data must do.

use serde_json::json;

use super::http::Http;
use crate::Result;

/// Queries both indexes of the database `views`.
pub fn check_indexes(http: &Http) -> Result<()> {
    let query = json!({"selector": {"k": 3}, "fields": ["_id"], "limit": 100});
    let explained = http.post("/views/_explain", &query)?;
    assert_eq!(explained["index"]["name"], "k");
    let found = http.post("/views/_find", &query)?;
    let mut ids: Vec<&str> =
        found["docs"].as_array().into_iter().flatten().filter_map(|doc| doc["_id"].as_str()).collect();
    ids.sort_unstable();
    let mut expected: Vec<String> = (0..500).filter(|i| i % 17 == 3).map(|i| format!("v{i}")).collect();
    expected.sort();
    assert_eq!(ids, expected);
    Ok(())
}

/// A user of the database `_users` can log in, and with a wrong password cannot.
pub fn check_login(http: &Http) -> Result<()> {
    let session = http.post("/_session", &json!({"name": "alice", "password": "s3cret"}))?;
    assert_eq!(session["roles"], json!(["staff"]));
    let refused = http.ask("POST", "/_session", Some(&json!({"name": "alice", "password": "wrong"})))?;
    assert_eq!(refused.status, 401);
    Ok(())
}

/// What CouchDB logs at these levels is worth a test's failure.
const LEVELS: [&str; 4] = ["[error]", "[critical]", "[alert]", "[emergency]"];
/// Whatever the level, these tell of a repair, or of an index being built.
const SUSPICIOUS: [&str; 3] = ["Bad security", "Starting index update", "creating missing database: shards"];
/// What every cluster logs whose nodes start before they know each other: that others cannot be reached, nor shards on them,
/// that there is no database of users beside the clustered one, and what a node logs before all of it is loaded.
const LONELY: [&str; 9] = [
    // A cluster whose nodes know each other from before, and are not all up yet.
    "{error,no_majority}",
    "nodedown,<<\"progress not possible\">>",
    "{rexi_DOWN,",
    "noconnection",
    "shard in cluster with",
    "shards in cluster with",
    "/_users.couch: no such",
    // Parts of CouchDB itself that are not loaded yet (`couch_flags_config.erl`, `couch_log.erl`).
    "{invalid_flag,<<\"partitioned\">>}",
    "unknown metric: [couch_log,level,",
];

/// What two processes of CouchDB log that open the same shard at once for internal replication, and try again: each of them
/// would create it. Had one done so, its file would not be untouched.
const RACE: &str = "{file_exists,[{mem3_rpc,rexi_call";

/// Fails where a log tells of an error, of a repair or of an index being built. Of what was logged before the node had
/// joined its cluster, so many bytes, what comes of being alone is excused.
pub fn check_log(log: &str, joined: usize) -> Result<()> {
    let wrong = |entry: &str| {
        LEVELS.iter().any(|level| entry.starts_with(level)) || SUSPICIOUS.iter().any(|s| entry.contains(s))
    };
    let excused = |entry: &str| LONELY.iter().any(|reason| entry.contains(reason));
    let mut found = Vec::new();
    let mut at = 0;
    // An entry may have several lines; its first begins with the level.
    for entry in log.split_inclusive("\n[") {
        let text = format!("[{}", entry.trim_start_matches('[').trim_end_matches("\n["));
        if wrong(&text) && !(at < joined && excused(&text)) && !text.contains(RACE) {
            found.push(text);
        }
        at += entry.len();
    }
    if found.is_empty() { Ok(()) } else { Err(format!("the log tells:\n{}", found.join("\n")).into()) }
}

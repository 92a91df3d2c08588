//! Local documents: which of them a database with other ranges can have.

use couchfile::data_dir::{Range, document_hash};
use couchfile::document::LocalDocument;
use couchfile::json::Json;

/// What the ids of local documents of CouchDB itself begin with. They lie in every shard, whatever the hash of their id, and name
/// uuids and sequences of shards that do not exist any more.
///
/// Sources: `mem3_rep.erl` (`make_local_id/3`, `make_purge_id/2`), `couch_mrview_util.erl` (`get_local_purge_doc_id/1`).
const INTERNAL: [&[u8]; 2] = [b"_local/shard-sync-", b"_local/purge-"];

/// Whether a local document goes on in the database with other ranges.
///
/// A client reaches a local document only in the range that contains its hash: what lies elsewhere is CouchDB's own.
/// Checkpoints of replications name sequences of the shards that were. Without them, a replication compares both sides once.
pub(crate) fn goes_on(doc: &LocalDocument<'_>, range: Range) -> bool {
    let is_internal = INTERNAL.iter().any(|prefix| doc.id.starts_with(prefix));
    // The id of a local document begins with `_`, so it is hashed completely whether the database is partitioned or not.
    !is_internal && range.contains(document_hash(doc.id, false)) && !is_checkpoint(doc)
}

/// Whether a local document is the checkpoint of a replication, of CouchDB or PouchDB: it has the id of the session and the
/// history of sessions.
///
/// Source: `couch_replicator_scheduler_job.erl` (`do_checkpoint/1`).
fn is_checkpoint(doc: &LocalDocument<'_>) -> bool {
    let mut text = Vec::new();
    if couchfile::document::local_json(doc, &mut text).is_err() {
        return false;
    }
    Json::parse(&text).is_ok_and(|body| {
        let has = |name| body.get(name).is_some();
        has("session_id") && has("history") && (has("source_last_seq") || has("last_seq"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn goes(id: &str, body: &Value, range: &str) -> bool {
        let body = couchfile::ejson::encode_json(body).unwrap();
        let doc = LocalDocument { id: id.as_bytes(), revision: 1, body: &body };
        goes_on(&doc, range.parse().unwrap())
    }

    #[test]
    fn what_clients_wrote_goes_on() {
        let all = "00000000-ffffffff";
        assert!(goes("_local/mine", &json!({"session_id": 1}), all));
        for id in ["_local/shard-sync-a-b", "_local/purge-mem3-a", "_local/purge-mrview-a", "_local/purge-x"]
        {
            assert!(!goes(id, &json!({}), all), "{id}");
        }
        let couchdb =
            json!({"session_id": "a", "source_last_seq": "1-x", "history": [], "replication_id_version": 4});
        let pouchdb = json!({"session_id": "a", "last_seq": "1-x", "history": [], "replicator": "pouchdb", "version": 1});
        assert!(!goes("_local/abc", &couchdb, all) && !goes("_local/abc", &pouchdb, all));
    }

    #[test]
    fn what_lies_where_no_client_looks_stays_behind() {
        let halves = ["00000000-7fffffff", "80000000-ffffffff"];
        let found: Vec<bool> = halves.iter().map(|range| goes("_local/mine", &json!({}), range)).collect();
        assert_ne!(found[0], found[1]);
    }
}

//! What the copies of a shard know of each other. CouchDB's internal replication notes in both copies up to which sequence
//! of its own one has sent its changes to the other.
//!
//! Source: `mem3_rep.erl` (`make_local_id/3`, `save_on_target/3`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::checksum::md5;
use crate::database::Database;
use crate::document;
use crate::edit::NewLocal;
use crate::ejson::encode_json;
use crate::error::{CouchFileError, Result};
use crate::json::Json;
use crate::read_at::ReadAt;
use crate::term::Encoder;

/// What the ids of all these notes begin with.
pub const PREFIX: &str = "_local/shard-sync-";

/// Id of the note that records how far the changes of one copy have been sent to another copy, both named by their uuids.
pub fn checkpoint_id(source: &str, target: &str) -> String {
    let hash = |uuid: &str| {
        let mut term = Encoder::versioned();
        term.binary(uuid.as_bytes());
        URL_SAFE_NO_PAD.encode(md5(&term.finish()))
    };
    format!("{PREFIX}{}-{}", hash(source), hash(target))
}

/// The notes with which copies that hold the very same data, up to this sequence, know that of each other: internal replication
/// then need not compare them. All copies hold all these notes. In the order of their ids.
///
/// CouchDB starts from the lower one of the sequences that the notes on both sides have (`mem3_rep.erl`,
/// `calculate_start_seq/3`); of what else it writes into them, it needs nothing.
pub fn agreed(uuids: &[String], seq: u64) -> Result<Vec<NewLocal>> {
    let mut notes = Vec::new();
    for source in uuids {
        for target in uuids.iter().filter(|target| *target != source) {
            let body = serde_json::json!({"seq": seq, "target_uuid": target, "history": {}});
            let body = encode_json(&body).map_err(|e| CouchFileError::Invalid(e.to_string()))?;
            notes.push(NewLocal { id: checkpoint_id(source, target).into_bytes(), body });
        }
    }
    notes.sort();
    Ok(notes)
}

/// The update sequence of this copy up to which it has sent its changes to the copy with uuid `target`; `None` if it
/// never did.
pub fn sent_to<R: ReadAt>(copy: &Database<R>, target: &str) -> Result<Option<u64>> {
    let Some(uuid) = &copy.header().uuid else { return Ok(None) };
    let id = checkpoint_id(uuid, target);
    let found = copy.local_document(id.as_bytes(), |doc| {
        let mut json = Vec::new();
        document::local_json(doc, &mut json)?;
        Ok(Json::parse(&json).ok().and_then(|body| body.get("seq")?.as_u64()))
    })?;
    Ok(found.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::{DatabaseWriter, Settings};

    const ONE: &str = "8c4fdb5fac9c10b8bbb550dbc5dc3938";
    const OTHER: &str = "c070c74711d7e53afbfac07d97f8203a";

    #[test]
    fn ids_are_those_that_couchdb_makes() {
        // Of two copies in the cluster `four-nodes-n2` of the end-to-end tests.
        let id = "_local/shard-sync-USnfZiG9-ng1K9GxOr1HBw-UDw6DxDLp7afn0B4CAB2cg";
        assert_eq!(checkpoint_id(ONE, OTHER), id);
    }

    #[test]
    fn copies_that_agree_have_nothing_to_send() {
        let body = encode_json(&serde_json::json!({"x": 1})).unwrap();
        let mut writer = DatabaseWriter::new(Vec::new(), Settings::new(ONE.into(), "a@b")).unwrap();
        for id in ["_local/a", "_local/shard-sync-old", "_local/z"] {
            writer.add_local(id.as_bytes(), 1, &body);
        }
        let file = writer.finish().unwrap();
        let before = Database::open(file.as_slice()).unwrap();
        let uuids = [ONE.to_owned(), OTHER.to_owned(), "f".repeat(32)];
        let add_local = agreed(&uuids, 5).unwrap();
        assert_eq!(add_local.len(), 6);
        let keep_local = |id: &[u8]| !id.starts_with(PREFIX.as_bytes());
        let edit = crate::edit::Edit {
            header: crate::header::HeaderEdit::default(),
            keep_local: &keep_local,
            add_local: &add_local,
        };
        let tail = crate::edit::edit(&before, &edit).unwrap();
        let after = [&file[..tail.keep as usize], &tail.bytes].concat();
        let after = Database::open(after.as_slice()).unwrap();
        assert_eq!(sent_to(&after, OTHER).unwrap(), Some(5));
        assert_eq!(sent_to(&after, &uuids[2]).unwrap(), Some(5));
        let mut ids = Vec::new();
        after
            .for_each_local(|doc| -> Result<()> {
                ids.push(String::from_utf8_lossy(doc.id).into_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!((ids.len(), ids[0].as_str(), ids[7].as_str()), (8, "_local/a", "_local/z"));
    }

    #[test]
    fn a_copy_tells_what_it_has_sent() {
        let mut writer = DatabaseWriter::new(Vec::new(), Settings::new(ONE.into(), "a@b")).unwrap();
        let mut add = |id: &str, seq: u64| {
            let body = encode_json(&serde_json::json!({"seq": seq, "target_uuid": OTHER})).unwrap();
            writer.add_local(id.as_bytes(), 1, &body);
        };
        add(&checkpoint_id(ONE, OTHER), 7);
        add(&checkpoint_id(OTHER, ONE), 9);
        let file = writer.finish().unwrap();
        let copy = Database::open(file.as_slice()).unwrap();
        assert_eq!(sent_to(&copy, OTHER).unwrap(), Some(7));
        assert_eq!(sent_to(&copy, ONE).unwrap(), None);
    }
}

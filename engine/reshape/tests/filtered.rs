//! Documents that pass through a filter: what it gives back is written, and nothing else.

#[allow(dead_code)]
mod common;

use std::collections::BTreeMap;

use common::{content, database, filtered};
use couchfile::ejson::external_size;
use couchfile::error::CouchFileError;
use couchfile::term::Decoder;
use filter::{Filter, Glance, Session, Verdict};
use outcome::{Code, Failure, Result};
use reshape::OldShard;
use serde_json::{Value, json};

type Decide = dyn Fn(&str, Value) -> Result<Verdict> + Send + Sync;

/// A filter made of a function.
struct Function(Box<Decide>);

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Function")
    }
}

impl Filter for Function {
    fn at_a_glance(&self, revision: Glance<'_>) -> Option<Verdict> {
        (revision.id == "glanced").then_some(Verdict::LeaveOut)
    }

    fn session(&self, database: &str) -> Result<Box<dyn Session + '_>> {
        assert_eq!(database, "db");
        Ok(Box::new(Asked(&self.0)))
    }

    fn identity(&self) -> String {
        "function".into()
    }
}

struct Asked<'a>(&'a Decide);

impl Session for Asked<'_> {
    fn judge(&mut self, revision: Glance<'_>, document: &[u8]) -> Result<Verdict> {
        let id = revision.id;
        let document: Value = serde_json::from_slice(document).unwrap();
        assert_eq!(document["_id"], id);
        (self.0)(id, document)
    }
}

fn through(
    old: &[OldShard],
    q: u32,
    partitioned: bool,
    decide: impl Fn(&str, Value) -> Result<Verdict> + Send + Sync + 'static,
) -> Result<(Vec<OldShard>, reshape::Counts)> {
    filtered(old, q, partitioned, 2, Some(&Function(Box::new(decide))))
}

fn replaced(document: &Value) -> Verdict {
    Verdict::Replace(document.to_string().into_bytes())
}

#[test]
fn what_is_kept_is_the_same_without_older_bodies_purges_and_local_documents() {
    for (from, to, partitioned) in [(2, 2, false), (3, 5, true)] {
        let old = database(from, 450, partitioned);
        let (new, counts) = through(&old, to, partitioned, |_, _| Ok(Verdict::Keep)).unwrap();
        let mut expected = content(&old);
        for revisions in expected.documents.values_mut() {
            let parents: Vec<Option<String>> = revisions.iter().map(|revision| revision.1.clone()).collect();
            for (rev, _, stored) in revisions.iter_mut() {
                if parents.contains(&Some(rev.clone())) {
                    *stored = None;
                }
            }
        }
        expected.locals.clear();
        expected.purges.clear();
        assert_eq!(content(&new), expected);
        assert_eq!((counts.documents, counts.left_out, counts.locals, counts.purges), (450, 0, 0, 0));
        let mut internal = 0;
        for shard in &new {
            shard
                .file
                .for_each_local(|_| {
                    internal += 1;
                    Ok::<(), CouchFileError>(())
                })
                .unwrap();
        }
        assert_eq!(internal, 0);
    }
}

#[test]
fn bodies_and_attachments_are_those_that_the_filter_gives() {
    let old = database(2, 450, false);
    let (new, _) = through(&old, 3, false, |id, mut document| {
        let attachments = document.get_mut("_attachments").and_then(Value::as_object_mut);
        if let Some(attachments) = attachments {
            let first = attachments.keys().next().cloned().unwrap();
            attachments.shift_remove(&first);
        }
        let deleted = document.get("_deleted").is_some();
        let kept = ["_id", "_rev", "_deleted", "_attachments"];
        document.as_object_mut().unwrap().retain(|name, _| kept.contains(&name.as_str()));
        document["new"] = json!({"of": id, "deleted": deleted, "big": [1.5, -7, null]});
        Ok(replaced(&document))
    })
    .unwrap();
    let (before, after) = (content(&old), content(&new));
    let mut sizes = 0;
    for (id, old_revisions) in &before.documents {
        let new_revisions = &after.documents[id];
        assert_eq!(old_revisions.len(), new_revisions.len());
        for (old, new) in old_revisions.iter().zip(new_revisions) {
            assert_eq!((&old.0, &old.1), (&new.0, &new.1), "ids of revisions stay");
            let Some((deleted, body, attachments)) = &new.2 else { continue };
            let (was_deleted, _, old_attachments) = old.2.as_ref().unwrap();
            assert_eq!(deleted, was_deleted);
            let mut text = Vec::new();
            couchfile::ejson::write_json(&mut Decoder::new(body), &mut text).unwrap();
            let expected = json!({"new": {"of": String::from_utf8_lossy(id), "deleted": deleted, "big": [1.5, -7, null]}});
            assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), expected);
            assert_eq!(attachments.as_slice(), old_attachments.get(1..).unwrap_or_default());
            // As CouchDB counts them: the body, and what is stored of each attachment, once.
            sizes += external_size(&mut Decoder::new(body)).unwrap();
            sizes += attachments.iter().map(|(_, content)| content.len() as u64).sum::<u64>();
        }
    }
    let found: u64 = new.iter().map(|shard| shard.file.sizes().unwrap().external).sum();
    assert_eq!(found, sizes);
    let bytes: u64 = old.iter().map(|shard| shard.file.header_end()).sum();
    assert!(new.iter().map(|shard| shard.file.header_end()).sum::<u64>() < bytes);
}

#[test]
fn documents_and_conflicts_are_left_out() {
    let old = database(2, 450, false);
    let leaves = |revisions: &[common::Revision]| -> Vec<String> {
        let parents: Vec<&String> = revisions.iter().filter_map(|revision| revision.1.as_ref()).collect();
        revisions.iter().map(|revision| &revision.0).filter(|rev| !parents.contains(rev)).cloned().collect()
    };
    // Of some documents everything, of conflicts all that is deleted, of others nothing.
    let goes = |id: &str, deleted: bool| id.ends_with('3') || deleted;
    let (new, counts) = through(&old, 2, false, move |id, document| {
        Ok(if goes(id, document.get("_deleted").is_some()) { Verdict::LeaveOut } else { Verdict::Keep })
    })
    .unwrap();
    let (before, after) = (content(&old), content(&new));
    let mut expected: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for (id, revisions) in &before.documents {
        let stays = leaves(revisions).into_iter().filter(|leaf| {
            let deleted =
                revisions.iter().find(|revision| revision.0 == *leaf).unwrap().2.as_ref().unwrap().0;
            !goes(&String::from_utf8_lossy(id), deleted)
        });
        let stays: Vec<String> = stays.collect();
        if !stays.is_empty() {
            expected.insert(id.clone(), stays);
        }
    }
    let found: BTreeMap<Vec<u8>, Vec<String>> =
        after.documents.iter().map(|(id, revisions)| (id.clone(), leaves(revisions))).collect();
    assert_eq!(found, expected);
    assert!(expected.len() < 400 && expected.len() > 200, "{}", expected.len());
    assert_eq!((counts.documents, counts.left_out), (expected.len() as u64, 450 - expected.len() as u64));
    for shard in &new {
        let (documents, deleted) = shard.file.counts().unwrap();
        assert_eq!((shard.file.header().update_seq, deleted), (documents, 0));
    }
    // No revision is there that is none of an ancestor of a leaf that stays.
    for revisions in after.documents.values() {
        assert!(revisions.iter().all(|revision| !revision.0.is_empty()));
        assert_eq!(revisions.iter().filter(|revision| revision.1.is_none()).count(), 1);
    }
    let (nothing, counts) = through(&old, 2, false, |_, _| Ok(Verdict::LeaveOut)).unwrap();
    assert_eq!((content(&nothing).documents.len(), counts.left_out), (0, 450));
}

#[test]
fn what_the_filter_must_not_do_is_named_with_the_document() {
    let old = database(2, 100, false);
    for (change, problem) in [
        (json!({"_id": "other"}), "its `_id` is \"other\""),
        (json!({"_rev": "9-9"}), "its `_rev` is \"9-9\""),
        (json!({"_deleted": "yes"}), "its `_deleted` is \"yes\""),
        (json!({"_other": 1}), "has got `_other`"),
        (json!({"_attachments": {"made-up": {}}}), "names the attachment \"made-up\""),
    ] {
        let failure = through(&old, 2, false, move |_, mut document| {
            document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            Ok(replaced(&document))
        })
        .map(drop)
        .unwrap_err();
        let text = failure.to_string();
        assert!(
            text.contains(problem) && text.contains("document \"") && text.contains("restore db"),
            "{text}"
        );
        assert_eq!(failure.code().to_string(), "CC-P46");
    }
    for text in [&b"no json"[..], b"null", b"\xff"] {
        let failure =
            through(&old, 2, false, |_, _| Ok(Verdict::Replace(text.to_vec()))).map(drop).unwrap_err();
        assert_eq!(failure.code().to_string(), "CC-P46", "{failure}");
    }
    let failure =
        through(&old, 2, false, |_, _| Err(Failure::refused(Code::new("CC-X00"), "it is tired", "rest")));
    let failure = failure.map(drop).unwrap_err();
    assert_eq!((failure.code().to_string(), failure.remedy()), ("CC-X00".into(), Some("rest".into())));
    assert!(failure.to_string().contains("restore db through the filter: it is tired"), "{failure}");
}

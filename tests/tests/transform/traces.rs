//! What the plugin takes away is nowhere in what is written.

use couchcopy_tests::lab::{back_up, couchcopy};
use couchcopy_tests::{Result, content, fixtures};
use couchfile::compression::Compression;
use couchfile::document::Encoding;
use couchfile::ejson::encode_json;
use couchfile::writer::{DatabaseWriter, NewAttachment, NewBody, NewDocument, Settings, random_uuid};
use serde_json::json;

use super::settings;

/// What must not be found. None begins like another, so that each is as it is in a packed body, too.
const SECRETS: [&str; 8] = [
    "Ada Lovelace",
    "walrus@zoo.example",
    "Older-Quokka",
    "Konflikt-Zebra",
    "Gone-Jaguar",
    "Photo-Of-Heron",
    "Mine-Pelican",
    "Purged-Badger",
];
/// The file in the fixture whose content is replaced.
const SHARD: &str = "shards/00000000-ffffffff/q1n1.";

/// A shard with a secret in everything that a file can hold.
fn with_secrets(compression: Compression) -> Result<Vec<u8>> {
    let body = |json: &serde_json::Value| -> Result<NewBody> {
        Ok(NewBody { term: encode_json(json)?, deleted: false, attachments: Vec::new() })
    };
    let mut settings = Settings::new(random_uuid()?, "a@b");
    settings.compression = compression;
    let mut writer = DatabaseWriter::new(Vec::new(), settings)?;
    for i in 0..200 {
        let mut doc =
            NewDocument::first(format!("doc-{i}").as_bytes(), body(&json!({"name": SECRETS[2], "i": i}))?);
        let mut with = body(&json!({"name": SECRETS[0], "deep": [{"mail": SECRETS[1]}], "i": i}))?;
        if i % 10 == 0 {
            let data = SECRETS[5].repeat(100).into_bytes();
            let original_len = data.len() as u64;
            with.attachments.push(NewAttachment {
                name: "file".into(),
                content_type: "text/plain".into(),
                data,
                original_len,
                revpos: 2,
                encoding: Encoding::Identity,
            });
        }
        doc.edit(0, with)?;
        doc.edit(0, body(&json!({"name": SECRETS[3]}))?)?;
        let deleted = doc.edit(0, NewBody { deleted: true, ..body(&json!({"name": SECRETS[4]}))? })?;
        assert_eq!(deleted, 3);
        writer.add(&doc)?;
    }
    writer.add_local(b"_local/mine", 1, &encode_json(&json!({"name": SECRETS[6]}))?);
    writer.add_purge(&random_uuid()?, SECRETS[7].as_bytes(), &[(1, vec![1; 16])]);
    Ok(writer.finish()?)
}

/// The secrets that are in a text.
fn found(text: &[u8]) -> Vec<&'static str> {
    let is_in = |secret: &&&str| text.windows(secret.len()).any(|window| window == secret.as_bytes());
    SECRETS.iter().filter(is_in).copied().collect()
}

#[test]
fn no_trace_is_left() -> Result<()> {
    for compression in [Compression::None, Compression::Snappy] {
        let dir = tempfile::tempdir()?;
        let cluster = fixtures::single_node()?;
        let data = &cluster.nodes[0].data;
        let files = fixtures::files_ending(data, "couch")?;
        let shard = files.iter().find(|path| path.starts_with(SHARD)).ok_or("no shard")?;
        let secrets = with_secrets(compression)?;
        assert_eq!(found(&secrets), SECRETS, "all are there, {compression:?}");
        std::fs::write(data.join(shard), &secrets)?;
        let archive = dir.path().join("a.tar.gz");
        back_up(&cluster.nodes, &archive)?;
        let archive = archive.to_str().ok_or("no text")?;
        let file = settings(dir.path(), "replace = [\"name\", \"deep.*.mail\"]\ndrop-attachments = true")?;
        let file = file.to_str().ok_or("no text")?;
        for (q, transform) in [(None, true), (Some("3"), true), (Some("3"), false)] {
            let to = tempfile::tempdir_in(dir.path())?;
            let target = format!("{},n@127.0.41.1", to.path().join("n").display());
            let mut all = vec!["restore", "--offline", "--only", "q1n1"];
            all.extend(q.iter().flat_map(|q| ["--q", *q]));
            if transform {
                all.extend(["--transform", "anonymise", "--transform-settings", file]);
            }
            all.extend([archive, &target]);
            couchcopy(&all)?.success()?;
            let mut bytes = Vec::new();
            let mut documents = 0;
            for path in fixtures::files_below(to.path())? {
                bytes.extend(std::fs::read(to.path().join(&path))?);
                if path.contains("_dbs") {
                    continue;
                }
                // Unpacked, too: every body that is there.
                let file = content::open(&to.path().join(&path))?;
                file.for_each_document(|doc| -> Result<()> {
                    documents += 1;
                    for revision in doc.revisions.as_ref().ok_or("no revisions")?.revisions() {
                        if let Some(stored) = &revision.stored {
                            bytes.extend(file.summary(stored)?.body.as_slice());
                        }
                    }
                    Ok(())
                })?;
            }
            assert_eq!(documents, 200);
            assert_eq!(found(&bytes), if transform { &[][..] } else { &SECRETS }, "{q:?}");
            if transform {
                let again = dir.path().join("again.tar.gz");
                back_up(&[to.path().join("n")], &again)?;
                let again = again.to_str().ok_or("no text")?;
                let dumped = couchcopy(&[
                    "dump",
                    "--conflicts",
                    "--deleted",
                    "--local",
                    "--attachments",
                    again,
                    "q1n1",
                ])?;
                let dumped = dumped.success()?;
                assert_eq!((dumped.lines().count(), found(dumped.as_bytes())), (600, vec![]));
                assert!(dumped.contains("anon-"), "{dumped}");
                std::fs::remove_file(again)?;
            }
        }
    }
    Ok(())
}

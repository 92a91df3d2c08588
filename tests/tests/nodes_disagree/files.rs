//! Files in data folders that no shard map names, and shard maps that are mostly garbage.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use couchcopy_tests::lab::{Ended, couchcopy};
use couchcopy_tests::{Result, fixtures};
use couchfile::data_dir::{Range, ShardName};
use couchfile::database::Database;
use couchfile::shard_map::ShardMap;
use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// A shard with so many documents.
fn shard(documents: usize) -> Result<Vec<u8>> {
    let mut writer = DatabaseWriter::new(Vec::new(), Settings::new("e".repeat(32), "n@h"))?;
    for i in 0..documents {
        let term = couchfile::ejson::encode_json(&serde_json::json!({"n": i}))?;
        let body = NewBody { term, deleted: false, attachments: Vec::new() };
        writer.add(&NewDocument::first(i.to_string().as_bytes(), body))?;
    }
    Ok(writer.finish()?)
}

fn put(data: &Path, path: &str, content: &[u8]) -> Result<()> {
    let path = data.join(path);
    fs::create_dir_all(path.parent().ok_or("no folder")?)?;
    Ok(fs::write(path, content)?)
}

fn back_up(data: &Path, archive: &Path, more: &[&str]) -> Result<Ended> {
    let mut arguments = vec!["backup".to_owned(), "--json".to_owned(), "--overwrite".to_owned()];
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    arguments.push(format!("localhost,{}", data.display()));
    arguments.push(archive.display().to_string());
    Ok(couchcopy(&arguments)?.unwrapped())
}

fn left_out(ended: &Ended) -> Result<BTreeMap<String, Value>> {
    let told: Value = serde_json::from_str(&ended.stdout)?;
    let all = told["left_out"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().map(|left| (left["kind"].as_str().unwrap_or_default().to_owned(), left)).collect())
}

/// Shard maps with their revisions, by database.
type KnownMaps = BTreeMap<String, (String, ShardMap)>;

#[test]
fn shards_that_no_map_names_are_counted_and_end_with_code_3() -> Result<()> {
    let single = fixtures::single_node()?;
    let data = single.nodes[0].data.as_path();
    let archive = single.dir().join("a.tar.gz");
    let before = left_out(&back_up(data, &archive, &[])?)?;
    assert!(!before.contains_key("unknown-shards"), "{before:?}");
    for range in Range::split(2) {
        let name = ShardName { range, db: "lost".into(), suffix: ".1700000000".into() };
        put(data, &name.path(), &shard(30)?)?;
    }
    let ended = back_up(data, &archive, &[])?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let lost = &left_out(&ended)?["unknown-shards"];
    let told = ["name", "suffix", "files", "documents"].map(|key| lost[key].to_string());
    assert_eq!(told, ["\"lost\"", "\".1700000000\"", "2", "60"]);
    assert!(
        ended.stderr.contains("shards that no shard map names") && ended.stderr.contains("lost"),
        "{ended:?}"
    );
    Ok(())
}

#[test]
fn softly_deleted_and_old_databases_are_reported() -> Result<()> {
    let single = fixtures::single_node()?;
    let data = single.nodes[0].data.as_path();
    let archive = single.dir().join("a.tar.gz");
    put(data, "shards/00000000-ffffffff/a/gone.1700000000.20261128.183000.deleted.couch", &shard(3)?)?;
    put(data, "sales.couch", &shard(5)?)?;
    put(data, "by/year.couch", &shard(5)?)?;
    let ended = back_up(data, &archive, &[])?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let left = left_out(&ended)?;
    assert_eq!(
        (&left["soft-deleted"]["name"], left["soft-deleted"]["files"].as_u64()),
        (&"a/gone".into(), Some(1))
    );
    assert!(left["soft-deleted"]["bytes"].as_u64() > Some(4096));
    let old: Vec<&str> =
        ["sales", "by/year"].into_iter().filter(|name| ended.stdout.contains(name)).collect();
    assert_eq!(old.len(), 2, "{ended:?}");
    for word in ["*.deleted.couch", "a/gone", "CouchDB 1.x", "by/year"] {
        assert!(ended.stderr.contains(word), "{word}: {ended:?}");
    }
    Ok(())
}

#[test]
fn shard_maps_that_are_mostly_garbage_are_written_anew() -> Result<()> {
    let single = fixtures::single_node()?;
    let data = single.nodes[0].data.as_path();
    let (plain, rewritten) = (single.dir().join("plain.tar.gz"), single.dir().join("rewritten.tar.gz"));
    back_up(data, &plain, &[])?;
    // Garbage before the last header: the file as it is, blocks of nothing, and its header again.
    let maps = data.join("_dbs.couch");
    let file = fs::read(&maps)?;
    let end = Database::open(file.as_slice())?.header_offset() as usize;
    let mut larger = file.clone();
    larger.resize(file.len().next_multiple_of(4096) + (8 << 20), 0);
    larger.extend_from_slice(&file[end..]);
    fs::write(&maps, &larger)?;
    back_up(data, &rewritten, &[])?;
    let read = |archive: &Path| -> Result<(usize, KnownMaps)> {
        let file = std::io::BufReader::new(fs::File::open(archive)?);
        let mut bytes = Vec::new();
        for entry in tar::Archive::new(MultiGzDecoder::new(file)).entries()? {
            let mut entry = entry?;
            if entry.path()?.ends_with("_dbs.couch") {
                entry.read_to_end(&mut bytes)?;
            }
        }
        let database = Database::open(bytes.as_slice())?;
        let mut found = BTreeMap::new();
        database.for_each_document(|doc| -> couchfile::error::Result<()> {
            let winner = doc.revisions.as_ref().and_then(|tree| tree.winner());
            let (Some(winner), false) = (winner, doc.deleted || doc.id.starts_with(b"_design/")) else {
                return Ok(());
            };
            let Some(stored) = &winner.stored else { return Ok(()) };
            let name = String::from_utf8_lossy(doc.id).into_owned();
            if let Ok(map) = ShardMap::decode(&name, &mut database.summary(stored)?.body.decoder()) {
                found.insert(name, (winner.to_string(), map));
            }
            Ok(())
        })?;
        Ok((bytes.len(), found))
    };
    let (one, other) = (read(&plain)?, read(&rewritten)?);
    assert!(other.0 < 1 << 20, "{} bytes", other.0);
    assert_eq!(one.1, other.1);
    couchcopy(&["verify".as_ref(), rewritten.as_os_str()])?.success()?;
    Ok(())
}

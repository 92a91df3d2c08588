//! Archives opened as snapshots, against what a CouchDB's HTTP interface said of the same data.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::{ArchiveWriter, EntrySource, Facts, METADATA, Opened, WriterOptions};
use couchfile::document::{AttachmentForm, JsonOptions};
use flate2::read::GzDecoder;
use outcome::{Advice, FailureKind};
use serde_json::{Map, Value, json};
use snapshot::{Document, Error, Flow, OpenOptions, Since, Snapshot, SnapshotDatabase, Walk};

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name)
}

fn oracle(name: &str) -> Result<Map<String, Value>> {
    let mut text = String::new();
    GzDecoder::new(File::open(data(name))?).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

struct Bytes(String, Vec<u8>);

impl EntrySource for Bytes {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, outcome::Failure> {
        buf.extend_from_slice(&self.1);
        Ok(Opened::Small { name: self.0, mtime: 0, facts: Facts::Other, seen: None })
    }
}

/// An archive with a table of contents made of a tar of a data folder.
fn indexed(tar: &str) -> Result<tempfile::NamedTempFile> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(GzDecoder::new(File::open(data(tar))?)).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_str().ok_or("a name that is no text")?.to_owned();
        if entry.header().entry_type().is_file() && couchfile::data_dir::locate(&name).is_some() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.push(Bytes(name, content));
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let file = tempfile::NamedTempFile::new()?;
    let mut writer = ArchiveWriter::with_chunk_size(file.reopen()?, WriterOptions::default(), 1024);
    writer.add_bytes(
        METADATA,
        0,
        Facts::Metadata,
        b"backup: {date: 2026-11-22T00:00:00Z}\ncouchcopy: {version: 9.9}\n",
    )?;
    writer.add_all(files.into_iter(), &|_| {})?;
    let limits = json!({"cluster": {"limits": {"q8": {"revs_limit": 7, "purged_infos_limit": 8}}}});
    writer.finish(limits)?;
    Ok(file)
}

fn open(path: &Path) -> Result<Arc<Snapshot>> {
    Ok(Snapshot::open(&path.into(), &OpenOptions::default(), &|_| {})?)
}

fn leaves(document: &Document<'_>) -> Result<Value> {
    let options =
        JsonOptions { revs: true, attachments: AttachmentForm::InlineAfter(0), ..JsonOptions::default() };
    let mut leaves = Vec::new();
    for leaf in document.leaves()? {
        leaves.push((leaf.to_string(), serde_json::from_slice::<Value>(&document.json(&leaf, options)?)?));
    }
    leaves.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(leaves.into_iter().map(|(_, leaf)| leaf).collect())
}

fn read(database: &SnapshotDatabase) -> Result<Value> {
    let info = database.info()?;
    let mut docs = Map::new();
    database.documents::<Box<dyn std::error::Error + Send + Sync>>(&Walk::default(), |document| {
        docs.insert(document.id().to_owned(), leaves(document)?);
        Ok(Flow::On)
    })?;
    let mut local = Vec::new();
    database.locals::<Error>(&Walk::default(), |id, mut doc| {
        if !SnapshotDatabase::is_internal_local(id) {
            doc.as_object_mut().map(|doc| doc.remove("_rev"));
            local.push(json!([id, serde_json::from_slice::<Value>(&doc.to_vec()).unwrap_or_default()]));
        }
        Ok(Flow::On)
    })?;
    let map = database.map();
    Ok(json!({
        "doc_count": info.documents,
        "doc_del_count": info.deleted,
        "props": if map.is_partitioned() { json!({"partitioned": true}) } else { json!({}) },
        "security": serde_json::from_slice::<Value>(&database.security()?.to_vec())?,
        "revs_limit": database.revs_limit()?,
        "ranges": map.by_range.keys().map(ToString::to_string).collect::<Vec<_>>(),
        "local": local,
        "docs": docs,
    }))
}

/// Compares everything, and what is asked for one by one with what comes in a row.
fn check(snapshot: &Arc<Snapshot>, mut expected: Map<String, Value>, limits_told: bool) -> Result<()> {
    let mut names = Vec::new();
    snapshot.databases::<Error>(&Walk::default(), |name| {
        names.push(name.to_owned());
        Ok(Flow::On)
    })?;
    let mut wanted: Vec<String> = expected.keys().cloned().collect();
    wanted.sort();
    assert_eq!(names, wanted);
    if limits_told {
        expected["q8"]["revs_limit"] = 7.into();
    }
    for (name, said) in &expected {
        let database = snapshot.database(name)?.ok_or("a database is missing")?;
        assert_eq!(&read(&database)?, said, "{name}");
        check_ways(&database, said)?;
    }
    assert!(snapshot.database("nothing")?.is_none());
    assert!(snapshot.database("_design/x")?.is_none());
    assert!(snapshot.database("")?.is_none());
    Ok(())
}

/// Every way to a document leads to the same one.
fn check_ways(database: &SnapshotDatabase, said: &Value) -> Result<()> {
    let docs = said["docs"].as_object().ok_or("no object")?;
    for (id, expected) in docs {
        let document = database.document(id)?.ok_or("a document is missing")?;
        assert_eq!((document.id(), &leaves(&document)?), (id.as_str(), expected));
        for leaf in expected.as_array().ok_or("no array")? {
            let rev = leaf["_rev"].as_str().ok_or("no text")?;
            assert_eq!(document.revision(rev)?.ok_or("no such revision")?.to_string(), rev);
        }
        let winner = document.winner()?.to_string();
        let conflicts = [document.conflicts(false)?, document.conflicts(true)?].concat();
        assert_eq!(conflicts.len() + 1, expected.as_array().map_or(0, Vec::len));
        assert!(!conflicts.contains(&winner));
    }
    assert!(database.document("no such document")?.is_none());

    let ids = |walk: &Walk| -> Result<Vec<String>> {
        let mut ids = Vec::new();
        database.documents::<Error>(walk, |document| {
            ids.push(document.id().to_owned());
            Ok(Flow::On)
        })?;
        Ok(ids)
    };
    let forth = ids(&Walk::default())?;
    let mut back = ids(&Walk { descending: true, ..Walk::default() })?;
    back.reverse();
    assert_eq!(forth, back);
    // From the middle, both ways.
    if let Some(middle) = forth.get(forth.len() / 2) {
        let start = Some(middle.clone().into_bytes());
        let up = ids(&Walk { start: start.clone(), ..Walk::default() })?;
        assert_eq!(up, forth[forth.len() / 2..]);
        let mut down = ids(&Walk { start: start.clone(), descending: true, ..Walk::default() })?;
        down.reverse();
        assert_eq!(down, forth[..=forth.len() / 2]);
        let until = Walk { end: start, exclusive_end: true, ..Walk::default() };
        assert_eq!(ids(&until)?, forth[..forth.len() / 2]);
        let beyond = Walk { start: Some([middle.as_bytes(), b"\x00"].concat()), ..Walk::default() };
        assert_eq!(ids(&beyond)?, forth[forth.len() / 2 + 1..]);
    }

    // Changes: every document once; from anywhere on the rest; the other way the opposite order.
    let changes = |since: &Since, descending: bool| -> Result<Vec<(String, Since)>> {
        let mut found = Vec::new();
        database.changes::<Error>(since, descending, |document, reached| {
            found.push((document.id().to_owned(), reached.clone()));
            Ok(Flow::On)
        })?;
        Ok(found)
    };
    let all = changes(&Since::default(), false)?;
    let mut changed: Vec<&String> = all.iter().map(|(id, _)| id).collect();
    changed.sort();
    assert_eq!(changed, forth.iter().collect::<Vec<_>>());
    for at in [0, all.len() / 3, all.len().saturating_sub(1)] {
        if let Some((_, reached)) = all.get(at) {
            let reached: Since = reached.to_string().parse()?;
            assert_eq!(changes(&reached, false)?, all[at + 1..]);
        }
    }
    assert_eq!(changes(&database.info()?.update_seq, false)?, []);
    let mut backwards: Vec<String> =
        changes(&Since::default(), true)?.into_iter().map(|(id, _)| id).collect();
    backwards.reverse();
    assert_eq!(backwards, all.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
    Ok(())
}

/// Whoever goes through the backups of a repository opens thousands, one after the other.
#[test]
fn a_snapshot_that_nobody_uses_any_more_is_closed() -> Result<()> {
    let archive = indexed("single-node.tar.gz")?;
    let snapshot = Snapshot::open(&archive.path().into(), &OpenOptions::default(), &|_| {})?;
    let database = snapshot.database("plain")?.ok_or("no database")?;
    assert_eq!(database.info()?.documents, 2000);
    let again = snapshot.database("plain")?.ok_or("no database")?;
    let watched = Arc::downgrade(&snapshot);
    drop((snapshot, database));
    // A database in use keeps its snapshot.
    assert_eq!(again.snapshot().database("plain")?.ok_or("no database")?.info()?.documents, 2000);
    drop(again);
    assert_eq!(watched.strong_count(), 0);
    Ok(())
}

#[test]
fn an_archive_with_a_table_of_contents() -> Result<()> {
    let file = indexed("single-node.tar.gz")?;
    let snapshot = open(file.path())?;
    assert!(snapshot.is_indexed());
    assert_eq!(snapshot.about().made_by.as_deref(), Some("couchcopy 9.9 (Python)"));
    assert_eq!(snapshot.about().date.as_deref(), Some("2026-11-22T00:00:00Z"));
    check(&snapshot, oracle("single-node.json.gz")?, true)
}

#[test]
fn archives_of_the_python_couchcopy_and_of_tar() -> Result<()> {
    for name in ["couchcopy-0.2.4.tar.gz", "single-node.tar.gz"] {
        let told = std::sync::Mutex::new(0);
        let tell = |_: &str| *told.lock().unwrap() += 1;
        let snapshot = Snapshot::open(&data(name).into(), &OpenOptions::default(), &tell)?;
        assert!(!snapshot.is_indexed());
        assert_eq!(*told.lock().unwrap(), 1);
        check(&snapshot, oracle("single-node.json.gz")?, false)?;
    }
    Ok(())
}

#[test]
fn of_a_foreign_archive_only_what_is_wanted_is_kept() -> Result<()> {
    let options = OpenOptions { only: Some(vec!["atts".into()]), ..OpenOptions::default() };
    let snapshot = Snapshot::open(&data("couchcopy-0.2.4.tar.gz").into(), &options, &|_| {})?;
    let expected = oracle("single-node.json.gz")?;
    assert_eq!(read(&*snapshot.database("atts")?.ok_or("no database")?)?, expected["atts"]);
    let other = snapshot.database("plain")?.ok_or("no database")?.info();
    assert!(matches!(other, Err(Error::MissingShard { .. })), "{other:?}");
    Ok(())
}

#[test]
fn what_is_no_backup_of_one_node_is_refused() {
    let several = Snapshot::open(&data("four-nodes-n2.tar.gz").into(), &OpenOptions::default(), &|_| {});
    let several = several.err().map(|error| (error.kind(), error.to_string()));
    assert!(
        matches!(&several, Some((FailureKind::Refused, text)) if text.contains("several data directories")),
        "{several:?}"
    );
    let none = Snapshot::open(&data("couch-files.tar.gz").into(), &OpenOptions::default(), &|_| {});
    assert!(none.is_err());
    assert!(Snapshot::open(&Path::new("/nowhere").into(), &OpenOptions::default(), &|_| {}).is_err());
    assert!(Snapshot::open(&data("README.md").into(), &OpenOptions::default(), &|_| {}).is_err());
}

#[test]
fn attachments_come_stored_and_decoded() -> Result<()> {
    let snapshot = open(&data("couchcopy-0.2.4.tar.gz"))?;
    let database = snapshot.database("atts")?.ok_or("no database")?;
    let document = database.document("with")?.ok_or("no document")?;
    let winner = document.winner()?;
    let (mut gzipped, mut plain) = (0, 0);
    for attachment in document.summary(&winner)?.attachments {
        let mut decoded = Vec::new();
        document.attachment(&attachment, true, |piece| {
            decoded.extend_from_slice(piece);
            Ok(())
        })?;
        assert_eq!(decoded.len() as u64, attachment.original_len);
        let mut stored = Vec::new();
        document.attachment(&attachment, false, |piece| {
            stored.extend_from_slice(piece);
            Ok(())
        })?;
        assert_eq!(stored.len() as u64, attachment.stored_len);
        if attachment.encoding == couchfile::document::Encoding::Gzip {
            gzipped += 1;
            let mut again = Vec::new();
            GzDecoder::new(stored.as_slice()).read_to_end(&mut again)?;
            assert_eq!(again, decoded);
        } else {
            plain += 1;
            assert_eq!(stored, decoded);
        }
        assert_eq!(document.attachment_content(&attachment, 3)?, decoded[..decoded.len().min(3)]);
    }
    assert!(gzipped > 0 && plain > 0);
    Ok(())
}

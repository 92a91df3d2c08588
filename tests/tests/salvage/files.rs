//! Single files with many generations of nodes, as CouchDB leaves them behind between compactions.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use couchcopy_tests::random::SplitMix;
use couchcopy_tests::{Result, content, fixtures};
use couchfile::data_dir::{DataFile, locate};
use couchfile::database::Database;
use salvage::{Copy, DocumentLine, Grade, Output, Shard, salvage_shard};
use serde_json::Value;

use super::damage::damage;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes the proven documents and the report.
#[derive(Default)]
struct Taken {
    file: Shared,
    lines: BTreeMap<String, DocumentLine>,
}

impl Output for Taken {
    fn create(&mut self, apart: bool) -> io::Result<Option<Box<dyn Write>>> {
        Ok(if apart { None } else { Some(Box::new(self.file.clone())) })
    }

    fn document(&mut self, line: &DocumentLine) -> io::Result<()> {
        self.lines.insert(line.id.clone(), line.clone());
        Ok(())
    }
}

/// What was recovered of a file: the leaves of each document, and the report.
fn recovered(
    path: &str,
    copies: &[Vec<u8>],
) -> Result<(BTreeMap<String, Value>, BTreeMap<String, DocumentLine>)> {
    let (database, range) = match locate(path).map(|(_, file)| file) {
        Some(DataFile::Shard(shard)) => (shard.db, Some(shard.range)),
        _ => (path.to_owned(), None),
    };
    let shard = Shard { path: path.to_owned(), database, range, strict: false };
    let copy = |bytes: &Vec<u8>| Copy { name: path.to_owned(), bytes: Box::new(bytes.clone()) };
    let mut taken = Taken::default();
    let scratch = std::env::temp_dir();
    salvage_shard(&shard, copies.iter().map(copy).collect(), &scratch, &mut taken, &mut |_| {})?;
    let bytes = taken.file.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((leaves(&bytes)?, taken.lines))
}

/// The leaves of each document in a file, as an oracle has them.
fn leaves(bytes: &[u8]) -> Result<BTreeMap<String, Value>> {
    let file = Database::open(bytes)?;
    let mut documents = BTreeMap::new();
    file.for_each_document(|doc| -> Result<()> {
        documents.insert(String::from_utf8_lossy(doc.id).into_owned(), content::leaves(&file, doc)?);
        Ok(())
    })?;
    Ok(documents)
}

fn rev(leaf: &Value) -> Option<&str> {
    leaf.get("_rev").and_then(Value::as_str)
}

/// A file's name, its bytes, and the documents in it.
type Original = (String, Vec<u8>, BTreeMap<String, Value>);

/// Every file of a data folder before and after its compaction.
fn originals() -> Result<Vec<Original>> {
    let files = fixtures::couch_files()?;
    let mut originals = Vec::new();
    for moment in ["pre", "post"] {
        let folder = files.data(moment);
        for path in fixtures::files_ending(&folder, "couch")? {
            let bytes = std::fs::read(folder.join(&path))?;
            let right = leaves(&bytes)?;
            // One file has 10,000 documents: a few damages of it are enough.
            if bytes.len() < 1 << 20 && !right.is_empty() && path.starts_with("shards/") {
                originals.push((path, bytes, right));
            }
        }
    }
    Ok(originals)
}

#[test]
fn undamaged_files_come_back_as_they_are() -> Result<()> {
    for (path, bytes, right) in originals()? {
        let (documents, lines) = recovered(&path, &[bytes])?;
        for (id, leaves) in &right {
            // Revision ids that a client chose prove nothing, so those documents are apart.
            if documents.get(id) != Some(leaves) {
                let line = lines.get(id).ok_or_else(|| format!("{path}: {id} is missing"))?;
                assert!(line.unproven_rev.is_some(), "{path}: {line:?}\n{:?}\n{leaves}", documents.get(id));
            }
        }
        assert!(documents.keys().all(|id| right.contains_key(id)), "{path}: a purged document is back");
    }
    Ok(())
}

#[test]
fn nothing_wrong_comes_out_of_damaged_files() -> Result<()> {
    let originals = originals()?;
    let (mut whole, mut newest) = (0, 0);
    for seed in 0..120u64 {
        let (path, bytes, right) = &originals[seed as usize % originals.len()];
        let damaged = damage(bytes, &mut SplitMix(seed.wrapping_mul(0x1234_5679)));
        let (documents, lines) = recovered(path, &[damaged])?;
        for (id, found) in &documents {
            let line = lines.get(id).ok_or("a document without a line")?;
            let found = found.as_array().ok_or("no leaves")?;
            let original = right.get(id).and_then(Value::as_array);
            let is_newest = line.grade == Grade::Whole && line.newest;
            for leaf in found {
                let same = original.and_then(|all| all.iter().find(|other| rev(other) == rev(leaf)));
                let Some(same) = same else {
                    // An older generation, or one that was purged since the state that is left.
                    assert!(!is_newest, "seed {seed} {path}: {line:?} {leaf}");
                    continue;
                };
                whole += 1;
                newest += u64::from(is_newest);
                if line.lost_attachments.is_empty() {
                    let (mut a, mut b) = (leaf.clone(), same.clone());
                    // Uncertain ancestors are cut.
                    for value in [&mut a, &mut b] {
                        value.as_object_mut().ok_or("no object")?.remove("_revisions");
                    }
                    assert_eq!(a, b, "seed {seed} {path}: {line:?}");
                }
            }
        }
    }
    eprintln!("{whole} leaves are right, of {newest} it is known that they are the newest");
    assert!(whole > 2000 && newest > 400, "{whole} {newest}");
    Ok(())
}

//! Backups of files that change like CouchDB changes them, without a CouchDB.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::{open, read_cluster, shard_maps};
use couchfile::compression::Compression;
use couchfile::header::HeaderEdit;
use couchfile::writer::Appender;
use scale_data::build;
use serde_json::Value;

use super::run::{backup, expect, plan, text, unpack};

/// Backups made while files change.
const BACKUPS: usize = 8;

/// Appends as a commit does, in three writes: data that no header names yet, half a header, its other half.
fn commit(path: &Path, purge_infos_limit: u64) -> Result<()> {
    let database = open(path)?;
    let end = fs::metadata(path)?.len();
    let mut out = Appender::new(Vec::new(), end, Compression::default());
    out.piece(&vec![purge_infos_limit as u8; 3000 + purge_infos_limit as usize % 5000])?;
    let edit = HeaderEdit { purge_infos_limit: Some(purge_infos_limit), ..HeaderEdit::default() };
    let header = out.header(&database.header().edited(&edit))?;
    let bytes = out.into_inner();
    let data = (header - end) as usize;
    let mut file = File::options().write(true).open(path)?;
    file.seek(SeekFrom::Start(end))?;
    for piece in [&bytes[..data], &bytes[data..data + 20], &bytes[data + 20..]] {
        file.write_all(piece)?;
        std::thread::yield_now();
    }
    Ok(())
}

/// Swaps a compacted file in, as CouchDB does: the old one goes first, and for a moment there is none.
fn swap(path: &Path, compacted: &[u8]) -> Result<()> {
    let new = PathBuf::from(format!("{}.compact", path.display()));
    fs::write(PathBuf::from(format!("{}.data", new.display())), &compacted[..compacted.len() / 2])?;
    fs::write(&new, compacted)?;
    fs::remove_file(path)?;
    std::thread::sleep(Duration::from_micros(300));
    fs::rename(&new, path)?;
    fs::remove_file(PathBuf::from(format!("{}.data", new.display())))?;
    Ok(())
}

#[test]
fn files_that_change_while_they_are_saved() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(20, 40, 1), &dir.path().join("node"))?;
    let data = built.folders[0].path.as_path();
    let before = read_cluster(&[data])?;
    let mut shards = Vec::new();
    for map in shard_maps(data)?.values() {
        for shard in map.shards() {
            let path = data.join(shard.path());
            let bytes = fs::read(&path)?;
            shards.push((path, bytes));
        }
    }
    let (stop, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    let change = || -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            for (path, bytes) in &shards {
                let n = changes.fetch_add(1, Ordering::Relaxed);
                if n % 3 == 2 { swap(path, bytes)? } else { commit(path, 1000 + n)? }
            }
        }
        Ok(())
    };
    let save = || -> Result<()> {
        for i in 0..BACKUPS {
            let archive = dir.path().join(format!("{i}.tar.gz"));
            let saved = backup(0, &[data], &archive)?;
            for nothing in ["problems", "deleted_meanwhile", "created_meanwhile"] {
                assert_eq!(saved[nothing], Value::Array(Vec::new()), "{nothing}");
            }
            expect(0, &["verify", text(&archive)])?;
            let unpacked = unpack(&archive)?;
            assert_eq!(compare(&before, &read_cluster(&[&unpacked.path().join("data")])?), [""; 0]);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let changing = scope.spawn(change);
        let saved = save();
        stop.store(true, Ordering::Relaxed);
        changing.join().map_err(|_| "the changing thread panicked")??;
        saved
    })?;
    assert!(changes.into_inner() > 100);
    Ok(())
}

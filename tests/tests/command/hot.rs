//! Backups of files that change like CouchDB changes them, without a CouchDB.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::{open, read_cluster, shard_maps};
use couchcopy_tests::lab::{self, binary, wait_for};
use couchfile::compression::Compression;
use couchfile::header::HeaderEdit;
use couchfile::writer::Appender;
use rustix::fs::{Mode, OFlags};
use scale_data::build;
use scale_data::plan::Plan;
use serde_json::Value;

use super::run::{Targets, backup, expect, json, plan, restore, source, text, unpack};

/// Backups made while files change.
const BACKUPS: usize = 20;

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
    assert!(changes.into_inner() > BACKUPS as u64);
    Ok(())
}

/// A pipe in the place of a shard holds the backup up there, after it opened the shard maps, until it is told to go on.
#[test]
fn databases_that_come_and_go_while_they_are_saved() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(4, 40, 1), &dir.path().join("node"))?;
    let data = built.folders[0].path.as_path();
    let mut expected = read_cluster(&[data])?;
    expected.as_object_mut().ok_or("no object")?.shift_remove("bulk-000004");
    let later = Plan { empty: 2, ..plan(3, 40, 1) };
    let later = build::build(&later, &dir.path().join("later"))?;
    let map = shard_maps(data)?.remove("bulk-000004").ok_or("no such database")?;
    let shards: Vec<PathBuf> = map.shards().map(|shard| data.join(shard.path())).collect();
    fs::remove_file(&shards[0])?;
    lab::run(Command::new("mkfifo").arg(&shards[0]))?.success()?;

    let archive = dir.path().join("backup.tar.gz");
    let child = Command::new(binary()?)
        .args(["backup", "--json", "--threads", "1", &source(data), text(&archive)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pipe = wait_for("the backup to come to the pipe", || {
        Ok(Some(rustix::fs::open(&shards[0], OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty())?))
    })?;
    for shard in &shards {
        fs::remove_file(shard)?;
    }
    fs::copy(later.folders[0].path.join("_dbs.couch"), dir.path().join("maps"))?;
    fs::rename(dir.path().join("maps"), data.join("_dbs.couch"))?;
    drop(pipe);
    let ended = child.wait_with_output()?;
    let warnings = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{warnings}");
    let saved: Value = serde_json::from_slice(&ended.stdout)?;
    assert_eq!(saved["deleted_meanwhile"], serde_json::json!(["bulk-000004"]), "{saved}");
    assert_eq!(saved["created_meanwhile"], serde_json::json!(["empty-000001", "empty-000002"]), "{saved}");
    assert_eq!(saved["databases"], 3);
    assert!(warnings.contains("bulk-000004") && warnings.contains("empty-000001"), "{warnings}");

    let verified = json(0, &["verify", text(&archive)])?;
    assert_eq!(verified["deleted_meanwhile"], saved["deleted_meanwhile"]);
    let targets = Targets::new(2)?;
    restore(0, &archive, &targets.nodes, &[])?;
    assert_eq!(compare(&expected, &read_cluster(&targets.folders())?), [""; 0]);

    // Whoever does not read that note finds no such database in an archive whose maps were written anew.
    let new = dir.path().join("new.tar.gz");
    assert_eq!(json(0, &["unbrand", text(&archive), text(&new)])?["databases"], 3);
    expect(0, &["verify", text(&new)])?;
    let unpacked = unpack(&new)?;
    assert_eq!(compare(&expected, &read_cluster(&[&unpacked.path().join("data")])?), [""; 0]);
    Ok(())
}

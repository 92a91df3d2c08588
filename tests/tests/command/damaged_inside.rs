//! Damage behind an intact header: no restore puts it in place of anything, backups can look for it, and the rest is read.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::{read_cluster, shard_maps};
use couchfile::header;
use couchfile::term::{Decoder, Encoder};
use scale_data::build;
use scale_data::plan::Plan;
use serde_json::Value;

use super::run::{Targets, backup, expect, json, plan, restore, source, text};

/// A cluster of so many nodes with three databases.
struct Built {
    dir: tempfile::TempDir,
    folders: Vec<PathBuf>,
    before: Value,
    /// The first database, and the paths of its shards.
    db: String,
    shards: Vec<String>,
}

impl Built {
    fn new(plan: &Plan) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let built = build::build(plan, &dir.path().join("nodes"))?;
        let folders: Vec<PathBuf> = built.folders.into_iter().map(|folder| folder.path).collect();
        let paths: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
        let before = read_cluster(&paths)?;
        let (db, map) = shard_maps(&folders[0])?.into_iter().next().ok_or("no maps")?;
        let shards = map.shards().map(|shard| shard.path()).collect();
        Ok(Self { dir, folders, before, db, shards })
    }

    /// Zeroes the middle of a shard of the first database on a node.
    fn zero_the_middle(&self, node: usize, bytes: usize) -> Result<()> {
        let path = self.folders[node].join(&self.shards[0]);
        let len = usize::try_from(fs::metadata(&path)?.len())?;
        let file = fs::OpenOptions::new().write(true).open(path)?;
        let count = bytes.min(len / 2);
        file.write_all_at(&vec![0; count], ((len - count) / 2) as u64)?;
        Ok(())
    }

    fn archive(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// All databases but the damaged one.
    fn others(&self) -> Result<Value> {
        let mut others = self.before.clone();
        others.as_object_mut().ok_or("no object")?.remove(&self.db);
        Ok(others)
    }
}

fn small() -> Plan {
    plan(3, 200, 1)
}

/// Shards of some MiB, which go through other hands than small ones.
fn large() -> Plan {
    Plan { doc_size: 6000, ..plan(2, 1200, 1) }
}

/// An archive without table of contents of the same folder.
fn foreign(built: &Built) -> Result<PathBuf> {
    let archive = built.archive("foreign.tar.gz");
    let folder = &built.folders[0];
    let (parent, name) = (folder.parent().ok_or("no parent")?, folder.file_name().ok_or("no name")?);
    let mut tar = std::process::Command::new("tar");
    couchcopy_tests::lab::run(tar.arg("-czf").arg(&archive).arg("-C").arg(parent).arg(name))?.success()?;
    Ok(archive)
}

#[test]
fn a_restore_refuses_what_is_damaged_inside_and_names_the_documents() -> Result<()> {
    for (plan, zeroed) in [(small(), 9000), (large(), 1 << 20)] {
        let built = Built::new(&plan)?;
        built.zero_the_middle(0, zeroed)?;
        let archive = built.archive("one.tar.gz");
        backup(0, &[&built.folders[0]], &archive)?;
        for archive in [archive, foreign(&built)?] {
            let targets = Targets::new(2)?;
            let refused = restore(6, &archive, &targets.nodes, &[])?;
            let message = refused["error"]["message"].as_str().unwrap_or_default();
            for part in [built.db.as_str(), &built.shards[0], "document"] {
                assert!(message.contains(part), "{part}: {message}");
            }
            assert!(refused["error"]["remedy"].as_str().is_some_and(|text| text.contains("--skip-damaged")));
            for folder in targets.folders() {
                let empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
                assert!(empty, "{} is not empty", folder.display());
            }
            let restored = restore(3, &archive, &targets.nodes, &["--skip-damaged"])?;
            assert_eq!(restored["left_out"][0]["path"], built.db.as_str(), "{restored}");
            assert_eq!(compare(&built.others()?, &read_cluster(&targets.folders())?), [""; 0]);
        }
    }
    Ok(())
}

#[test]
fn verify_reads_behind_a_damaged_node_and_names_what_it_hides() -> Result<()> {
    let built = Built::new(&large())?;
    built.zero_the_middle(0, 1 << 20)?;
    let archive = built.archive("one.tar.gz");
    backup(0, &[&built.folders[0]], &archive)?;
    let verified = json(3, &["verify", text(&archive)])?;
    let problems = verified["problems"].as_array().ok_or("no problems")?;
    assert!(problems.iter().all(|problem| problem["path"] == built.shards[0].as_str()), "{verified}");
    assert!(problems.iter().any(|p| p["problem"].as_str().is_some_and(|p| p.starts_with("document \""))));
    // Most documents are read all the same.
    let documents = verified["documents"].as_u64().unwrap_or(0);
    assert!(documents > 2000, "{verified}");
    Ok(())
}

#[test]
fn a_checking_backup_takes_the_intact_copy_of_another_node() -> Result<()> {
    for (plan, zeroed) in [
        (Plan { copies: 2, nodes: plan(1, 1, 2).nodes, ..small() }, 9000),
        (Plan { copies: 2, nodes: plan(1, 1, 2).nodes, ..large() }, 1 << 20),
    ] {
        let built = Built::new(&plan)?;
        // Whichever copy is chosen first.
        for node in [0, 1] {
            let intact = fs::read(built.folders[node].join(&built.shards[0]))?;
            built.zero_the_middle(node, zeroed)?;
            let sources: Vec<String> = built.folders.iter().map(|folder| source(folder)).collect();
            let archive = built.archive(&format!("both-{node}.tar.gz"));
            let saved = json(0, &["backup", "--check", &sources[0], &sources[1], text(&archive)])?;
            assert_eq!(saved["problems"].as_array().map(Vec::len), Some(0), "{saved}");
            assert!(saved.get("damaged").is_none(), "{saved}");
            json(0, &["verify", text(&archive)])?;

            // Alone it is saved as it is, and said.
            let archive = built.archive(&format!("alone-{node}.tar.gz"));
            let saved = json(3, &["backup", "--check", &sources[node], text(&archive)])?;
            assert_eq!(saved["damaged"][0]["path"], built.shards[0].as_str(), "{saved}");
            assert!(saved["damaged"][0]["problem"].as_str().is_some_and(|p| p.contains("document")));
            json(3, &["verify", text(&archive)])?;
            fs::write(built.folders[node].join(&built.shards[0]), intact)?;
        }
    }
    Ok(())
}

#[test]
fn a_dump_goes_on_behind_what_is_damaged() -> Result<()> {
    for (plan, zeroed) in [(small(), 9000), (large(), 1 << 20)] {
        let docs = usize::try_from(plan.docs)?;
        let built = Built::new(&plan)?;
        let archive = built.archive("one.tar.gz");
        backup(0, &[&built.folders[0]], &archive)?;
        let whole = expect(0, &["dump", text(&archive), &built.db])?.stdout;
        assert_eq!(whole.lines().count(), docs);
        built.zero_the_middle(0, zeroed)?;
        let archive = built.archive("damaged.tar.gz");
        backup(0, &[&built.folders[0]], &archive)?;
        let ended = expect(3, &["dump", text(&archive), &built.db])?;
        let count = ended.stdout.lines().count();
        assert!(count > docs / 2 && count < docs, "{count} of {docs}");
        let all: std::collections::HashSet<&str> = whole.lines().collect();
        assert!(ended.stdout.lines().all(|line| all.contains(line)));
        assert!(ended.stderr.contains(&built.db) && ended.stderr.contains("damaged"), "{}", ended.stderr);
    }
    Ok(())
}

/// Gives a file's last header one more element.
fn of_the_future(path: &Path) -> Result<()> {
    let mut bytes = fs::read(path)?;
    let last = header::find_last(&couchfile::blocks::Blocks::new(bytes.clone()))?.ok_or("no header")?;
    let mut decoder = Decoder::versioned(&last.term)?;
    let size = decoder.tuple()?;
    let mut term = Encoder::versioned();
    term.tuple(size + 1);
    for _ in 0..size {
        term.raw(decoder.raw()?);
    }
    term.atom(b"undefined");
    bytes.truncate(usize::try_from(last.offset)?);
    bytes.extend(header::encode(term.as_bytes()));
    Ok(fs::write(path, bytes)?)
}

#[test]
fn files_of_a_newer_couchdb_are_refused_and_never_called_damaged() -> Result<()> {
    for maps in [false, true] {
        let built = Built::new(&small())?;
        let folder = &built.folders[0];
        of_the_future(&folder.join(if maps { "_dbs.couch" } else { built.shards[0].as_str() }))?;
        let archive = built.archive("one.tar.gz");
        let refused = backup(5, &[folder], &archive)?;
        let told = refused.to_string();
        assert!(told.contains("written by a newer CouchDB") && told.contains("Update couchcopy"), "{told}");
        assert!(!told.contains("is damaged") && !archive.exists(), "{told}");

        // Somebody else's archive of it.
        let foreign = foreign(&built)?;
        let refused = json(5, &["verify", text(&foreign)])?.to_string();
        assert!(refused.contains("written by a newer CouchDB"), "{refused}");
        let targets = Targets::new(1)?;
        let refused = restore(5, &foreign, &targets.nodes, &["--skip-damaged"])?.to_string();
        assert!(refused.contains("written by a newer CouchDB"), "{refused}");
    }
    Ok(())
}

/// What a file system may leave behind after a crash.
#[test]
fn a_sparse_tail_of_gigabytes_takes_no_time() -> Result<()> {
    let built = Built::new(&small())?;
    let folder = &built.folders[0];
    let shard = folder.join(&built.shards[0]);
    let len = fs::metadata(&shard)?.len();
    fs::OpenOptions::new().write(true).open(&shard)?.set_len(len + (20 << 30))?;
    let archive = built.archive("one.tar.gz");
    let begun = std::time::Instant::now();
    backup(0, &[folder], &archive)?;
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    let targets = Targets::new(1)?;
    restore(0, &archive, &targets.nodes, &[])?;
    assert_eq!(compare(&built.before, &read_cluster(&targets.folders())?), [""; 0]);
    Ok(())
}

#[test]
fn what_a_compaction_left_of_a_missing_shard_is_named() -> Result<()> {
    let built = Built::new(&small())?;
    let folder = &built.folders[0];
    let shard = folder.join(&built.shards[0]);
    let mut left = shard.clone().into_os_string();
    left.push(".compact.data");
    fs::rename(&shard, &left)?;
    let saved = backup(3, &[folder], &built.archive("one.tar.gz"))?;
    let problem = saved["problems"][0]["problem"].as_str().unwrap_or_default();
    assert!(problem.contains(".compact.data") && problem.contains("bytes"), "{saved}");
    Ok(())
}

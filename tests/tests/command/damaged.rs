//! Damaged, torn and missing files: what can be saved is saved, the rest is named, and nothing is restored as an empty
//! database.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::{open, read_cluster, shard_maps};
use couchcopy_tests::{Result, fixtures, lab};
use couchfile::blocks::{BLOCK, Blocks};
use couchfile::data_dir::DataFile;
use couchfile::database::Database;
use couchfile::header;
use couchfile::read_at::FileBytes;
use couchfile::term::Encoder;
use couchfile::view::ViewIndex;
use scale_data::build;
use serde_json::Value;

use super::run::{Targets, backup, json, plan, restore, text, unpack};

/// What is done to a file, and a piece of what is said of it.
const DAMAGE: [(&str, &str); 7] = [
    ("zeros", "header"),
    ("torn", "header"),
    ("emptied", "header"),
    ("compacting", "compaction"),
    ("cut compaction", "compaction"),
    ("points beyond", "damaged"),
    ("missing", "missing"),
];

fn damage(file: &Path, how: &str) -> Result<()> {
    let mut bytes = fs::read(file)?;
    match how {
        "zeros" => bytes.fill(0),
        "torn" => bytes.truncate(bytes.len() - 10),
        "emptied" => bytes.clear(),
        "compacting" => {
            bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
            let mut term = Encoder::versioned();
            term.tuple(3).atom(b"comp_header").nil().nil();
            bytes.extend(header::encode(term.as_bytes()));
        }
        "cut compaction" => {
            let files = fixtures::couch_files()?;
            bytes = fs::read(files.data("post").join("shards/00000000-7fffffff/many.1795356996.couch"))?;
            bytes.truncate(100_000);
        }
        "points beyond" => {
            let files = fixtures::couch_files()?;
            bytes = fs::read(files.special("header-past-data.couch"))?;
        }
        "missing" => return Ok(fs::remove_file(file)?),
        other => return Err(other.into()),
    }
    Ok(fs::write(file, bytes)?)
}

/// Packs a folder as an administrator would.
fn tar(folder: &Path, archive: &Path) -> Result<()> {
    let parent = folder.parent().ok_or("no parent")?;
    let name = folder.file_name().ok_or("no name")?;
    lab::run(Command::new("tar").arg("-czf").arg(archive).arg("-C").arg(parent).arg(name))?.success()?;
    Ok(())
}

fn list<'a>(value: &'a Value, of: &str) -> Vec<(&'a str, &'a str)> {
    let items = value[of].as_array().map(Vec::as_slice).unwrap_or_default();
    let field = |item: &'a Value, name| item[name].as_str().unwrap_or_default();
    items.iter().map(|item| (field(item, "path"), field(item, "problem"))).collect()
}

/// Restores what can be; compares the rest with what was there.
fn check_restores(archive: &Path, before: &Value, lost: &[String]) -> Result<()> {
    let targets = Targets::new(2)?;
    let error = restore(6, archive, &targets.nodes, &[])?;
    assert!(error["error"]["remedy"].as_str().is_some_and(|text| text.contains("--skip-damaged")), "{error}");
    assert!(targets.folders().iter().all(|folder| !folder.exists()));
    let restored = restore(3, archive, &targets.nodes, &["--skip-damaged"])?;
    let left_out = list(&restored, "left_out");
    assert_eq!(left_out.iter().map(|(db, _)| (*db).to_owned()).collect::<Vec<_>>(), lost);
    let mut expected = before.clone();
    expected.as_object_mut().ok_or("no object")?.retain(|db, _| !lost.contains(db));
    assert_eq!(compare(&expected, &read_cluster(&targets.folders())?), [""; 0]);
    Ok(())
}

#[test]
fn damaged_shards_are_named_and_taken_from_another_node() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(8, 40, 2), &dir.path().join("nodes"))?;
    let folders: Vec<&Path> = built.folders.iter().map(|folder| folder.path.as_path()).collect();
    let before = read_cluster(&folders)?;
    let mut expected = BTreeMap::new();
    let mut lost = Vec::new();
    for ((db, map), (how, words)) in shard_maps(folders[0])?.into_iter().zip(DAMAGE) {
        let path = map.shards().next().ok_or("no shards")?.path();
        damage(&folders[0].join(&path), how)?;
        expected.insert(path, words);
        lost.push(db);
    }

    let archive = dir.path().join("one.tar.gz");
    let saved = backup(3, &folders[..1], &archive)?;
    let problems = list(&saved, "problems");
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (path, problem) in &problems {
        assert!(problem.contains(expected[*path]), "{path}: {problem}");
    }
    let verified = json(3, &["verify", text(&archive)])?;
    let told: Vec<&str> = list(&verified, "problems").iter().map(|(path, _)| *path).collect();
    assert_eq!(told, expected.keys().collect::<Vec<_>>());
    assert_eq!(json(0, &["info", text(&archive)])?["problems"], expected.len());
    check_restores(&archive, &before, &lost)?;

    // The other node has good copies.
    let both = dir.path().join("both.tar.gz");
    assert!(list(&backup(0, &folders, &both)?, "problems").is_empty());
    json(0, &["verify", text(&both)])?;
    assert_eq!(compare(&before, &read_cluster(&[&unpack(&both)?.path().join("data")])?), [""; 0]);

    // Packed with tar, the damaged files are in the archive, and found there.
    let foreign = dir.path().join("foreign.tar.gz");
    tar(folders[0], &foreign)?;
    let verified = json(3, &["verify", text(&foreign)])?;
    assert_eq!(list(&verified, "problems").len(), expected.len());
    check_restores(&foreign, &before, &lost)
}

/// Only a verification reads what is inside.
#[test]
fn damage_inside_a_shard_is_found_by_verify() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(2, 200, 1), &dir.path().join("node"))?;
    let folder = &built.folders[0].path;
    let map = shard_maps(folder)?.into_values().next().ok_or("no maps")?;
    let path = map.shards().next().ok_or("no shards")?.path();
    let mut bytes = fs::read(folder.join(&path))?;
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0x55);
    fs::write(folder.join(&path), bytes)?;
    let archive = dir.path().join("backup.tar.gz");
    backup(0, &[folder], &archive)?;
    let verified = json(3, &["verify", text(&archive)])?;
    assert!(list(&verified, "problems").iter().all(|(found, _)| found.contains(&path)), "{verified}");
    Ok(())
}

/// Cuts a database back to a state before this sequence.
fn cut_back(file: &Path, seq: u64) -> Result<()> {
    let bytes = fs::read(file)?;
    let blocks = Blocks::new(bytes.clone());
    let mut before = blocks.end();
    while let Some(header) = header::find_before(&blocks, before)? {
        let state = bytes[..header.end as usize].to_vec();
        if Database::open(state.clone()).is_ok_and(|database| database.header().update_seq < seq) {
            return Ok(fs::write(file, state)?);
        }
        before = header.offset;
    }
    Err("no older state".into())
}

#[test]
fn view_indexes_that_would_mislead_couchdb_are_left_out() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let data = &fixture.nodes[0].data;
    let views = fixtures::files_ending(data, "view")?;
    assert_eq!(views.len(), 2);
    let Some(DataFile::View { shard, .. }) = DataFile::parse(&views[0]) else { return Err("no view".into()) };
    let seq = ViewIndex::open(FileBytes::new(File::open(data.join(&views[0]))?)?)?.header.update_seq;
    cut_back(&data.join(shard.path()), seq)?;
    let misnamed = data.join(&views[1]).with_file_name(format!("{}.view", "0123456789abcdef".repeat(2)));
    fs::copy(data.join(&views[1]), misnamed)?;
    fs::write(data.join(&views[1]), [0; 5000])?;

    let archive = fixture.dir().join("backup.tar.gz");
    let saved = backup(0, &[data], &archive)?;
    assert_eq!(saved["views"], 0);
    let left_out = saved["views_left_out"].to_string();
    for words in [&views[0], &views[1], "is ahead of its database", "its signature does not match its name"] {
        assert!(left_out.contains(words), "{words}: {left_out}");
    }
    json(0, &["verify", text(&archive)])?;
    let targets = Targets::new(1)?;
    restore(0, &archive, &targets.nodes, &[])?;
    let restored = &targets.nodes[0].data;
    assert_eq!(fixtures::files_ending(restored, "view")?, [""; 0]);
    for path in fixtures::files_ending(restored, "couch")? {
        let locals = couchcopy_tests::content::locals(&open(&restored.join(&path))?)?;
        assert!(!locals.keys().any(|id| id.starts_with("_local/purge-mrview-")), "{path}");
    }

    // Packed with tar they are in the archive, but not restored.
    let foreign = fixture.dir().join("foreign.tar.gz");
    tar(data, &foreign)?;
    let unfit = json(3, &["verify", text(&foreign)])?["unfit_views"].to_string();
    for words in [
        &shard.path(),
        "is ahead of its database",
        "no valid header",
        "its signature does not match its name",
    ] {
        assert!(unfit.contains(words), "{words}: {unfit}");
    }
    let targets = Targets::new(1)?;
    let result = restore(0, &foreign, &targets.nodes, &[])?;
    assert_eq!(list(&result, "views_left_out").len(), 3, "{result}");
    assert_eq!(fixtures::files_ending(&targets.nodes[0].data, "view")?, [""; 0]);
    Ok(())
}

#[test]
fn compactions_and_other_leftovers_are_never_saved_nor_restored() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let data = &fixture.nodes[0].data;
    let oracle = fixtures::oracle("single-node")?;
    let beside = |path: &str, ending: &str| data.join(format!("{path}{ending}"));
    let shards: Vec<String> = fixtures::files_ending(data, "couch")?
        .into_iter()
        .filter(|path| path.starts_with("shards/"))
        .collect();
    let stale = fs::read(data.join(&shards[1]))?;
    for ending in [".compact.data", ".compact.meta", ".compact"] {
        fs::write(beside(&shards[0], ending), &stale)?;
    }
    let view = fixtures::files_ending(data, "view")?.remove(0);
    let compacted_view = view.replace(".view", ".compact.view");
    fs::copy(data.join(&view), data.join(&compacted_view))?;
    fs::create_dir_all(data.join(".delete"))?;
    fs::write(data.join(".delete/0123456789abcdef.1795355234.couch"), &stale)?;
    fs::write(data.join("old.couch"), &stale)?;
    fs::write(data.join("shards/00000000-7fffffff/nobody.1795355234.couch"), &stale)?;

    let foreign = fixture.dir().join("foreign.tar.gz");
    tar(data, &foreign)?;
    // CouchDB was killed in the middle of a swap.
    fs::rename(data.join(&shards[2]), beside(&shards[2], ".compact"))?;
    let archive = fixture.dir().join("backup.tar.gz");
    // The file of no shard map may be the last one of a database, so its absence is a loss.
    backup(3, &[data], &archive)?;
    let unpacked = unpack(&archive)?;
    let saved = fixtures::files_below(unpacked.path())?;
    for leftover in ["compact", "_nodes", ".delete", "old.couch", "nobody"] {
        assert!(!saved.iter().any(|path| path.contains(leftover)), "{leftover}: {saved:?}");
    }
    for archive in [archive, foreign] {
        json(0, &["verify", text(&archive)])?;
        let targets = Targets::new(2)?;
        restore(0, &archive, &targets.nodes, &[])?;
        assert_eq!(compare(&oracle, &read_cluster(&targets.folders())?), [""; 0]);
        for folder in targets.folders() {
            let files = fixtures::files_below(folder)?;
            assert!(files.iter().all(|path| DataFile::parse(path).is_some()), "{files:?}");
            assert!(!files.iter().any(|path| path.contains("nobody")), "{files:?}");
        }
    }
    Ok(())
}

//! Data directories of nodes that do not run.

use std::path::{Path, PathBuf};

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::{self, read_cluster};
use couchcopy_tests::lab::{Ended, back_up, couchcopy};
use couchcopy_tests::{Result, fixtures};
use couchfile::check::{Placement, check};
use couchfile::data_dir::DataFile;
use serde_json::Value;

use super::with_ranges;

/// Restores into so many new directories; gives them.
fn restore(archive: &Path, to: &Path, nodes: usize, arguments: &[&str]) -> Result<Vec<PathBuf>> {
    let folders: Vec<PathBuf> = (1..=nodes).map(|i| to.join(format!("n{i}"))).collect();
    run(archive, &folders, arguments)?.success()?;
    Ok(folders)
}

fn run(archive: &Path, folders: &[PathBuf], arguments: &[&str]) -> Result<Ended> {
    let mut all = vec!["restore".to_owned(), "--offline".to_owned()];
    all.extend(arguments.iter().map(ToString::to_string));
    all.push(archive.display().to_string());
    all.extend(folders.iter().enumerate().map(|(i, dir)| format!("{},n{i}@127.0.85.{i}", dir.display())));
    couchcopy(&all)
}

/// Fails unless directories hold what is expected, in files without any fault, with a uuid of its own in each.
fn examine(folders: &[PathBuf], expected: &Value) -> Result<()> {
    let paths: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    assert_eq!(compare(expected, &read_cluster(&paths)?), [""; 0]);
    let mut uuids = std::collections::HashSet::new();
    for folder in folders {
        let maps = content::shard_maps(folder)?;
        for path in fixtures::files_ending(folder, "couch")? {
            let file = content::open(&folder.join(&path))?;
            let uuid = file.header().uuid.clone().ok_or("no uuid")?;
            assert!(uuids.insert(uuid), "{path}: its uuid is another file's");
            let Some(DataFile::Shard(shard)) = DataFile::parse(&path) else { continue };
            let map = &maps[&shard.db];
            assert!(map.by_range.contains_key(&shard.range), "{path}: belongs to no database");
            let partitioned = map.is_partitioned();
            let report = check(&file, Some(Placement { range: shard.range, partitioned }))?;
            assert!(report.is_whole(), "{path}: {:?}", report.problems);
        }
    }
    Ok(())
}

/// Every fixture with any number of ranges holds what HTTP told of it, and again with the numbers that it had.
#[test]
fn every_fixture_with_any_number_of_ranges() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let single = dir.path().join("single.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &single)?;
    let four = dir.path().join("four.tar.gz");
    back_up(&fixtures::four_nodes()?.nodes, &four)?;
    let python = fixtures::path("couchcopy-0.2.4.tar.gz");
    let cases = [
        (single, "single-node", 1, &[1, 2, 3, 5, 8, 16][..]),
        (four, "four-nodes-n2", 3, &[3, 8]),
        (python, "single-node", 2, &[5]),
    ];
    for (archive, oracle, nodes, numbers) in cases {
        let expected = fixtures::oracle(oracle)?;
        for &q in numbers {
            let to = tempfile::tempdir_in(dir.path())?;
            let folders = restore(&archive, to.path(), nodes, &["--q", &q.to_string()])?;
            examine(&folders, &with_ranges(expected.clone(), |_| Some(q)))?;
            if ![1, 3, 16].contains(&q) {
                continue;
            }
            let again = to.path().join("again.tar.gz");
            back_up(&folders, &again)?;
            let back: Vec<String> = expected
                .as_object()
                .into_iter()
                .flatten()
                .flat_map(|(name, database)| {
                    let q = database["ranges"].as_array().map_or(0, Vec::len);
                    ["--q".to_owned(), format!("{name}={q}")]
                })
                .collect();
            let back: Vec<&str> = back.iter().map(String::as_str).collect();
            examine(&restore(&again, &to.path().join("back"), nodes, &back)?, &expected)?;
        }
    }
    Ok(())
}

/// Only the databases that were named move, under new names too; others keep their ranges and view indexes.
#[test]
fn patterns_choose_databases() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("a.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let arguments = ["--q", "q*=4", "--q", "q8=6", "--q", "parts=3", "--rename", "parts=pieces"];
    let folders = restore(&archive, dir.path(), 2, &[&arguments[..], &["--n", "2"]].concat())?;
    let mut expected = with_ranges(fixtures::oracle("single-node")?, |name| match name {
        "q1n1" => Some(4),
        "q8" => Some(6),
        "parts" => Some(3),
        _ => None,
    });
    let parts = expected.as_object_mut().and_then(|all| all.remove("parts")).ok_or("no database")?;
    expected["pieces"] = parts;
    examine(&folders, &expected)?;
    for (folder, views) in folders
        .iter()
        .map(|folder| Ok((folder, fixtures::files_ending(folder, "view")?)))
        .collect::<Result<Vec<_>>>()?
    {
        assert!(!views.is_empty(), "{}", folder.display());
        assert!(views.iter().all(|path| path.contains("/views.")), "{views:?}");
    }
    Ok(())
}

/// What makes no sense is refused before anything is written.
#[test]
fn refusals() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("a.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    for (value, code) in [("0", "CC-R97"), ("plain=", "CC-R97"), ("nothing*=2", "CC-R98")] {
        let ended = run(&archive, &[dir.path().join("n")], &["--q", value])?;
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.stderr.contains(code), "{ended:?}");
        assert!(!dir.path().join("n/_dbs.couch").exists());
    }
    Ok(())
}

/// Damage in a shard that is to move is found, and the database left out if that is wanted.
#[test]
fn a_damaged_shard() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let cluster = fixtures::single_node()?;
    let data = &cluster.nodes[0].data;
    let shard = "shards/00000000-7fffffff/plain.1795355232.couch";
    let file = content::open(&data.join(shard))?;
    let mut body = None;
    file.for_each_document(|doc| -> Result<()> {
        body = doc.revisions.as_ref().and_then(|tree| tree.winner()?.stored?.summary);
        Ok(())
    })?;
    let mut bytes = std::fs::read(data.join(shard))?;
    bytes[body.ok_or("no body")? as usize + 40] ^= 1;
    std::fs::write(data.join(shard), bytes)?;
    let archive = dir.path().join("a.tar.gz");
    back_up(&cluster.nodes, &archive)?;
    let ended = run(&archive, &[dir.path().join("n")], &["--q", "3"])?;
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.stderr.contains("CC-R10") && ended.stderr.contains(shard), "{ended:?}");
    assert!(!dir.path().join("n/_dbs.couch").exists());

    let folders = [dir.path().join("m")];
    let ended = run(&archive, &folders, &["--q", "3", "--skip-damaged"])?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let mut expected = with_ranges(fixtures::oracle("single-node")?, |_| Some(3));
    expected.as_object_mut().map(|all| all.remove("plain"));
    examine(&folders, &expected)
}

//! What the folders hold, read back with couchfile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use couchfile::btree::{Key, TreeKind};
use couchfile::check::{Placement, check};
use couchfile::data_dir::{DataFile, SHARD_MAPS, ShardName};
use couchfile::database::Database;
use couchfile::read_at::FileBytes;
use couchfile::shard_map::ShardMap;
use scale_data::build::{Built, build};
use scale_data::plan::{Attachments, Plan};

fn plan(nodes: usize, copies: usize) -> Plan {
    Plan {
        databases: 12,
        empty: 0,
        docs: 37,
        doc_size: 300,
        revisions: 1,
        q: 3,
        copies,
        nodes: (1..=nodes).map(|i| format!("couchdb{i}@127.0.0.{i}")).collect(),
        seed: 5,
        attachments: Attachments { per_document: 2, size: 500 },
    }
}

fn open(path: &Path) -> Database<FileBytes> {
    Database::open(FileBytes::new(File::open(path).unwrap()).unwrap()).unwrap()
}

/// The maps of a node, with their revisions.
fn maps(folder: &Path) -> BTreeMap<String, (ShardMap, Vec<u8>)> {
    let database = open(&folder.join(SHARD_MAPS));
    assert!(check(&database, None).unwrap().is_whole());
    let mut maps = BTreeMap::new();
    database
        .for_each_document(|doc| -> Result<(), couchfile::error::CouchFileError> {
            let name = String::from_utf8(doc.id.to_vec()).unwrap();
            let leaf = doc.revisions.as_ref().unwrap().winner().unwrap();
            let summary = database.summary(leaf.stored.as_ref().unwrap())?;
            let map = ShardMap::decode(&name, &mut summary.body.decoder()).unwrap();
            maps.insert(name, (map, leaf.id.0.to_vec()));
            Ok(())
        })
        .unwrap();
    maps
}

/// Every file of a folder by its path below it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn shards(folder: &Path) -> Vec<ShardName> {
    files(folder)
        .keys()
        .filter_map(|path| match DataFile::parse(path) {
            Some(DataFile::Shard(shard)) => Some(shard),
            _ => None,
        })
        .collect()
}

/// Ids and the bytes of their entries, which tell revision, sizes and place of the body.
type Contents = Vec<(String, Vec<u8>)>;

fn contents(database: &Database<FileBytes>) -> Contents {
    let mut cursor = database.cursor(TreeKind::Id).unwrap();
    let mut found = Vec::new();
    while let Some(entry) = cursor.next_entry().unwrap() {
        let Key::Bytes(id) = entry.key else { panic!("an id is no number") };
        found.push((String::from_utf8(id.to_vec()).unwrap(), entry.value.to_vec()));
    }
    found
}

#[test]
fn every_file_is_whole_and_every_count_right() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(3, 2);
    let built = build(&plan, dir.path()).unwrap();
    let (mut uuids, mut total) = (BTreeSet::new(), 0);
    let mut by_database: BTreeMap<String, u64> = BTreeMap::new();
    let mut copies: BTreeMap<ShardName, Vec<Contents>> = BTreeMap::new();
    for folder in &built.folders {
        let maps = maps(&folder.path);
        assert_eq!(maps.len() as u64, plan.databases);
        assert!(folder.path.join(".shards").is_dir());
        uuids.insert(open(&folder.path.join(SHARD_MAPS)).header().uuid.clone());
        for shard in shards(&folder.path) {
            let (map, _) = &maps[&shard.db];
            assert!(map.by_range[&shard.range].contains(&folder.node));
            assert_eq!(shard.suffix, map.suffix);
            let database = open(&folder.path.join(shard.path()));
            let placement = Placement { range: shard.range, partitioned: false };
            let report = check(&database, Some(placement)).unwrap();
            assert!(report.is_whole(), "{:?}", report.problems);
            assert_eq!(report.attachments, report.documents * 2);
            assert_eq!(database.header().epochs[0].node, folder.node);
            *by_database.entry(shard.db.clone()).or_default() += report.documents;
            uuids.insert(database.header().uuid.clone());
            copies.entry(shard).or_default().push(contents(&database));
            total += 1;
        }
    }
    assert_eq!((built.files, built.documents), (total, plan.databases * plan.docs));
    assert_eq!(total, plan.databases * 3 * 2);
    assert_eq!(uuids.len() as u64, total + 3, "two files share a uuid");
    assert!(by_database.values().all(|&n| n == plan.docs * 2), "{by_database:?}");
    for (shard, copies) in copies {
        assert_eq!(copies.len(), 2, "{shard:?}");
        assert_eq!(copies[0], copies[1], "{shard:?}");
    }
}

#[test]
fn every_node_has_every_map_with_the_same_revision() {
    let dir = tempfile::tempdir().unwrap();
    let built = build(&plan(3, 2), dir.path()).unwrap();
    let all: Vec<_> = built.folders.iter().map(|folder| maps(&folder.path)).collect();
    assert!(all.iter().all(|maps| *maps == all[0]));
    for (map, _) in all[0].values() {
        assert!(map.covers_everything());
        assert_eq!(map.copies(), 2);
    }
    let mut held: Vec<usize> = built.folders.iter().map(|folder| shards(&folder.path).len()).collect();
    held.sort_unstable();
    assert!(held[0] * 2 > held[2], "uneven: {held:?}");
}

#[test]
fn the_seed_decides_every_byte() {
    let make = |seed| {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan { seed, ..plan(1, 1) };
        let Built { folders, .. } = build(&plan, dir.path()).unwrap();
        assert_eq!(folders[0].path, dir.path());
        files(dir.path())
    };
    assert!(make(1) == make(1));
    assert!(make(1) != make(2));
}

#[test]
fn nothing_is_written_into_a_full_folder() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine"), "").unwrap();
    let error = build(&plan(1, 1), dir.path()).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn empty_databases_and_none_at_all() {
    for (databases, docs, empty) in [(2, 0, 0), (0, 5, 0), (1, 5, 2)] {
        let dir = tempfile::tempdir().unwrap();
        build(&Plan { databases, docs, empty, ..plan(1, 1) }, dir.path()).unwrap();
        assert_eq!(maps(dir.path()).len() as u64, databases + empty);
        let mut documents = 0;
        for shard in shards(dir.path()) {
            let (live, deleted) = open(&dir.path().join(shard.path())).counts().unwrap();
            assert!(deleted == 0 && (live == 0 || shard.db == "bulk-000001"), "{shard:?}");
            documents += live;
        }
        assert_eq!(documents, databases * docs);
    }
}

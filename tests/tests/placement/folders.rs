//! Data directories of nodes that do not run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::{self, read_cluster};
use couchcopy_tests::lab::{Ended, back_up, couchcopy};
use couchcopy_tests::{Result, fixtures};
use couchfile::data_dir::document_hash;
use couchfile::shard_map::ShardMap;
use serde_json::Value;
use tempfile::TempDir;

use super::{demanded, zones_of};

/// An archive of the four nodes with two copies, and where to restore it to.
struct Arena {
    dir: TempDir,
    archive: PathBuf,
    /// The shard maps of the archive.
    maps: BTreeMap<String, ShardMap>,
    /// The names of the archive's nodes.
    old_names: Vec<String>,
}

impl Arena {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let archive = dir.path().join("four.tar.gz");
        let four = fixtures::four_nodes()?;
        back_up(&four.nodes, &archive)?;
        let maps = content::shard_maps(&four.nodes[0].data)?;
        let old_names = four.nodes.iter().map(|node| node.name.clone()).collect();
        Ok(Self { dir, archive, maps, old_names })
    }

    fn run(&self, to: &str, names: &[&str], arguments: &[&str]) -> Result<Ended> {
        let mut all = vec!["restore".to_owned(), "--offline".to_owned(), "--json".to_owned()];
        all.extend(arguments.iter().map(ToString::to_string));
        all.push(self.archive.display().to_string());
        all.extend(
            names.iter().map(|name| format!("{},{name}", self.dir.path().join(to).join(name).display())),
        );
        couchcopy(&all)
    }

    fn restore(&self, to: &str, names: &[&str], arguments: &[&str]) -> Result<Restored> {
        let told = serde_json::from_str(&self.run(to, names, arguments)?.success()?)?;
        let folders: Vec<PathBuf> = names.iter().map(|name| self.dir.path().join(to).join(name)).collect();
        let paths: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
        // Every map that names a node for a range finds the file there, with the content that HTTP told.
        assert_eq!(compare(&fixtures::oracle("four-nodes-n2")?, &read_cluster(&paths)?), [""; 0]);
        let maps = content::shard_maps(&folders[0])?;
        for (name, folder) in names.iter().zip(&folders) {
            let found: BTreeSet<String> = fixtures::files_ending(folder, "couch")?.into_iter().collect();
            let mut expected = BTreeSet::from(["_dbs.couch".to_owned()]);
            for map in maps.values() {
                let held = map.shards().zip(map.by_range.values());
                let held = held.filter(|(_, holders)| holders.iter().any(|holder| holder == name));
                expected.extend(held.map(|(shard, _)| shard.path()));
            }
            assert_eq!(found, expected, "{name}");
        }
        Ok(Restored { told, folders, maps })
    }
}

/// What a restore has written.
struct Restored {
    told: Value,
    folders: Vec<PathBuf>,
    maps: BTreeMap<String, ShardMap>,
}

impl Restored {
    /// Bytes of the shards and indexes on each node.
    fn bytes(&self) -> Result<Vec<u64>> {
        let of = |folder: &PathBuf| -> Result<u64> {
            let mut bytes = 0;
            for path in fixtures::files_below(folder)? {
                if path != "_dbs.couch" {
                    bytes += std::fs::metadata(folder.join(path))?.len();
                }
            }
            Ok(bytes)
        };
        self.folders.iter().map(of).collect()
    }

    /// What the command told of each node: databases, shards, bytes.
    fn shares(&self) -> Vec<(u64, u64, u64)> {
        let number = |share: &Value, key: &str| share[key].as_u64().unwrap_or_default();
        let placed = self.told["placed"].as_array().into_iter().flatten();
        placed
            .map(|share| (number(share, "databases"), number(share, "shards"), number(share, "bytes")))
            .collect()
    }
}

/// The most bytes on a node, in parts of the mean.
fn unevenness(bytes: &[u64]) -> f64 {
    let mean = bytes.iter().sum::<u64>() as f64 / bytes.len() as f64;
    bytes.iter().copied().max().unwrap_or(0) as f64 / mean
}

const FIVE: [&str; 5] = ["a@127.0.42.1", "b@127.0.42.2", "c@127.0.42.3", "d@127.0.42.4", "e@127.0.42.5"];

/// Databases of very different sizes with two ranges and two copies, on five nodes: each gets about as many bytes. What is told of
/// each node is what is there, and the same again is the same.
#[test]
fn bytes_are_spread_evenly() -> Result<()> {
    let arena = Arena::new()?;
    let restored = arena.restore("one", &FIVE, &[])?;
    let bytes = restored.bytes()?;
    // The bytes that each node would have had, when copies went round the nodes regardless of their size.
    let mut before = vec![0; FIVE.len()];
    let names: Vec<String> = FIVE.map(str::to_owned).into();
    for (name, map) in &restored.maps {
        let mut round = map.clone();
        round.place(&names, map.copies(), document_hash(name.as_bytes(), false) as usize % FIVE.len());
        for ((shard, holders), of_round) in
            map.shards().zip(map.by_range.values()).zip(round.by_range.values())
        {
            let held =
                restored.folders.iter().zip(FIVE).find(|(_, name)| holders.contains(&(*name).to_owned()));
            let folder = held.ok_or("a range without a copy")?.0;
            let views = format!(".{}_design/", shard.path().trim_end_matches(".couch"));
            let of_shard = |path: &String| *path == shard.path() || path.starts_with(&views);
            for path in fixtures::files_below(folder)?.into_iter().filter(of_shard) {
                let size = std::fs::metadata(folder.join(path))?.len();
                for holder in of_round {
                    before[names.iter().position(|name| name == holder).ok_or("another node")?] += size;
                }
            }
        }
    }
    assert_eq!(before.iter().sum::<u64>(), bytes.iter().sum::<u64>());
    let (before, after) = (unevenness(&before), unevenness(&bytes));
    eprintln!("max/mean of bytes: round robin {before:.3}, evened out {after:.3}");
    assert!(after < 1.1 && after < before, "{before} {after}");

    for ((share, bytes), name) in restored.shares().into_iter().zip(bytes).zip(FIVE) {
        let holds = |holders: &Vec<String>| holders.iter().any(|holder| holder == name);
        let ranges = |map: &ShardMap| map.by_range.values().filter(|holders| holds(holders)).count() as u64;
        let databases = restored.maps.values().filter(|map| ranges(map) > 0).count() as u64;
        assert_eq!((share.0, share.1), (databases, restored.maps.values().map(ranges).sum()), "{name}");
        assert!(share.2 >= bytes, "{name}: {share:?} {bytes}");
    }
    assert_eq!(arena.restore("two", &FIVE, &[])?.maps, restored.maps);
    Ok(())
}

/// Where copies go by zones that are given for stopped nodes, for all databases and for some.
#[test]
fn zones_for_stopped_nodes() -> Result<()> {
    let arena = Arena::new()?;
    let zone = |node: &str| Some(if node < "c" { "z1" } else { "z2" }.to_owned());
    let zones: Vec<String> = FIVE
        .iter()
        .flat_map(|node| ["--zone".to_owned(), format!("{node}={}", zone(node).unwrap_or_default())])
        .collect();
    let mut arguments: Vec<&str> = zones.iter().map(String::as_str).collect();
    arguments.extend([
        "--place",
        "z1:1,z2:2",
        "--place",
        "q*=z2:3",
        "--place",
        "parts=any",
        "--q",
        "plain=5",
    ]);
    // Other ranges are part of what HTTP told: these are compared below.
    let told = arena.run("zoned", &FIVE, &arguments)?.success()?;
    let told: Value = serde_json::from_str(&told)?;
    assert_eq!(told["placed"][0]["zone"], "z1");
    let maps = content::shard_maps(&arena.dir.path().join("zoned").join(FIVE[0]))?;
    assert_eq!(maps["plain"].by_range.len(), 5);
    for (name, map) in &maps {
        let wanted = match name.as_str() {
            "q8" | "q1n1" => "z2:3",
            "parts" => {
                assert_eq!(map.copies(), arena.maps[name].copies());
                continue;
            }
            _ => "z1:1,z2:2",
        };
        for holders in map.by_range.values() {
            let distinct: BTreeSet<&String> = holders.iter().collect();
            assert_eq!(distinct.len(), 3, "{name}: {holders:?}");
            assert_eq!(zones_of(holders.iter().map(String::as_str), zone), demanded(wanted), "{name}");
        }
    }
    arguments.truncate(arguments.len() - 2);
    arena.restore("same-ranges", &FIVE, &arguments)?;
    Ok(())
}

/// Databases stay where they were, as far as their nodes are there, and unless a node is new.
#[test]
fn databases_stay_on_their_nodes() -> Result<()> {
    let arena = Arena::new()?;
    let holders = |maps: &BTreeMap<String, ShardMap>| -> BTreeMap<String, Vec<Vec<String>>> {
        maps.iter().map(|(name, map)| (name.clone(), map.by_range.values().cloned().collect())).collect()
    };
    let old: Vec<&str> = arena.old_names.iter().map(String::as_str).collect();
    let reversed: Vec<&str> = old.iter().rev().copied().collect();
    let before = holders(&arena.maps);
    assert_eq!(holders(&arena.restore("same", &reversed, &[])?.maps), before);

    let restored = arena.restore("evened", &old, &["--even-out"])?;
    assert_ne!(holders(&restored.maps), before);

    // Three of the four: what was on these alone stays.
    let three = arena.restore("three", &old[..3], &[])?;
    let mut stayed = 0;
    for (name, of_database) in holders(&three.maps) {
        let fits = before[&name].iter().flatten().all(|node| old[..3].contains(&node.as_str()));
        if fits {
            assert_eq!(of_database, before[&name], "{name}");
            stayed += 1;
        }
    }
    assert!(stayed > 0 && stayed < before.len(), "{stayed}");

    // A node that is new gets its share.
    let mut five = old.clone();
    five.push(FIVE[4]);
    let restored = arena.restore("five", &five, &[])?;
    assert!(unevenness(&restored.bytes()?) < 1.1);

    // More copies than they had.
    let restored = arena.restore("more", &old, &["--n", "3"])?;
    assert!(restored.maps.values().all(|map| map.by_range.values().all(|holders| holders.len() == 3)));
    Ok(())
}

/// What cannot be is refused before anything is written.
#[test]
fn refusals() -> Result<()> {
    let arena = Arena::new()?;
    let nodes = &FIVE[..3];
    let zones = ["--zone", "a@127.0.42.1=z1", "--zone", "b@127.0.42.2=z1", "--zone", "c@127.0.42.3=z2"];
    for (arguments, code, words) in [
        (&["--place", "z1"][..], "CC-R60", "is not ZONE:COPIES"),
        (&["--place", "z1:0"], "CC-R60", "asks for no copy"),
        (&["--place", "nothing*=z1:1"], "CC-R61", "nothing*"),
        (&["--place", "z3:1"], "CC-R62", "no node is in the zone \\\"z3\\\""),
        (&["--place", "z1:2,z2:2"], "CC-R62", "has 1 of the 2 nodes"),
        (&["--place", "plain=z2:2"], "CC-R62", "--place 'plain=z2:2'"),
        (&["--place", "z1:2,z2:1", "--copies", "2"], "CC-R63", "makes, 3"),
        (&["--place", "z1:1", "--zone", "d@127.0.42.4=z1"], "CC-R64", "d@127.0.42.4"),
        (&["--place", "z1:1", "--zone", "z1"], "CC-R64", "is not a node and its zone"),
    ] {
        let ended = arena.run("refused", nodes, &[&zones[..], arguments].concat())?;
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(5), "{arguments:?}: {ended:?}");
        assert!(told.contains(code) && told.contains(words), "{arguments:?}: {told}");
        assert!(!arena.dir.path().join("refused").exists(), "{arguments:?}");
    }
    // Without zones, or where couchcopy can ask, they make no sense.
    for arguments in [
        &["restore", "--offline", "--zone", "a@b=z", "x", "/d,a@b"][..],
        &["restore", "--zone", "a@b=z", "--place", "z:1", "x", "n"],
    ] {
        assert_eq!(couchcopy(arguments)?.code, Some(2), "{arguments:?}");
    }
    Ok(())
}

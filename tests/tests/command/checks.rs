//! What must be true of every restored cluster, whatever the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use couchcopy_tests::compare::compare;
use couchcopy_tests::copies::read_every_copy;
use couchcopy_tests::fixtures::Node;
use couchcopy_tests::{Result, content, fixtures};
use couchfile::data_dir::{DataFile, SHARD_MAPS, ShardName};
use couchfile::database::Database;
use couchfile::document::{self, JsonOptions};
use couchfile::read_at::{FileBytes, ReadAt};
use couchfile::shard_map::ShardMap;
use couchfile::view::ViewIndex;
use serde_json::{Map, Value, json};

/// What a restore was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The data folder as the archive holds it.
    pub(crate) archived: &'a Path,
    /// `--n`.
    pub(crate) copies: Option<usize>,
    /// `--fresh-uuids`, with which databases get a new suffix.
    pub(crate) fresh_uuids: bool,
    /// What HTTP said of what is wanted, under the new names.
    pub(crate) oracle: &'a Value,
    /// The name that a database gets; nothing for those that are not wanted.
    pub(crate) name: fn(&str) -> Option<&str>,
}

/// Every database under its own name.
#[allow(clippy::unnecessary_wraps)] // One of several functions of this form.
pub(crate) fn as_it_is(name: &str) -> Option<&str> {
    Some(name)
}

/// What becomes of a file, where databases get this suffix; nothing of those that are not wanted.
fn renamed(file: &DataFile, asked: Asked<'_>, suffix: Option<&str>) -> Option<DataFile> {
    let named = |shard: &ShardName| {
        let suffix = suffix.unwrap_or(&shard.suffix).to_owned();
        Some(ShardName { range: shard.range, db: (asked.name)(&shard.db)?.to_owned(), suffix })
    };
    Some(match file {
        DataFile::ShardMaps => DataFile::ShardMaps,
        DataFile::Shard(shard) => DataFile::Shard(named(shard)?),
        DataFile::View { shard, signature } => {
            DataFile::View { shard: named(shard)?, signature: signature.clone() }
        }
    })
}

/// Fails where the nodes' folders are not what was asked for, byte for byte where that can be told.
pub(crate) fn check(asked: Asked<'_>, nodes: &[Node]) -> Result<()> {
    let differences = compare(asked.oracle, &read_every_copy(nodes)?);
    assert_eq!(differences, [""; 0]);
    check_maps(asked, nodes)?;
    // What is wanted of the archive, and its path there by the one that it gets.
    let maps = content::shard_maps(&nodes[0].data)?;
    let suffix = asked.fresh_uuids.then(|| maps.values().next().map(|map| map.suffix.as_str())).flatten();
    let mut wanted = Vec::new();
    let mut before = BTreeMap::new();
    for path in fixtures::files_below(asked.archived)? {
        if let Some(file) = DataFile::parse(&path).and_then(|file| renamed(&file, asked, suffix)) {
            before.insert(file.path(), path);
            wanted.push(file);
        }
    }
    let mut map_uuids = BTreeSet::new();
    let mut uuids: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    let (mut copies, mut views) = (0, 0);
    for node in nodes {
        // The files are those that the maps promise, the view indexes that belong to them, and no others.
        let mut expected = BTreeSet::from([SHARD_MAPS.to_owned()]);
        for file in &wanted {
            let shard = match file {
                DataFile::ShardMaps => continue,
                DataFile::Shard(shard) | DataFile::View { shard, .. } => shard,
            };
            let held = maps.get(&shard.db).is_some_and(|map| {
                map.suffix == shard.suffix
                    && map.by_range.get(&shard.range).is_some_and(|holders| holders.contains(&node.name))
            });
            if held {
                expected.insert(file.path());
            }
        }
        let found: BTreeSet<String> = fixtures::files_below(&node.data)?.into_iter().collect();
        assert_eq!(found, expected, "{}", node.name);

        for path in &found {
            let full = node.data.join(path);
            match DataFile::parse(path).ok_or("a file that is no data")? {
                DataFile::ShardMaps => {
                    let file = content::open(&full)?;
                    check_end(&file, path)?;
                    assert_eq!(file.header().epochs.len(), 1);
                    assert_eq!(file.header().epochs[0].node, node.name);
                    assert!(map_uuids.insert(file.header().uuid.clone()), "two _dbs.couch share a uuid");
                }
                DataFile::Shard(_) => {
                    let file = content::open(&full)?;
                    check_shard(&file, path, node, &asked.archived.join(&before[path]))?;
                    uuids.entry(path.clone()).or_default().push(file.header().uuid.clone());
                    copies += 1;
                }
                DataFile::View { shard, .. } => {
                    let index = ViewIndex::open(FileBytes::new(File::open(&full)?)?)?;
                    assert_eq!(index.header_end, std::fs::metadata(&full)?.len(), "{path}");
                    let database = content::open(&node.data.join(shard.path()))?;
                    assert!(index.header.update_seq <= database.header().update_seq, "{path}");
                    assert!(index.header.purge_seq <= database.purge_seq()?, "{path}");
                    views += 1;
                }
            }
        }
    }
    for (path, copies) in &uuids {
        let distinct: BTreeSet<_> = copies.iter().collect();
        assert_eq!(distinct.len(), copies.len(), "{path}: copies share a uuid");
        assert!(copies.iter().all(Option::is_some), "{path}: a copy without uuid");
        let archived = content::open(&asked.archived.join(&before[path]))?.header().uuid.clone();
        let kept = copies.iter().filter(|uuid| **uuid == archived).count();
        let keeps = !asked.fresh_uuids && before[path] == *path;
        assert_eq!(kept, usize::from(keeps), "{path}: copies with the archived uuid");
    }
    let promised: usize = maps.values().flat_map(|map| map.by_range.values()).map(Vec::len).sum();
    assert_eq!(copies, promised);
    let wanted_views = wanted.iter().any(|file| matches!(file, DataFile::View { .. }));
    assert_eq!(views > 0, wanted_views);
    Ok(())
}

/// Nothing lies behind the last header.
fn check_end(file: &Database<FileBytes>, path: &str) -> Result<()> {
    assert_eq!(file.header_end(), file.source().len(), "{path}: something lies behind its last header");
    let report = couchfile::check::check(file, None)?;
    assert!(report.is_whole(), "{path}: {:?}", report.problems);
    Ok(())
}

/// A copy of a shard is the archived one (the file `archived`) but for its uuid, its newest epoch and the local documents of
/// other copies.
fn check_shard(file: &Database<FileBytes>, path: &str, node: &Node, archived: &Path) -> Result<()> {
    check_end(file, path)?;
    let before = content::open(archived)?;
    let (now, then) = (file.header(), before.header());
    let facts = |file: &Database<FileBytes>| -> Result<_> {
        let header = file.header();
        Ok((
            (header.update_seq, header.revs_limit, header.purge_infos_limit, header.compacted_seq),
            (file.purge_seq()?, file.counts()?),
            (file.security_json()?, file.props()?.map(|props| props.as_slice().to_vec())),
        ))
    };
    assert_eq!(facts(file)?, facts(&before)?, "{path}");

    assert_eq!(now.epochs[0].node, node.name, "{path}");
    assert!(now.epochs[0].seq <= now.update_seq, "{path}");
    assert!(now.epochs.windows(2).all(|pair| pair[0].seq > pair[1].seq), "{path}: {:?}", now.epochs);
    assert_eq!(now.epochs.last().map(|epoch| epoch.seq), Some(0), "{path}");
    let older: Vec<_> = then.epochs.iter().filter(|epoch| epoch.seq < now.epochs[0].seq).collect();
    assert_eq!(now.epochs[1..].iter().collect::<Vec<_>>(), older, "{path}");

    let mut expected = content::locals(&before)?;
    expected.retain(|id, _| {
        if let Some(signature) = id.strip_prefix("_local/purge-mrview-") {
            let Some(DataFile::Shard(shard)) = DataFile::parse(path) else { return false };
            return node.data.join(shard.view_folder()).join(format!("{signature}.view")).exists();
        }
        !id.starts_with("_local/shard-sync-") && !id.starts_with("_local/purge-mem3-")
    });
    // Copies know that they hold the same, and nothing else of each other.
    let mut found = content::locals(file)?;
    let notes = found.len();
    found.retain(|id, _| !id.starts_with("_local/shard-sync-"));
    assert_eq!((notes - found.len()) % 2, 0, "{path}");
    assert_eq!(found, expected, "{path}");
    Ok(())
}

/// Every document of a `_dbs.couch` as HTTP would show it.
fn map_documents(folder: &Path) -> Result<Map<String, Value>> {
    let file = content::open(&folder.join(SHARD_MAPS))?;
    let mut found = Map::new();
    file.for_each_document(|doc| -> Result<()> {
        if doc.deleted {
            return Ok(());
        }
        let tree = doc.revisions.as_ref().ok_or("no revisions")?;
        let leaf = tree.winner().ok_or("no leaf")?;
        let mut text = Vec::new();
        document::leaf_json(&file, doc, tree, leaf, JsonOptions::default(), &mut text)?;
        found.insert(String::from_utf8(doc.id.to_vec())?, serde_json::from_slice(&text)?);
        Ok(())
    })?;
    Ok(found)
}

/// The maps are the same on all nodes, to the revision; each names the new nodes only and says the same thing three times.
fn check_maps(asked: Asked<'_>, nodes: &[Node]) -> Result<()> {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let documents = map_documents(&nodes[0].data)?;
    for node in &nodes[1..] {
        assert_eq!(map_documents(&node.data)?, documents, "{}", node.name);
    }
    let renamed = |name: &str| {
        if name.starts_with("_design/") {
            Some(name.to_owned())
        } else {
            (asked.name)(name).map(str::to_owned)
        }
    };
    let before: BTreeMap<String, ShardMap> = content::shard_maps(asked.archived)?
        .into_iter()
        .filter_map(|(name, map)| Some((renamed(&name)?, map)))
        .collect();
    let archived: BTreeMap<String, Value> = map_documents(asked.archived)?
        .into_iter()
        .filter_map(|(name, document)| Some((renamed(&name)?, document)))
        .collect();
    let now = content::shard_maps(&nodes[0].data)?;
    assert_eq!(now.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let (mut used, mut suffixes) = (BTreeSet::new(), BTreeSet::new());
    for (id, document) in &documents {
        if id.starts_with("_design/") {
            assert_eq!(document, &archived[id], "{id}");
            continue;
        }
        let (map, old) = (&now[id], &before[id]);
        if asked.fresh_uuids {
            assert_ne!(map.suffix, old.suffix, "{id}");
            suffixes.insert(map.suffix.clone());
        } else {
            assert_eq!(map.suffix, old.suffix, "{id}");
        }
        assert_eq!(map.props_json(), old.props_json(), "{id}");
        assert_eq!(document["props"], archived[id]["props"], "{id}");
        assert!(map.by_range.keys().eq(old.by_range.keys()), "{id}");
        let n = asked.copies.unwrap_or_else(|| old.copies()).min(nodes.len());
        let (mut by_node, mut changelog) = (BTreeMap::<&str, Vec<String>>::new(), BTreeSet::new());
        for (range, holders) in &map.by_range {
            let distinct: BTreeSet<&String> = holders.iter().collect();
            assert_eq!((holders.len(), distinct.len()), (n, n), "{id} {range}: {holders:?}");
            for holder in holders {
                assert!(names.contains(&holder.as_str()), "{id}: {holder}");
                used.insert(holder.clone());
                by_node.entry(holder).or_default().push(range.to_string());
                changelog.insert(json!(["add", range.to_string(), holder]).to_string());
            }
        }
        assert_eq!(document["by_node"], json!(by_node), "{id}");
        let changes = document["changelog"].as_array().ok_or("no changelog")?;
        assert_eq!(changes.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), changelog, "{id}");
        let generation = |document: &Value| -> Result<u64> {
            let rev = document["_rev"].as_str().ok_or("no revision")?;
            Ok(rev.split_once('-').ok_or("no dash")?.0.parse()?)
        };
        assert_eq!(generation(document)?, generation(&archived[id])? + 1, "{id}");
    }
    assert_eq!(used.len(), names.len(), "every node holds something");
    assert_eq!(suffixes.len(), usize::from(asked.fresh_uuids), "{suffixes:?}");
    Ok(())
}

//! Shard maps from shards alone (`--rebuild-maps`): for nodes that have lost their `_dbs.couch`.
//!
//! A shard's path holds the database's name, its suffix and the range; the file holds the properties; the data directory that it
//! is in tells the node. What nothing tells is on which nodes that are not given there are more copies, and how many there
//! should be: a user who knows can say so.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use archive::FileStat;
use contents::rebuild::{FoundShards, RebuiltMaps, properties, write_maps};
use contents::{MapDocument, NamePatterns, convert_in_order, map_document, unchanged, unusable};
use couchfile::data_dir::{DataFile, SHARD_MAPS, ShardName};
use couchfile::database::Database;
use couchfile::document::DocInfo;
use couchfile::shard_map::ShardMap;
use outcome::report::{Notice, Reporter, Severity, Silent};
use outcome::{Code, Failure, Result, parallel};

use crate::far::{BATCH, Far};
use crate::folder::{MapsBytes, NodeFolder, newest_node};
use crate::plan::Plan;
use crate::{file, leftovers};

/// How many shards are opened, at most, to find the name of a node: the newest one may be damaged.
const TRIED: usize = 16;
/// The most databases that a notice names.
const NAMED: usize = 10;

/// What the user knows about a cluster whose shard maps are lost.
#[derive(Debug, Clone, Default)]
pub struct RebuildMaps {
    /// The least number of copies of every range; `None`: as many as the given nodes hold.
    pub copies: Option<usize>,
    /// Names of nodes that are not given and hold copies, too.
    pub nodes: Vec<String>,
}

/// Gives all nodes shard maps that also name the databases that no node's shard maps name. Returns the names of these databases.
///
/// Fails if the name of a node is not known, or if there are fewer nodes than copies are wanted.
pub(super) fn rebuild(
    folders: &mut [NodeFolder],
    wanted: &RebuildMaps,
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<Vec<String>> {
    for folder in folders.iter_mut() {
        name(folder)?;
    }
    let (bytes, rebuilt) = {
        let folders = &*folders;
        let has_maps = folders.iter().any(|folder| folder.maps.is_ok());
        let plan = if has_maps {
            Some(Plan::survey(folders, &NamePatterns::default(), threads, &Silent)?.0)
        } else {
            None
        };
        let found = find(folders, plan.as_ref(), threads)?;
        let RebuiltMaps { mut maps, incomplete: gaps } = found.rebuild();
        if maps.is_empty() {
            tell_gaps(&gaps, reporter);
            return Ok(Vec::new());
        }
        add_copies(&mut maps, wanted)?;
        let maps = with_properties(maps, folders)?;
        tell(&maps, &gaps, wanted, reporter);
        let names = maps.iter().map(|map| map.db.clone()).collect();
        (write(&maps, plan.as_ref(), folders, threads)?, names)
    };
    for folder in folders {
        let opened = Database::open(bytes.clone()).map_err(|e| unusable("the rebuilt shard maps", e))?;
        folder.lost = Some(std::mem::replace(&mut folder.maps, Ok(opened)));
        folder.rebuilt = Some(bytes.clone());
    }
    Ok(rebuilt)
}

/// Finds the name of a node in the shards that were changed last, if nothing else tells it.
fn name(folder: &mut NodeFolder) -> Result<()> {
    if folder.name.is_some() {
        return Ok(());
    }
    let mut newest: Vec<(Reverse<i64>, String)> = Vec::new();
    leftovers::list(folder, &mut |path: &str, stat: &dyn Fn() -> Option<FileStat>| {
        if matches!(DataFile::parse(path), Some(DataFile::Shard(_)))
            && let Some(stat) = stat()
        {
            newest.push((Reverse(stat.changed), path.to_owned()));
            if newest.len() > 2 * TRIED {
                newest.sort_unstable();
                newest.truncate(TRIED);
            }
        }
    })?;
    newest.sort_unstable();
    newest.truncate(TRIED);
    let paths: Vec<String> = newest.into_iter().map(|(_, path)| path).collect();
    folder.name = match folder.origin.far() {
        None => paths.iter().find_map(|path| {
            newest_node(Database::open(file::open_bytes(&folder.path.join(path)).ok()?).ok()?.header())
        }),
        Some(files) => {
            let opened = Far::new(files, &folder.path).open(&paths)?;
            opened.into_iter().find_map(|bytes| newest_node(Database::open(bytes.ok()?).ok()?.header()))
        }
    };
    if folder.name.is_some() {
        return Ok(());
    }
    Err(Failure::refused(
        Code::new("CC-B13"),
        format!(
            "the name of the node of {} is not known, and no shard there records it",
            folder.display_name()
        ),
        "Give the name after the directory: HOST,DIR,NODENAME. It is the value of -name in the node's vm.args.",
    ))
}

/// Finds the shards of databases that no shard map names, and that no shard map remembers as deleted.
fn find(folders: &[NodeFolder], plan: Option<&Plan<'_>>, threads: usize) -> Result<FoundShards> {
    let known: HashSet<String> = match plan {
        Some(plan) => plan.database_names(threads)?.into_iter().collect(),
        None => HashSet::new(),
    };
    let listed = parallel::all_at_once(folders, |_, folder| -> Result<Vec<ShardName>> {
        let mut shards = Vec::new();
        leftovers::list(folder, &mut |path: &str, _: &dyn Fn() -> Option<FileStat>| {
            if let Some(DataFile::Shard(shard)) = DataFile::parse(path)
                && !known.contains(&shard.db)
            {
                shards.push(shard);
            }
        })?;
        Ok(shards)
    });
    let mut found = FoundShards::default();
    for (folder, shards) in folders.iter().zip(listed) {
        for shard in shards? {
            found.add(shard, folder.name.as_deref().unwrap_or_default());
        }
    }
    found.retain(|db| !leftovers::was_deleted(db, folders));
    Ok(found)
}

/// Adds nodes that are not given to the maps, until each range has as many copies as are wanted.
fn add_copies(maps: &mut [ShardMap], wanted: &RebuildMaps) -> Result<()> {
    let least = wanted.copies.unwrap_or(0);
    for map in maps {
        for (i, (range, nodes)) in map.by_range.iter_mut().enumerate() {
            // Nobody knows which of the other nodes has which copies.
            let first = i % wanted.nodes.len().max(1);
            for other in wanted.nodes.iter().cycle().skip(first).take(wanted.nodes.len()) {
                if nodes.len() < least && !nodes.contains(other) {
                    nodes.push(other.clone());
                }
            }
            if nodes.len() < least {
                return Err(Failure::refused(
                    Code::new("CC-B14"),
                    format!(
                        "{least} copies of every range are wanted, but for {} {range} only {} nodes are known: {}",
                        map.db,
                        nodes.len(),
                        nodes.join(", ")
                    ),
                    "Name the other nodes of the cluster with --map-node NODENAME, or give a smaller number with --map-copies.",
                ));
            }
        }
    }
    Ok(())
}

/// Reads the properties of each database from one of its shards: those of a partitioned database are not the default.
fn with_properties(mut maps: Vec<ShardMap>, folders: &[NodeFolder]) -> Result<Vec<ShardMap>> {
    // The shard of a map on a given node that is read: tried in the order of the ranges until one can be read.
    for batch in maps.chunks_mut(BATCH) {
        let mut far: BTreeMap<usize, Vec<(usize, String)>> = BTreeMap::new();
        for (i, map) in batch.iter_mut().enumerate() {
            let shards: Vec<ShardName> = map.shards().collect();
            let mut later = None;
            for (shard, nodes) in shards.iter().zip(map.by_range.values()) {
                let number = folders
                    .iter()
                    .position(|folder| folder.name.as_ref().is_some_and(|name| nodes.contains(name)));
                let Some(number) = number else { continue };
                let folder = &folders[number];
                if !folder.origin.is_local() {
                    later = later.or(Some((number, shard.path())));
                    continue;
                }
                let opened = file::open_shard(&folder.path.join(shard.path()), &folder.patience);
                if let Some(props) = opened.ok().and_then(|database| properties(&database)) {
                    map.set_properties(props);
                    later = None;
                    break;
                }
            }
            if let Some((number, path)) = later {
                far.entry(number).or_default().push((i, path));
            }
        }
        for (number, shards) in far {
            let folder = &folders[number];
            let Some(files) = folder.origin.far() else { continue };
            let paths: Vec<String> = shards.iter().map(|(_, path)| path.clone()).collect();
            for ((i, _), opened) in shards.iter().zip(Far::new(files, &folder.path).open(&paths)?) {
                let database = opened.ok().and_then(|bytes| Database::open(bytes).ok());
                if let Some(props) = database.and_then(|database| properties(&database)) {
                    batch[*i].set_properties(props);
                }
            }
        }
    }
    Ok(maps)
}

/// Writes a `_dbs.couch` with the maps that nodes still have and the rebuilt ones.
fn write(
    maps: &[ShardMap],
    plan: Option<&Plan<'_>>,
    folders: &[NodeFolder],
    threads: usize,
) -> Result<MapsBytes> {
    let failed = |e| unusable("the rebuilt shard maps", e);
    let node = folders.iter().find_map(|folder| folder.name.as_deref()).unwrap_or("couchdb@localhost");
    let file = write_maps(maps, node, |writer| {
        let Some(plan) = plan else { return Ok(()) };
        let database = plan.maps.database;
        let convert = |doc: &DocInfo<'_>| {
            let is_disputed = plan.disputed.contains_key(&*String::from_utf8_lossy(doc.id));
            // One that cannot be read is a problem of its own.
            Ok(if doc.deleted || is_disputed { None } else { map_document(database, doc).ok() })
        };
        convert_in_order(database, threads, "the shard maps (_dbs.couch)", convert, |document| {
            writer.add(&unchanged(document)).map_err(failed)
        })?;
        for (db, disputed) in &plan.disputed {
            let Some(winner) = &disputed.winner else { continue };
            let document = MapDocument {
                id: db.clone(),
                revision: winner.revision.clone(),
                ancestors: Vec::new(),
                body: winner.body.clone(),
                map: Ok(winner.map.clone()),
            };
            writer.add(&unchanged(document)).map_err(failed)?;
        }
        Ok(())
    })?;
    Ok(MapsBytes::new(file))
}

/// The first names of a list.
fn named(names: &[&str]) -> String {
    let more = if names.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "))
}

/// Reports what was rebuilt, and what nothing tells.
fn tell(maps: &[ShardMap], gaps: &[String], wanted: &RebuildMaps, reporter: &dyn Reporter) {
    let names: Vec<&str> = maps.iter().map(|map| map.db.as_str()).collect();
    let copies = maps.iter().map(ShardMap::copies);
    let (least, most) = (copies.clone().min().unwrap_or(0), copies.max().unwrap_or(0));
    let copies = if least == most { format!("{most}") } else { format!("{least} to {most}") };
    let unknown = if wanted.copies.is_none() && wanted.nodes.is_empty() {
        " Copies on nodes that are not given are not known: a restore makes as many copies as there are here, unless `couchcopy \
         restore --copies N` says otherwise. To record another number, give --map-copies N and the names of the other nodes with \
         --map-node."
    } else {
        ""
    };
    let text = format!(
        "the shard maps of {} databases were rebuilt from the paths and headers of their shards ({SHARD_MAPS} does not name them), \
         with {copies} copies of each range: {}.{unknown} The order of the copies and the history of the maps are lost.",
        maps.len(),
        named(&names)
    );
    reporter.notice(&Notice { severity: Severity::Warning, text });
    tell_gaps(gaps, reporter);
}

/// Reports the databases for which no map can be made.
fn tell_gaps(gaps: &[String], reporter: &dyn Reporter) {
    if gaps.is_empty() {
        return;
    }
    let names: Vec<&str> = gaps.iter().map(String::as_str).collect();
    let text = format!(
        "no shard map can be rebuilt for {} databases, because the given nodes do not hold all ranges: {}. Give the data \
         directories of more nodes.",
        gaps.len(),
        named(&names)
    );
    reporter.notice(&Notice { severity: Severity::Warning, text });
}

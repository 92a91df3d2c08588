//! Shard maps from shards alone, for where `_dbs.couch` is lost.
//!
//! The path of a shard holds the database's name, its suffix and the range, its header the node that wrote it last, and the file the
//! properties. The number of copies that a database should have is not recorded anywhere but in the lost map.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use couchfile::data_dir::{Range, ShardName};
use couchfile::database::Database;
use couchfile::read_at::{FileBytes, ReadAt};
use couchfile::ring;
use couchfile::shard_map::ShardMap;
use couchfile::term::Encoder;
use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings, random_uuid};
use outcome::{Failure, Result};

use crate::unusable::unusable;

/// What the rebuilt file is called in messages.
const NAME: &str = "the rebuilt shard maps";

/// Names of nodes by range.
type Holders = BTreeMap<Range, Vec<String>>;

/// Shards that were found, by database and suffix.
#[derive(Debug, Default)]
pub struct FoundShards(BTreeMap<String, BTreeMap<String, Holders>>);

/// The databases that shards belong to.
#[derive(Debug, Default)]
pub struct RebuiltMaps {
    /// Their maps, in the order of the databases' names, with the default properties.
    pub maps: Vec<ShardMap>,
    /// Names of databases of which not all ranges were found.
    pub incomplete: Vec<String>,
}

impl FoundShards {
    /// A shard was found, of this node. Files that are named like a shard and cannot be one are ignored.
    pub fn add(&mut self, shard: ShardName, node: &str) {
        let ShardName { range, db, suffix } = shard;
        if couchfile::database_name::check(&db).is_err() {
            return;
        }
        let holders = self.0.entry(db).or_default().entry(suffix).or_default().entry(range).or_default();
        if !holders.iter().any(|known| known == node) {
            holders.push(node.to_owned());
        }
    }

    /// Keeps only the databases for which this holds.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|db, _| keep(db));
    }

    /// Makes a map for each database: with its newest suffix whose ranges leave no gap. Where ranges overlap, because shards were
    /// being split, the map has all of them, as CouchDB's own has.
    pub fn rebuild(self) -> RebuiltMaps {
        let mut rebuilt = RebuiltMaps::default();
        for (db, suffixes) in self.0 {
            let whole = suffixes.into_iter().rev().find(|(_, held)| ring::of(held.keys().copied()).is_some());
            let Some((suffix, by_range)) = whole else {
                rebuilt.incomplete.push(db);
                continue;
            };
            let mut map = ShardMap::new(&db, &suffix, 1, 1, &[]);
            map.by_range = by_range;
            rebuilt.maps.push(map);
        }
        rebuilt
    }
}

/// The properties of a shard as a shard map has them: an object where the file has a list of pairs. `None` if they cannot be
/// read.
pub fn properties<R: ReadAt>(shard: &Database<R>) -> Option<Vec<u8>> {
    let mut object = Encoder::new();
    object.tuple(1);
    match shard.props().ok()? {
        Some(term) => object.raw(term.as_slice()),
        None => object.nil(),
    };
    Some(object.finish())
}

/// Writes a `_dbs.couch` with these maps into a temporary file, after whatever `before` adds. `node` is the node that opens it
/// next.
pub fn write_maps(
    maps: &[ShardMap],
    node: &str,
    before: impl FnOnce(&mut DatabaseWriter<BufWriter<File>>) -> Result<()>,
) -> Result<FileBytes> {
    let failed = |e| unusable(NAME, e);
    let temporary = std::env::temp_dir();
    let io = |e| Failure::io("write a file in", &temporary, e);
    let out = BufWriter::with_capacity(1 << 20, tempfile::tempfile().map_err(io)?);
    let settings = Settings::new(random_uuid().map_err(failed)?, node);
    let mut writer = DatabaseWriter::new(out, settings).map_err(failed)?;
    before(&mut writer)?;
    for map in maps {
        let body = NewBody { term: map.encode(), deleted: false, attachments: Vec::new() };
        writer.add(&NewDocument::first(map.db.as_bytes(), body)).map_err(failed)?;
    }
    let mut out = writer.finish().map_err(failed)?;
    out.flush().map_err(io)?;
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    FileBytes::new(file).map_err(io)
}

#[cfg(test)]
mod tests {
    use couchfile::data_dir::DataFile;

    use super::*;

    fn rebuilt(paths: &[(&str, &str)]) -> RebuiltMaps {
        let mut found = FoundShards::default();
        for (path, node) in paths {
            let Some(DataFile::Shard(shard)) = DataFile::parse(path) else { panic!("{path}") };
            found.add(shard, node);
        }
        found.rebuild()
    }

    #[test]
    fn the_newest_complete_suffix_is_taken() {
        let found = rebuilt(&[
            ("shards/00000000-7fffffff/a.1700000000.couch", "n@1"),
            ("shards/80000000-ffffffff/a.1700000000.couch", "n@2"),
            ("shards/80000000-ffffffff/a.1700000000.couch", "n@1"),
            ("shards/00000000-7fffffff/a.1800000000.couch", "n@1"),
            ("shards/00000000-7fffffff/b.1700000000.couch", "n@1"),
            ("shards/00000000-ffffffff/gone.1700000000.20261128.183000.deleted.couch", "n@1"),
        ]);
        assert_eq!(found.incomplete, ["b"]);
        let [map] = &found.maps[..] else { panic!("{found:?}") };
        assert_eq!((map.db.as_str(), map.suffix.as_str(), map.copies()), ("a", ".1700000000", 2));
        let second: Vec<_> = map.by_range.values().nth(1).into_iter().flatten().collect();
        assert_eq!(second, ["n@2", "n@1"]);
    }

    #[test]
    fn a_rebuilt_file_holds_the_maps() {
        let found = rebuilt(&[("shards/00000000-ffffffff/a/b.1700000000.couch", "n@1")]);
        let file = write_maps(&found.maps, "n@1", |_| Ok(())).unwrap();
        let database = Database::open(file).unwrap();
        let map = database.document(b"a/b", |doc| Ok(crate::shard_map_of(&database, doc).ok())).unwrap();
        assert_eq!(map.flatten().as_ref(), found.maps.first());
    }
}

//! The names that planned databases and files get.

use couchfile::data_dir::{DataFile, ShardName};
use couchfile::shard_map::ShardMap;

use super::Plan;

impl Plan {
    /// The name under which a database of the archive is written; `None` if it is not written.
    pub(crate) fn name_of<'p>(&'p self, db: &'p str) -> Option<&'p str> {
        self.chosen.name_of(db).filter(|_| !self.skipped.contains(db))
    }

    /// An archived map with the ranges in use.
    pub(crate) fn counted(&self, map: ShardMap) -> ShardMap {
        match self.rings.get(&map.db) {
            Some(ring) => ring.of(&map),
            None => map,
        }
    }

    /// Whether the database of a planned file is renamed.
    pub(crate) fn is_renamed(&self, file: &DataFile) -> bool {
        let shard = self.shard_of(file);
        shard.is_some_and(|shard| self.chosen.name_of(&shard.db).is_some_and(|name| name != shard.db))
    }

    /// The path on a node of a planned file of the archive, if its database gets another name or suffix.
    pub(crate) fn renamed(&self, file: &DataFile) -> Option<DataFile> {
        let archived = self.shard_of(file)?;
        let name = self.chosen.name_of(&archived.db)?;
        let suffix = self.suffix_of.get(name).or(self.new_suffix.as_ref()).unwrap_or(&archived.suffix);
        if name == archived.db && *suffix == archived.suffix {
            return None;
        }
        let shard = ShardName { range: archived.range, db: name.to_owned(), suffix: suffix.clone() };
        Some(match file {
            DataFile::View { signature, .. } => DataFile::View { shard, signature: signature.clone() },
            _ => DataFile::Shard(shard),
        })
    }

    /// The shard of a planned file, as its map names it.
    fn shard_of<'s>(&'s self, file: &'s DataFile) -> Option<&'s ShardName> {
        let shard = match file {
            DataFile::ShardMaps => return None,
            DataFile::Shard(shard) | DataFile::View { shard, .. } => shard,
        };
        if self.misread.is_empty() {
            return Some(shard);
        }
        Some(self.misread.get(shard.path().as_str()).unwrap_or(shard))
    }
}

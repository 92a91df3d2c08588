//! Databases of CouchDB 1.x in a backup.
//!
//! CouchDB 1.x has one file for each database, no ranges and no node names. A backup keeps such a file as the only shard of a
//! database with one range and without a suffix, and names a node that stands for CouchDB 1.x. So everything that reads backups
//! reads these databases, and a restore recognises them.

use couchfile::data_dir::Range;
use couchfile::shard_map::ShardMap;

/// The name of the node that stands for a CouchDB 1.x.
pub const COUCHDB_1: &str = "couchdb-1@localhost";

/// The number of ranges that a restore gives a database of CouchDB 1.x: CouchDB's default (`[cluster] q`).
pub const RANGES_FOR_COUCHDB_1: u32 = 2;

/// The map under which a backup keeps a database of CouchDB 1.x.
pub fn map_of_couchdb_1(db: &str) -> ShardMap {
    ShardMap::new(db, "", 1, 1, &[COUCHDB_1.to_owned()])
}

/// Whether a map of a backup is that of a database of CouchDB 1.x.
pub fn is_of_couchdb_1(map: &ShardMap) -> bool {
    let all = Range { begin: 0, end: u32::MAX };
    map.suffix.is_empty()
        && map.by_range.len() == 1
        && map.by_range.get(&all).is_some_and(|nodes| nodes.len() == 1 && nodes[0] == COUCHDB_1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_maps_are_recognised() {
        assert!(is_of_couchdb_1(&map_of_couchdb_1("team/a")));
        assert!(!is_of_couchdb_1(&ShardMap::new("a", ".1795355234", 1, 1, &[COUCHDB_1.to_owned()])));
        assert!(!is_of_couchdb_1(&ShardMap::new("a", "", 2, 1, &[COUCHDB_1.to_owned()])));
        assert!(!is_of_couchdb_1(&ShardMap::new("a", "", 1, 1, &["couchdb@localhost".to_owned()])));
    }
}

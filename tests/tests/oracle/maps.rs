//! Shard maps: what is decoded and encoded again is the very bytes that CouchDB wrote, with the very revision.

use couchcopy_tests::{Result, content};
use couchfile::data_dir::SHARD_MAPS;
use couchfile::revision;
use couchfile::shard_map::ShardMap;

#[test]
fn maps_come_back_to_the_byte_with_their_revision() -> Result<()> {
    let (folders, _alive) = super::all_data_folders()?;
    let (mut maps, mut tombstones) = (0, 0);
    for folder in folders {
        let file = content::open(&folder.join(SHARD_MAPS))?;
        file.for_each_document(|doc| -> Result<()> {
            let name = std::str::from_utf8(doc.id)?;
            if name.starts_with("_design/") {
                return Ok(());
            }
            let tree = doc.revisions.as_ref().ok_or("no tree")?;
            let leaf = tree.winner().ok_or("no leaf")?;
            let summary = file.summary(&leaf.stored.ok_or("no body")?)?;
            let map = ShardMap::decode(name, &mut summary.body.decoder())?;
            assert_eq!(map.encode(), summary.body.as_slice(), "{name}");
            assert!(map.covers_everything(), "{name}");

            let parent = tree.ancestry(leaf).nth(1);
            let parent = parent.as_ref().map(|id| (leaf.generation - 1, id.0));
            let computed = if doc.deleted {
                tombstones += 1;
                revision::next(parent, true, &map.encode(), &[])
            } else {
                maps += 1;
                map.revision(parent)
            };
            assert_eq!((computed.0, computed.1.as_slice()), (leaf.generation, leaf.id.0), "{name}");
            Ok(())
        })?;
    }
    assert!(maps > 90 && tombstones > 0, "{maps} {tombstones}");
    Ok(())
}

#[test]
fn only_what_partitions_a_database_makes_it_partitioned() -> Result<()> {
    let (folders, _alive) = super::all_data_folders()?;
    for folder in folders {
        for (name, map) in content::shard_maps(&folder)? {
            assert_eq!(map.is_partitioned(), name == "part" || name == "parts", "{name}");
        }
    }
    Ok(())
}

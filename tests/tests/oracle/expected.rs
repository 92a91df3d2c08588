//! The single files before and after compaction, against all that HTTP said of each database and each shard.

use std::path::Path;

use couchcopy_tests::compare::compare;
use couchcopy_tests::{Result, content, fixtures};
use couchfile::btree::{Reduction, TreeKind};
use couchfile::database::Database;
use couchfile::document::{self, JsonOptions};
use couchfile::read_at::{FileBytes, ReadAt};
use couchfile::shard_map::ShardMap;
use serde_json::{Map, Value, json};

/// The database whose documents changed while HTTP was asked.
const MOVING: &str = "_global_changes";
/// What of it is left out of the comparison.
const MOVED: [&str; 5] = ["docs", "doc_count", "doc_del_count", "sizes", "node_local"];

#[test]
fn before_compaction() -> Result<()> {
    assert_eq!(
        differences("pre")?,
        [
            // The setting is not committed by itself, and raises the sequence in memory only.
            "/revs/node_local/shards/00000000-ffffffff/revs.1795356995/update_seq: 22 became 21",
            "/revs/purged_infos_limit: 77 became 1000",
        ]
    );
    Ok(())
}

#[test]
fn after_compaction() -> Result<()> {
    // A compaction does not commit what it copied of the settings, save where local documents make another commit.
    let without_locals = [
        ("atts/node_local/shards/00000000-ffffffff/atts.1795356995", 8),
        ("conf/node_local/shards/00000000-ffffffff/conf.1795356995", 8),
        ("many/node_local/shards/00000000-7fffffff/many.1795356996", 2409),
        ("many/node_local/shards/80000000-ffffffff/many.1795356996", 2591),
        (
            "na/me+with$spe(c)i-a_l/x/node_local/shards/00000000-ffffffff/na/me+with$spe(c)i-a_l/x.1795356995",
            1,
        ),
        ("part/node_local/shards/00000000-7fffffff/part.1795356995", 10),
        ("part/node_local/shards/80000000-ffffffff/part.1795356995", 5),
        ("purge/node_local/shards/00000000-ffffffff/purge.1795356995", 10),
        ("revs/node_local/shards/00000000-ffffffff/revs.1795356995", 22),
    ];
    let mut known: Vec<String> =
        without_locals.iter().map(|(shard, seq)| format!("/{shard}/compacted_seq: {seq} became 0")).collect();
    known.push("/revs/purged_infos_limit: 77 became 1000".into());
    known.push("/revs/revs_limit: 5 became 1000".into());
    known.sort();
    assert_eq!(differences("post")?, known);
    Ok(())
}

fn differences(moment: &str) -> Result<Vec<String>> {
    let files = fixtures::couch_files()?;
    let folder = files.data(moment);
    let mut expected = files.expected(moment)?;
    let mut read = Map::new();
    for (name, map) in content::shard_maps(&folder)? {
        let said = expected.get_mut(&name).and_then(Value::as_object_mut).ok_or("a database too many")?;
        let mut database = read_database(&folder, &map)?;
        // Read and write quorums are no property of the files.
        for quorum in ["r", "w"] {
            said["cluster"].as_object_mut().ok_or("no object")?.shift_remove(quorum);
        }
        // Of the large one, HTTP was asked for some documents only.
        if name == "many" {
            let asked = said["docs"].as_object().ok_or("no object")?.clone();
            let all = database["docs"].as_object_mut().ok_or("no object")?;
            assert_eq!(all.len(), 5000);
            all.retain(|id, _| asked.contains_key(id));
        }
        if name == MOVING {
            for key in MOVED {
                said.shift_remove(key);
                database.shift_remove(key);
            }
        }
        read.insert(name, database.into());
    }
    Ok(compare(&expected, &read.into()))
}

/// A database in the shape of `expected.json`.
fn read_database(folder: &Path, map: &ShardMap) -> Result<Map<String, Value>> {
    let mut docs = Map::new();
    let (mut local, mut node_local) = (Map::new(), Map::new());
    let mut purges = Vec::new();
    let mut whole = Value::Null;
    let (mut live, mut deleted) = (0, 0);
    let mut sizes = [0u64; 3];
    for shard in map.shards() {
        let path = shard.path();
        let key = path.strip_suffix(".couch").ok_or("no ending")?.to_owned();
        let file = content::open(&folder.join(&path))?;
        file.for_each_document(|doc| -> Result<()> {
            let leaves = content::leaves(&file, doc)?;
            let leaves = leaves.as_array().ok_or("no array")?;
            let value = json!({
                "deleted": doc.deleted,
                "leafs": leaves.iter().map(|leaf| &leaf["_rev"]).collect::<Vec<_>>(),
                "open_revs": leaves.iter().map(|leaf| json!({"ok": leaf})).collect::<Vec<_>>(),
            });
            docs.insert(String::from_utf8(doc.id.to_vec())?, value);
            Ok(())
        })?;
        let locals = content::locals(&file)?;
        if !locals.is_empty() {
            local.insert(key.clone(), locals.into_iter().collect::<Map<_, _>>().into());
        }
        file.for_each_purge(|purge| -> Result<()> {
            let revs: Vec<String> = purge.revisions.iter().map(|(pos, id)| format!("{pos}-{id}")).collect();
            purges.push(json!({"id": String::from_utf8(purge.id.to_vec())?, "revs": revs}));
            Ok(())
        })?;
        let (a, b) = file.counts()?;
        live += a;
        deleted += b;
        let info = node_local_info(&file)?;
        for (sum, kind) in sizes.iter_mut().zip(["active", "external", "file"]) {
            *sum += info["sizes"][kind].as_u64().ok_or("no size")?;
        }
        node_local.insert(key, info);
        let header = file.header();
        whole = json!({
            "security": content::security(&file)?,
            "revs_limit": header.revs_limit,
            "purged_infos_limit": header.purge_infos_limit,
        });
    }
    purges.sort_by_key(|purge| purge["id"].to_string());
    let database = json!({
        "cluster": {"q": map.by_range.len(), "n": map.copies()},
        "dbdoc": map_document(folder, &map.db)?,
        "doc_count": live,
        "doc_del_count": deleted,
        "docs": docs,
        "local": local,
        "node_local": node_local,
        "props": if map.is_partitioned() { json!({"partitioned": true}) } else { json!({}) },
        "purged_infos": {"purged_infos": purges},
        "purged_infos_limit": whole["purged_infos_limit"],
        "revs_limit": whole["revs_limit"],
        "security": whole["security"],
        "shards": map.by_range.iter().map(|(range, nodes)| (range.to_string(), nodes.clone().into())).collect::<Map<_, _>>(),
        "sizes": {"active": sizes[0], "external": sizes[1], "file": sizes[2]},
    });
    Ok(database.as_object().cloned().unwrap_or_default())
}

/// What `GET /_node/_local/{shard}` tells of a file.
fn node_local_info(file: &Database<FileBytes>) -> Result<Value> {
    let header = file.header();
    let (live, deleted) = file.counts()?;
    let mut active: u64 = header.trees().iter().filter_map(|(_, tree)| tree.and_then(|tree| tree.size)).sum();
    let mut external = 0;
    if let Some(tree) = &header.id_tree {
        let (reduction, _) = Reduction::decode(TreeKind::Id, &tree.reduction)?;
        active += reduction.sizes.active;
        external = reduction.sizes.external;
    }
    Ok(json!({
        "compacted_seq": header.compacted_seq,
        "doc_count": live,
        "doc_del_count": deleted,
        "purge_seq": file.purge_seq()?,
        "sizes": {"active": active, "external": external, "file": file.source().len()},
        "update_seq": header.update_seq,
        "uuid": header.uuid,
    }))
}

/// The document of a shard map as HTTP shows it.
fn map_document(folder: &Path, name: &str) -> Result<Value> {
    let file = content::open(&folder.join(couchfile::data_dir::SHARD_MAPS))?;
    let mut text = Vec::new();
    let found = file.document(name.as_bytes(), |doc| {
        let tree = doc.revisions.as_ref().expect("a revision tree");
        let leaf = tree.winner().expect("a leaf");
        document::leaf_json(&file, doc, tree, leaf, JsonOptions::default(), &mut text)
    })?;
    found.ok_or("no such map")?;
    Ok(serde_json::from_slice(&text)?)
}

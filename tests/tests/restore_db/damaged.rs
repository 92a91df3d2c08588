//! What can be read of a damaged database is restored, and the rest is reported.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use couchcopy_tests::content::{open, shard_maps};
use couchcopy_tests::lab::back_up;
use couchcopy_tests::{Result, fixtures};
use scale_data::build;
use scale_data::plan::{Attachments, Plan};

use super::arena::Arena;

const DOCS: u64 = 900;

/// A node with one database in one shard.
fn node(dir: &Path, doc_size: u64) -> Result<(fixtures::Node, String, PathBuf)> {
    let plan = Plan {
        databases: 1,
        empty: 0,
        docs: DOCS,
        doc_size,
        revisions: 1,
        q: 1,
        copies: 1,
        nodes: vec!["couchdb@127.0.8.1".into()],
        seed: 3,
        attachments: Attachments::default(),
    };
    let data = build::build(&plan, dir)?.folders.remove(0).path;
    let (db, map) = shard_maps(&data)?.into_iter().next().ok_or("no maps")?;
    let shard = data.join(map.shards().next().ok_or("no shards")?.path());
    Ok((fixtures::Node { name: "couchdb@127.0.8.1".into(), data }, db, shard))
}

fn overwrite(file: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    Ok(fs::OpenOptions::new().write(true).open(file)?.write_all_at(bytes, offset)?)
}

#[test]
fn the_rest_of_a_damaged_database_is_restored() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    for doc_size in [300, 7000] {
        let (node, db, shard) = node(&arena.path(&format!("nodes-{doc_size}")), doc_size)?;
        let len = fs::metadata(&shard)?.len();
        let count = (1 << 20).min(len / 3);
        overwrite(&shard, (len - count) / 2, &vec![0; usize::try_from(count)?])?;
        let archive = arena.path(&format!("damaged-{doc_size}.tar.gz"));
        back_up(&[node], &archive)?;
        let result = arena.json(3, &archive, &["-y", "--db", &format!("{db}=rest-{doc_size}")])?;
        let refused = result["databases"][0]["refused_revisions"].as_u64().unwrap_or(0);
        let there = arena.http().get(&format!("/rest-{doc_size}"))?["doc_count"].as_u64().unwrap_or(0);
        assert!(refused > 0 && there > DOCS / 3, "{there} there: {result:#}");
        assert!(there + refused >= DOCS, "{there} there: {result:#}");
    }
    Ok(())
}

/// Each of the two trees leads to all documents.
#[test]
fn one_damaged_tree_loses_no_document() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    for by_id in [true, false] {
        let (node, db, shard) = node(&arena.path(&format!("nodes-{by_id}")), 300)?;
        let file = open(&shard)?;
        let header = file.header();
        let tree = if by_id { &header.id_tree } else { &header.seq_tree };
        overwrite(&shard, tree.as_ref().ok_or("no tree")?.ptr + 4, b"damaged")?;
        let archive = arena.path(&format!("tree-{by_id}.tar.gz"));
        back_up(&[node], &archive)?;
        let target = format!("all-{by_id}");
        let ended = arena.restore(&archive, &["-y", "--db", &format!("{db}={target}")])?;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(arena.http().get(&format!("/{target}"))?["doc_count"], DOCS);
        if by_id {
            assert!(ended.stderr.contains("nothing is missing"), "{ended:#?}");
        }
    }
    Ok(())
}

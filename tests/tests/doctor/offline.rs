//! Data directories of stopped nodes.

use std::fs;
use std::time::Duration;

use couchcopy_tests::fixtures::{self, Cluster};
use couchcopy_tests::lab::couchcopy;
use couchcopy_tests::{Result, fixtures::Node};
use couchfile::header::HeaderEdit;
use serde_json::json;

use super::common::{check, doctor, expected, told};
use super::plant;

/// A node that holds shards of this database, and another one that does not hold its first shard.
fn holder<'n>(cluster: &'n Cluster, db: &str) -> Result<(&'n Node, &'n Node)> {
    let holder = cluster.nodes.iter().find(|node| plant::shards_of(&node.data, db).is_ok());
    let holder = holder.ok_or("nobody holds it")?;
    let path = &plant::shards_of(&holder.data, db)?[0];
    let other = cluster.nodes.iter().find(|node| !node.data.join(path).exists()).ok_or("all hold it")?;
    Ok((holder, other))
}

#[test]
fn nothing_is_found_on_healthy_nodes() -> Result<()> {
    for cluster in [fixtures::single_node()?, fixtures::four_nodes()?] {
        let before = fixtures::files_below(cluster.dir())?;
        for more in
            [&["--pause", "0"][..], &["--pause", "0", "--deep"], &["--pause", "0", "--fail-on", "note"]]
        {
            let ended = doctor(&cluster.nodes, more)?;
            check(&ended, &expected(&[])).map_err(|e| format!("{more:?}: {e}"))?;
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
        assert_eq!(fixtures::files_below(cluster.dir())?, before);
    }
    Ok(())
}

/// Plants a fault in the four nodes of the fixture.
type Plant = fn(&Cluster) -> Result<()>;

#[test]
fn each_planted_fault_is_found() -> Result<()> {
    let faults: [(&str, &str, Plant); 17] = [
        ("damaged-copy", "plain", |four| {
            plant::zero(&plant::shard(&holder(four, "plain")?.0.data, "plain")?)
        }),
        ("missing-copy", "q8", |four| Ok(fs::remove_file(plant::shard(&holder(four, "q8")?.0.data, "q8")?)?)),
        ("extra-copy", "views", |four| {
            let (holder, other) = holder(four, "views")?;
            let path = &plant::shards_of(&holder.data, "views")?[0];
            plant::put(&other.data, path, &fs::read(holder.data.join(path))?)
        }),
        ("compaction-left", "atts", |four| {
            let shard = plant::shard(&holder(four, "atts")?.0.data, "atts")?;
            let left = shard.with_extension("couch.compact.data");
            fs::write(&left, [7; 5000])?;
            plant::age(&left, Duration::from_secs(7200))
        }),
        ("unknown-shards", "never", |four| {
            plant::put(
                &four.nodes[0].data,
                "shards/00000000-ffffffff/never.1700000000.couch",
                &plant::new_shard(3)?,
            )
        }),
        ("soft-deleted", "gone", |four| {
            let path = "shards/00000000-ffffffff/gone.1700000000.20261128.183000.deleted.couch";
            plant::put(&four.nodes[0].data, path, &plant::new_shard(3)?)
        }),
        ("old-database", "sales", |four| {
            plant::put(&four.nodes[1].data, "sales.couch", &plant::new_shard(3)?)
        }),
        ("shared-uuid", "conflicts", |four| {
            let path = &plant::shards_of(&holder(four, "conflicts")?.0.data, "conflicts")?[0];
            let copies: Vec<_> =
                four.nodes.iter().map(|node| node.data.join(path)).filter(|path| path.exists()).collect();
            let uuid = Some(plant::uuid(&copies[0])?);
            plant::edit_header(&copies[1], HeaderEdit { uuid, ..HeaderEdit::default() })
        }),
        ("security-differs", "secure", |four| {
            let security = Some(json!({"members": {"names": ["eve"]}}));
            let shard = plant::shard(&holder(four, "secure")?.0.data, "secure")?;
            plant::edit_header(&shard, HeaderEdit { security, ..HeaderEdit::default() })
        }),
        ("limits-differ", "revslimit", |four| {
            let shard = plant::shard(&holder(four, "revslimit")?.0.data, "revslimit")?;
            plant::edit_header(&shard, HeaderEdit { revs_limit: Some(77), ..HeaderEdit::default() })
        }),
        ("index-damaged", "views", |four| {
            let node =
                four.nodes.iter().find(|node| plant::index(&node.data, "views").is_ok()).ok_or("no index")?;
            plant::zero(&plant::index(&node.data, "views")?)
        }),
        ("orphan-index", "old", |four| {
            let node =
                four.nodes.iter().find(|node| plant::index(&node.data, "views").is_ok()).ok_or("no index")?;
            let name = ".shards/00000000-ffffffff/old.1700000000_design/mrview/2211de6fd42bbc31fa6c29d35b3a8407.view";
            plant::put(&node.data, name, &fs::read(plant::index(&node.data, "views")?)?)
        }),
        ("restore-left", "couchdb51@127.0.0.51", |four| {
            plant::put(&four.nodes[0].data, ".couchcopy/old/x", b"x")
        }),
        ("awaits-deletion", "couchdb51@127.0.0.51", |four| {
            plant::put(&four.nodes[0].data, ".delete/0123456789abcdef", b"x")
        }),
        ("maps-missing", "couchdb52@127.0.0.52", |four| {
            Ok(fs::remove_file(four.nodes[1].data.join("_dbs.couch"))?)
        }),
        ("maps-damaged", "couchdb52@127.0.0.52", |four| plant::zero(&four.nodes[1].data.join("_dbs.couch"))),
        ("documents-differ", "deleted", |four| {
            let shard = plant::shard(&holder(four, "deleted")?.0.data, "deleted")?;
            let settings = couchfile::writer::Settings::new(plant::uuid(&shard)?, "couchdb51@127.0.0.51");
            let empty = couchfile::writer::DatabaseWriter::new(Vec::new(), settings)?.finish()?;
            Ok(fs::write(shard, empty)?)
        }),
    ];
    for (kind, place, plant) in faults {
        let four = fixtures::four_nodes()?;
        plant(&four).map_err(|e| format!("{kind}: {e}"))?;
        let ended = doctor(&four.nodes, &["--pause", "0"])?;
        let found = super::common::found(&told(&ended)?);
        // An emptied file loses its security object, too.
        let more: &[(&str, &str)] =
            if kind == "documents-differ" { &[("security-differs", "deleted")] } else { &[] };
        let wanted: super::common::Found = expected(&[(kind, place)])
            .into_iter()
            .chain(expected(more).intersection(&found).cloned())
            .collect();
        check(&ended, &wanted).map_err(|e| format!("{kind}: {e}"))?;
        let told = told(&ended)?;
        let is_note = told["findings"][0]["severity"] == "note";
        assert_eq!(ended.code, Some(if is_note { 0 } else { 3 }), "{kind}: {told:#}");
    }
    Ok(())
}

#[test]
fn nodes_that_have_all_lost_their_shard_maps_are_examined_all_the_same() -> Result<()> {
    let four = fixtures::four_nodes()?;
    plant::zero(&plant::shard(&holder(&four, "plain")?.0.data, "plain")?)?;
    let mut wanted = expected(&[("damaged-copy", "plain")]);
    for node in &four.nodes {
        fs::remove_file(node.data.join("_dbs.couch"))?;
        wanted.extend(expected(&[("maps-missing", &node.name)]));
    }
    check(&doctor(&four.nodes, &["--pause", "0"])?, &wanted)
}

#[test]
fn what_only_a_complete_check_can_find() -> Result<()> {
    let four = fixtures::four_nodes()?;
    let shard = plant::shard(&holder(&four, "plain")?.0.data, "plain")?;
    plant::damage_body(&shard, b"text")?;
    check(&doctor(&four.nodes, &["--pause", "0"])?, &expected(&[]))?;
    let ended = doctor(&four.nodes, &["--pause", "0", "--deep", "--limit-rate", "1G"])?;
    check(&ended, &expected(&[("damaged-copy", "plain")]))?;
    assert_eq!(ended.code, Some(3));
    Ok(())
}

#[test]
fn nodes_that_are_not_given_are_named_and_the_severity_decides() -> Result<()> {
    let four = fixtures::four_nodes()?;
    let wanted =
        expected(&[("node-not-given", "couchdb53@127.0.0.53"), ("node-not-given", "couchdb54@127.0.0.54")]);
    let ended = doctor(&four.nodes[..2], &["--pause", "0"])?;
    check(&ended, &wanted)?;
    assert_eq!(ended.code, Some(0));
    assert_eq!(doctor(&four.nodes[..2], &["--pause", "0", "--fail-on", "note"])?.code, Some(3));
    Ok(())
}

#[test]
fn the_table_names_place_and_remedy() -> Result<()> {
    let four = fixtures::four_nodes()?;
    let shard = plant::shard(&four.nodes[0].data, "q8")?;
    fs::remove_file(shard)?;
    let mut arguments = vec!["doctor".to_owned(), "--pause".to_owned(), "0".to_owned()];
    arguments.extend(four.folders().iter().map(|folder| folder.display().to_string()));
    let ended = couchcopy(&arguments)?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for text in [
        "ERROR  missing-copy: 1 finding",
        "couchdb51@127.0.0.51",
        "q8",
        "-> If another node",
        "Found: 1 error, ",
    ] {
        assert!(ended.stdout.contains(text), "{text}: {}", ended.stdout);
    }
    Ok(())
}

#[test]
fn what_is_no_data_directory_cannot_be_examined() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ended = couchcopy(&["doctor", &folder.path().display().to_string()])?.unwrapped();
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("is not the data directory of a CouchDB node"), "{ended:?}");
    Ok(())
}

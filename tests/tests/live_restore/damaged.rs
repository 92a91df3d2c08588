//! An archive that is damaged inside takes the place of nothing.

use std::fs;
use std::os::unix::fs::FileExt;

use couchcopy_tests::content::shard_maps;
use couchcopy_tests::lab::{Size, back_up, read_over_http};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, fixtures};
use scale_data::build;
use scale_data::plan::{Attachments, Plan as Data};
use serde_json::json;

/// Two databases, the shards of the first of which are damaged in the middle: a small one or a large one.
fn damaged(doc_size: u64) -> Result<(tempfile::TempDir, Vec<fixtures::Node>, [String; 2], String)> {
    let dir = tempfile::tempdir()?;
    let plan = Data {
        databases: 2,
        empty: 0,
        docs: 800,
        doc_size,
        revisions: 1,
        q: 2,
        copies: 1,
        nodes: vec!["couchdb@127.0.8.1".into()],
        seed: 5,
        attachments: Attachments::default(),
    };
    let built = build::build(&plan, &dir.path().join("nodes"))?;
    let data = built.folders[0].path.clone();
    let mut maps = shard_maps(&data)?.into_iter();
    let (db, map) = maps.next().ok_or("no maps")?;
    let (other, _) = maps.next().ok_or("one map")?;
    let path = map.shards().next().ok_or("no shards")?.path();
    let file = fs::OpenOptions::new().write(true).open(data.join(&path))?;
    let len = usize::try_from(file.metadata()?.len())?;
    let count = (1 << 20).min(len / 2);
    file.write_all_at(&vec![0; count], ((len - count) / 2) as u64)?;
    let node = fixtures::Node { name: built.folders[0].node.clone(), data };
    Ok((dir, vec![node], [db, other], path))
}

fn nothing_good_is_replaced(reach: Reach) -> Result<()> {
    let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    site.http().put("/here-before", &serde_json::Value::Null)?;
    site.http().put("/here-before/doc", &json!({"here": true}))?;
    site.wait_until_settled(|_| Ok(()))?;
    let content = read_over_http(site.http())?;
    for (number, doc_size) in [300, 8000].into_iter().enumerate() {
        let (_dir, nodes, [db, other], path) = damaged(doc_size)?;
        let archive = site.path(&format!("damaged-{number}.tar.gz"));
        back_up(&nodes, &archive)?;
        let refused = site.restore(&archive, &[])?;
        assert_eq!(refused.code, Some(6), "{refused:#?}");
        for part in [db.as_str(), &path, "document", "--skip-damaged"] {
            // Long lines are broken at hyphens.
            let told = refused.stderr.replace(' ', "");
            assert!(told.contains(part), "{part}: {refused:#?}");
        }
        site.check_content(&content)?;
        site.check_nothing_left()?;
        let stops = site.controls.iter().map(|control| control.calls("stop")).sum::<usize>();
        if number == 0 {
            assert_eq!(stops, 0);
        }

        // Who asks for the rest gets it, and hears what is missing.
        if number == 1 {
            let ended = site.restore(&archive, &["--skip-damaged"])?;
            assert_eq!(ended.code, Some(3), "{ended:#?}");
            assert!(ended.stdout.contains(&db) && ended.stdout.contains("LEFT OUT"), "{ended:#?}");
            let now = read_over_http(site.http())?;
            assert!(now.get(&db).is_none() && now.get("here-before").is_none());
            assert_eq!(now[&other]["docs"].as_object().map(serde_json::Map::len), Some(800));
            site.check_nothing_left()?;
        }
    }
    Ok(())
}

#[test]
fn damage_inside_an_archive_stops_no_node_of_this_machine() -> Result<()> {
    nothing_good_is_replaced(Reach::Here)
}

#[test]
fn damage_inside_an_archive_stops_no_node_of_another_machine() -> Result<()> {
    nothing_good_is_replaced(Reach::Ssh)
}

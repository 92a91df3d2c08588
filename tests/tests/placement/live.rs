//! Restores of a running cluster.

use couchcopy_tests::lab::{Ended, back_up, run, wait_for};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Value, json};

use super::zoned::Zoned;

/// An archive of the single node in the cluster's own directory.
fn archive(zoned: &Zoned) -> Result<String> {
    let archive = zoned.site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    Ok(archive.display().to_string())
}

/// Every range goes where the cluster's placement wants it, as do new databases of CouchDB's own; zones stay.
#[test]
fn a_cluster_s_placement_is_followed() -> Result<()> {
    let Some(zoned) = Zoned::start("z1:2,z2:1")? else { return Ok(()) };
    let archive = archive(&zoned)?;
    let told = zoned.site.couchcopy(&["check"])?.success()?;
    assert!(told.contains("placement") && told.contains("z1:2,z2:1"), "{told}");
    let plan = zoned.site.couchcopy(&["restore", "--dry-run", &archive])?.success()?;
    assert!(plan.contains("Copies follow the cluster's placement z1:2,z2:1."), "{plan}");
    assert!(plan.contains("databases get another number of copies"), "{plan}");
    let table: Vec<&str> =
        plan.lines().skip_while(|line| !line.contains("zone  databases")).take(5).collect();
    assert_eq!(table.len(), 5, "{plan}");
    for (line, node) in table[1..].iter().zip(&zoned.site.nodes) {
        assert!(line.contains(&node.name), "{plan}");
    }
    let plan: Value = serde_json::from_str(
        &zoned.site.couchcopy(&["restore", "--dry-run", "--json", &archive])?.success()?,
    )?;
    assert_eq!(plan["placement"]["cluster"], "z1:2,z2:1");
    // All databases are in z1 twice, where there are two nodes.
    assert_eq!(plan["nodes"][0]["databases"], plan["databases"]);
    assert_eq!((&plan["nodes"][1]["zone"], &plan["nodes"][2]["zone"]), (&json!("z1"), &json!("z2")));

    let told = zoned.site.couchcopy(&["restore", "-y", "--json", &archive])?.success()?;
    let told: Value = serde_json::from_str(&told)?;
    zoned.site.check_content(&fixtures::oracle("single-node")?)?;
    zoned.check(|_| "z1:2,z2:1")?;
    zoned.check_members()?;
    for (planned, placed) in
        plan["nodes"].as_array().into_iter().flatten().zip(told["placed"].as_array().ok_or("no list")?)
    {
        for key in ["databases", "shards", "bytes", "zone"] {
            assert_eq!(planned[key], placed[key]);
        }
    }
    zoned.http().put("/made-by-couchdb", &Value::Null)?;
    zoned.check_database("made-by-couchdb", "z1:2,z2:1")?;
    zoned.site.check_nothing_left()
}

/// Other zones for some databases, other ranges, and a restore that is killed and goes on with what was chosen.
#[test]
fn what_was_asked_for_is_in_the_journals() -> Result<()> {
    let Some(zoned) = Zoned::start("z1:1,z2:1")? else { return Ok(()) };
    let archive = archive(&zoned)?;
    let placement = |name: &str| match name {
        "q8" | "q1n1" => "z2:2",
        "atts" => "z1:2,z2:2",
        _ => "z1:1,z2:1",
    };
    for (step, maps) in [("2", "file"), ("12", "http")] {
        let arguments = [
            "restore",
            "-y",
            "--maps",
            maps,
            "--place",
            "q*=z2:2",
            "--place",
            "atts=any",
            "--copies",
            "2",
            "--place",
            "atts=z1:2,z2:2",
            "--q",
            "plain=3",
            &archive,
        ];
        let killed = run(zoned.site.command(&arguments)?.env("COUCHCOPY_TEST_KILL_AFTER_STEP", step))?;
        assert_eq!(killed.code, None, "{killed:?}");
        run(&mut zoned.site.command(&["restore", "-y", "--resume"])?)?.success()?;
        let mut expected = fixtures::oracle("single-node")?;
        expected["plain"]["ranges"] = json!(["00000000-55555554", "55555555-aaaaaaa9", "aaaaaaaa-ffffffff"]);
        zoned.site.check_content(&expected)?;
        zoned.check(placement)?;
        zoned.check_members()?;
    }
    // The same nodes again: what fits stays, whatever else changes.
    let backup = zoned.site.path("again.tar.gz");
    zoned.site.back_up(&backup)?;
    let shards = |db: &str| zoned.http().get(&format!("/{db}/_shards"));
    let (kept, moved) = (shards("plain")?, shards("q8")?);
    let told = zoned.site.restore(&backup, &[])?.success()?;
    assert!(!told.is_empty());
    zoned.check(|_| "z1:1,z2:1")?;
    assert_eq!(shards("plain")?, kept);
    assert_ne!(shards("q8")?, moved);
    // Without regard to zones.
    zoned.site.restore(&backup, &["--place", "any", "--copies", "3"])?.success()?;
    let plain = shards("plain")?;
    assert!(
        plain["shards"]
            .as_object()
            .is_some_and(|ranges| ranges.values().all(|holders| holders.as_array().map(Vec::len) == Some(3)))
    );
    zoned.check_members()
}

/// Fails unless a restore ended without having done anything, and told why.
fn refused(zoned: &Zoned, ended: &Ended, words: &[&str]) -> Result<()> {
    assert_eq!(ended.code, Some(5), "{ended:?}");
    for words in words {
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    zoned.http().get("/here-before")?;
    zoned.site.check_nothing_left()
}

/// What cannot be met is refused before anything is changed; CouchDB would make fewer copies, or none.
#[test]
fn what_cannot_be_met_is_refused() -> Result<()> {
    let Some(zoned) = Zoned::start("z1:1,z2:1")? else { return Ok(()) };
    let archive = archive(&zoned)?;
    zoned.http().put("/here-before", &Value::Null)?;
    let restore = |more: &[&str]| zoned.site.couchcopy(&[&["restore", "-y", &archive], more].concat());

    refused(
        &zoned,
        &restore(&["--copies", "3"])?,
        &["CC-R63", "--copies 3 is not the number of copies that the placement z1:1,z2:1 makes, 2"],
    )?;
    refused(&zoned, &restore(&["--place", "z1:3"])?, &["CC-R62", "has 2 of the 3 nodes"])?;
    refused(&zoned, &restore(&["--place", "plain=z9:1"])?, &["CC-R62", "no node is in the zone \"z9\""])?;

    let set_all = |placement: &str| (0..4).try_for_each(|i| zoned.set_placement(i, placement));
    set_all("z1:3,z2:1")?;
    let told = zoned.site.couchcopy(&["check"])?;
    assert_eq!(told.code, Some(3), "{told:?}");
    assert!(told.stdout.contains("`[cluster] placement` is z1:3,z2:1, but the zone"), "{told:?}");
    refused(&zoned, &restore(&[])?, &["CC-R01", "z1:3,z2:1, but the zone \"z1\" has 2 of the 3 nodes"])?;
    // CouchDB itself does what it can.
    zoned.http().put("/fewer", &Value::Null)?;
    zoned.check_database("fewer", "z1:2,z2:1")?;
    set_all("z9:1")?;
    refused(&zoned, &restore(&[])?, &["CC-R01", "no node is in the zone \"z9\""])?;
    assert_eq!(zoned.http().ask("PUT", "/none", None)?.status, 500);

    // Nodes that do not agree.
    set_all("z1:1,z2:1")?;
    zoned.set_placement(2, "z2:1")?;
    let third = zoned.site.nodes[2].name.clone();
    refused(&zoned, &restore(&[])?, &["CC-R01", &third, "is \"z2:1\"", "is \"z1:1,z2:1\""])?;
    zoned.remove_placement(2)?;
    refused(&zoned, &restore(&[])?, &["CC-R01", &third, "is not set"])?;
    zoned.set_placement(2, "z2:1,z1:1")?;

    // A node that is to hold nothing.
    zoned.edit_member(3, &json!({"zone": "z2", "note": "kept", "decom": true}))?;
    let plan = zoned.site.couchcopy(&["restore", "--dry-run", &archive])?.success()?;
    assert!(plan.contains("Decommissioned (decom), and without copies: "), "{plan}");
    set_all("z2:2")?;
    refused(&zoned, &restore(&[])?, &["CC-R01", "has 1 of the 2 nodes"])?;
    set_all("z1:1,z2:1")?;
    zoned.site.restore(archive.as_ref(), &[])?.success()?;
    zoned.check(|_| "z1:1,z2:1")?;
    let maps = zoned.http().get("/_dbs/_all_docs?include_docs=true")?.to_string();
    assert!(maps.contains(&third) && !maps.contains(&zoned.site.nodes[3].name), "{maps}");
    zoned.http().put("/made-by-couchdb", &Value::Null)?;
    let shards = zoned.http().get("/made-by-couchdb/_shards")?.to_string();
    assert!(shards.contains(&third) && !shards.contains(&zoned.site.nodes[3].name), "{shards}");
    Ok(())
}

/// A node whose disk was lost knows all zones again when it is back: the other nodes have the list.
#[test]
fn a_node_that_is_brought_back_knows_the_zones() -> Result<()> {
    let Some(zoned) = Zoned::start("z1:2,z2:2")? else { return Ok(()) };
    let archive = archive(&zoned)?;
    zoned.site.restore(archive.as_ref(), &[])?.success()?;
    let backup = zoned.site.path("all.tar.gz");
    zoned.site.back_up(&backup)?;
    zoned.site.control(1, "stop")?.success()?;
    let node = &zoned.site.nodes[1];
    std::fs::remove_dir_all(&node.data)?;
    std::fs::create_dir(&node.data)?;
    zoned.site.restore(&backup, &["--node", &node.name])?.success()?;
    wait_for("the zones", || zoned.check_members().map(Some))?;
    zoned.check(|_| "z1:2,z2:2")?;
    zoned.http().put("/made-by-couchdb", &Value::Null)?;
    zoned.check_database("made-by-couchdb", "z1:2,z2:2")
}

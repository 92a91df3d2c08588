//! Copies that missed purges.

use couchcopy_tests::Result;
use couchcopy_tests::far::Far;
use couchcopy_tests::lab::{Cluster, Installation, Size};
use serde_json::{Value, json};

use super::common::{back_up, listed, purge, restored, told, write};

/// While one node is down documents are purged. All folders are saved.
fn check(away: usize, replicated: bool, over_ssh: bool, size: usize) -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let far = if over_ssh {
        let Some(far) = Far::start()? else { return Ok(()) };
        Some(far)
    } else {
        None
    };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 3, q: 2, n: 3 })?;
    source.http().put("/p", &Value::Null)?;
    if !replicated {
        for node in &source.nodes {
            node.http.put("/_node/_local/_config/mem3/replicate_purges", &json!("false"))?;
        }
    }
    let written = write(source.http(), "p", &"x".repeat(size), 1000)?;
    source.wait_until_settled(|_| Ok(()))?;
    source.nodes[away].stop()?;
    purge(&source.nodes[(away + 1) % 3].http, "p", &written[..100])?;
    source.stop()?;
    // What runs beside an sshd of its own may write to its folder only.
    let archive = match &far {
        Some(far) => far.sshd.machine.path("purged.tar.gz"),
        None => source.dir().join("purged.tar.gz"),
    };
    for backwards in [false, true] {
        let ended = match &far {
            None => back_up(&source, &archive, backwards, &[])?,
            Some(far) => {
                let mut nodes: Vec<String> = source.nodes.iter().map(|node| far.node(&node.data)).collect();
                if backwards {
                    nodes.reverse();
                }
                far.backup(&nodes, &archive, &["--json", "--overwrite"])?.unwrapped()
            }
        };
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(listed(&archive, "p")?, (900, 0), "{ended:?}");
        let differ = told(&ended)?["copies_differ"].as_array().cloned().unwrap_or_default();
        assert_eq!(differ.len(), 2, "{ended:?}");
        for choice in &differ {
            assert_eq!((&choice["database"], &choice["purges_differ"]), (&json!("p"), &json!(true)));
            let copies = choice["copies"].as_array().ok_or("no copies")?;
            assert_eq!(copies.last().map(|copy| &copy["node"]), Some(&json!(source.nodes[away].name)));
        }
        assert!(ended.stderr.contains("differ in their purges"), "{ended:?}");
        assert!(ended.stderr.contains(&source.nodes[away].name), "{ended:?}");
    }
    let mut target = Cluster::prepare(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    restored(&archive, &mut target, |http| {
        assert_eq!(http.get("/p")?["doc_count"], json!(900));
        Ok(())
    })
}

#[test]
fn the_copy_that_has_purged_more_is_saved() -> Result<()> {
    check(2, true, false, 1)
}

#[test]
fn purges_that_are_not_replicated_count_as_well() -> Result<()> {
    check(0, false, false, 1)
}

#[test]
fn purges_count_on_other_machines_too() -> Result<()> {
    check(0, true, true, 100)
}

#[test]
fn a_copy_with_other_documents_is_not_given_up_for_its_purges() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 1, n: 2 })?;
    source.http().put("/p", &Value::Null)?;
    let written = write(source.http(), "p", "d", 200)?;
    source.wait_until_settled(|_| Ok(()))?;
    // One node purges while the other one is away; then that one alone is written to.
    source.nodes[1].stop()?;
    purge(&source.nodes[0].http, "p", &written[..20])?;
    source.nodes[0].stop()?;
    source.nodes[1].start()?;
    source.nodes[1].wait_until_up()?;
    write(&source.nodes[1].http, "p", "new", 30)?;
    source.stop()?;
    for backwards in [false, true] {
        let archive = source.dir().join("both.tar.gz");
        let ended = back_up(&source, &archive, backwards, &[])?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(listed(&archive, "p")?, (230, 0));
        let told = told(&ended)?;
        let saved = &told["copies_differ"][0]["copies"][0];
        assert_eq!((&saved["lacks"], &saved["unpurged"]), (&json!(0), &json!(20)), "{told}");
        assert!(
            ended.stderr.contains("20 documents that were purged on another node are saved"),
            "{ended:?}"
        );
    }
    Ok(())
}

//! Shard maps are the same whichever way they come.

use std::collections::BTreeMap;

use couchcopy_tests::lab::{Http, Size, back_up, encode};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

/// All documents of a node's shard maps with their ancestors.
fn maps(http: &Http) -> Result<BTreeMap<String, Value>> {
    let listed = http.get("/_node/_local/_dbs/_all_docs")?;
    let ids = listed["rows"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str());
    ids.map(|id| {
        let path = if id.starts_with("_design/") { id.to_owned() } else { encode(id) };
        Ok((id.to_owned(), http.get(&format!("/_node/_local/_dbs/{path}?revs=true"))?))
    })
    .collect()
}

#[test]
fn maps_made_over_http_are_those_of_the_files() -> Result<()> {
    let plan = Plan { size: Size { nodes: 3, q: 2, n: 2 }, reach: Reach::Here };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    let archive = site.path("four.tar.gz");
    back_up(&fixtures::four_nodes()?.nodes, &archive)?;
    let expected = fixtures::oracle("four-nodes-n2")?;
    let mut found = Vec::new();
    for how in ["http", "file"] {
        // A new suffix is the time, so it would be another one each time.
        site.restore(&archive, &["--maps", how, "--keep-suffix"])?.success()?;
        site.check_content(&expected).map_err(|e| format!("{how}: {e}"))?;
        site.check_nothing_left()?;
        let of_nodes: Vec<_> = site.nodes.iter().map(|node| maps(&node.http)).collect::<Result<_>>()?;
        assert!(of_nodes.windows(2).all(|pair| pair[0] == pair[1]), "{how}: {of_nodes:#?}");
        found.extend(of_nodes.into_iter().next());
    }
    assert!(found[0].len() >= 16, "{} maps", found[0].len());
    assert_eq!(found[0], found[1]);
    Ok(())
}

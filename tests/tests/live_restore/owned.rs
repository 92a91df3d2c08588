//! Nodes whose data belongs to a user of its own, on a machine that has busybox, reached as root.

use std::os::unix::fs::MetadataExt;

use couchcopy_tests::fixtures::files_below;
use couchcopy_tests::lab::{Size, back_up, join, skipped};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::managers::{FAKES, link_busybox};
use couchcopy_tests::{Result, fixtures};
use rustix::process::getuid;
use serde_json::{Value, json};

/// Nobody's number on this machine.
const USER: u32 = 48_291;

#[test]
fn files_belong_to_who_owned_the_data_before() -> Result<()> {
    if !getuid().is_root() {
        skipped("it takes root to give files to others");
        return Ok(());
    }
    let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach: Reach::Ssh };
    let Some(site) = Site::prepare(plan)? else { return Ok(()) };
    std::fs::create_dir_all(site.path(FAKES))?;
    if !link_busybox(&site.path(FAKES))? {
        return Ok(());
    }
    for control in &site.controls {
        control.give_to(USER)?;
    }
    site.start_nodes()?;
    join(&site.nodes)?;
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    for more in [&["--keep-old"][..], &["--maps", "http"]] {
        if more == ["--maps", "http"] {
            site.couchcopy(&["restore", "-y", "--roll-back"])?.success()?;
            join(&site.nodes)?;
        }
        site.restore(&archive, more)?.success()?;
        for node in &site.nodes {
            let mut seen = 0;
            for path in files_below(&node.data)? {
                if !path.starts_with(".couchcopy") {
                    for path in node.data.join(&path).ancestors().take_while(|path| **path != node.data) {
                        let found = std::fs::metadata(path)?;
                        assert_eq!((found.uid(), found.gid()), (USER, USER), "{}", path.display());
                    }
                    seen += 1;
                }
            }
            assert!(seen > 20, "{seen} files on {}", node.name);
        }
        site.check_content(&fixtures::oracle("single-node")?)?;
    }
    site.http().put("/written-later", &Value::Null)?;
    site.http().put("/plain/written-later", &json!({}))?;
    site.check_nothing_left()
}

//! A node whose CouchDB listens to its own machine only: through ssh.

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{Size, back_up, read_databases_over_http};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, fixtures};

use super::arena::renamed;

#[test]
fn through_a_tunnel() -> Result<()> {
    let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach: Reach::Ssh };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let archive = archive.to_str().ok_or("a path that is no text")?;
    let names = [("atts", "a"), ("plain", "b"), ("q8", "c")];
    let flags: Vec<String> = names.iter().map(|(from, to)| format!("--db={from}={to}")).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    // All nodes of the file are one cluster: the first one will do.
    site.couchcopy(&[&["restore", "--tunnel=always"], &flags[..], &[archive]].concat())?.success()?;
    let expected = renamed(&fixtures::oracle("single-node")?, names)?;
    let found: Vec<String> = names.iter().map(|(_, to)| (*to).to_owned()).collect();
    assert_eq!(compare(&expected, &read_databases_over_http(site.http(), &found)?), [""; 0]);
    assert_eq!(site.controls.iter().map(|control| control.calls("stop")).sum::<usize>(), 0);
    site.check_nothing_left()
}

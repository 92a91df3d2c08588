//! Single databases over HTTP (`--db`).

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{
    Cluster, Installation, PASSWORD, Size, back_up, binary, read_databases_over_http, run,
};
use couchcopy_tests::{Result, fixtures};
use serde_json::json;

use super::with_ranges;

/// A database gets the number of ranges that was asked for.
#[test]
fn a_new_database_has_the_ranges_that_were_asked_for() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let cluster = Cluster::fresh(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    let archive = cluster.dir().join("a.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let node = cluster.nodes[0].url().trim_start_matches("http://").to_owned();
    let mut command = std::process::Command::new(binary()?);
    command.args(["restore", "--json", "--db", "parts", "--db", "q8=eight", "--db", "plain"]);
    command.args(["--q", "3", "--q", "q8=5", "--q", "pl*=1"]).arg(&archive).arg(node);
    run(command.env("COUCHCOPY_PASSWORD", PASSWORD))?.success()?;
    let oracle = fixtures::oracle("single-node")?;
    let expected = json!({"parts": oracle["parts"], "eight": oracle["q8"], "plain": oracle["plain"]});
    let expected = with_ranges(expected, |name| match name {
        "eight" => Some(5),
        "plain" => Some(1),
        _ => Some(3),
    });
    let names: Vec<String> = ["parts", "eight", "plain"].map(str::to_owned).into();
    assert_eq!(compare(&expected, &read_databases_over_http(cluster.http(), &names)?), [""; 0]);
    Ok(())
}

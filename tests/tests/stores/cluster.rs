//! A real cluster is saved into a store over ssh, encrypted, looked at there, and restored from there while it runs.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use couchcopy_tests::lab::{Size, back_up, query_zoo, run};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use super::encrypted::{IDENTITY, RECIPIENT, secret};
use super::run::{Couchcopy, bucket};

#[test]
fn a_cluster_goes_to_a_store_and_comes_back() -> Result<()> {
    let Some(s3) = bucket("cluster")? else { return Ok(()) };
    let plan = Plan { size: Size { nodes: 3, q: 2, n: 2 }, reach: Reach::Ssh };
    let Some(site) = Site::start(plan)? else { return Ok(()) };
    let expected = fixtures::oracle("single-node")?;
    let first = site.path("first.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &first)?;
    let ended = site.restore(&first, &["--n", "2"])?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    site.wait_until_settled(query_zoo)?;

    let dir = tempfile::tempdir()?;
    let key = secret(dir.path(), "key.txt", IDENTITY)?;
    let key = key.to_str().ok_or("not text")?;
    let archive = "s3://cluster/zoo.tar.gz.age";
    let of_site = |arguments: &[&str]| -> Result<()> {
        let mut command: Command = site.command(arguments)?;
        let ended = run(command.envs(s3.environment()))?.unwrapped();
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        Ok(())
    };
    of_site(&["backup", "--recipient", RECIPIENT, archive])?;
    assert_eq!(s3.uploads("cluster", "")?.len(), 0);
    let couchcopy = Couchcopy::with(s3.environment());
    couchcopy.expect(0, &["verify", "--identity", key, archive])?;

    let mut server = couchcopy
        .command(&["serve", "--port", "0", "--identity", key, archive])?
        .stdout(Stdio::piped())
        .spawn()?;
    let mut url = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut url)?;
    let answer = ureq::get(format!("{}_all_dbs", url.trim())).call()?.body_mut().read_to_string()?;
    server.kill()?;
    server.wait()?;
    let served: Vec<String> = serde_json::from_str(&answer)?;
    let databases: Vec<&String> = expected.as_object().ok_or("no databases")?.keys().collect();
    for name in databases {
        assert!(served.contains(name), "{name} is not served: {served:?}");
    }

    site.http().put("/made-later", &Value::Null)?;
    of_site(&["restore", "-y", "--identity", key, archive])?;
    site.check_content(&expected)
}

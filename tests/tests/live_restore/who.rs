//! Who is asked, and how often: passwords, members that are gone, load balancers.

use std::fs;
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{PASSWORD, Size, USER, run, wait_for};
use couchcopy_tests::live::{Forwarder, Plan, Reach, Site};
use serde_json::{Value, json};

fn site() -> Result<Option<Site>> {
    Site::start(Plan { size: Size { nodes: 2, q: 1, n: 2 }, reach: Reach::Here })
}

fn proofs(told: &str) -> Result<Vec<Value>> {
    let told: Value = serde_json::from_str(told)?;
    Ok(told["proofs"].as_array().cloned().unwrap_or_default())
}

#[test]
fn a_wrong_password_is_sent_once_to_a_node() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let archive = site.path("archive.tar.gz");
    site.back_up(&archive)?;
    let archive = archive.display().to_string();
    let again = site.path("again.tar.gz").display().to_string();
    let refusals = || -> Vec<usize> {
        let of =
            |log: String| log.lines().filter(|line| line.contains(" 401 ") || line.contains(" 403 ")).count();
        site.nodes.iter().map(|node| of(node.log())).collect()
    };
    for arguments in [
        &["check"][..],
        &["restore", "-y", &archive],
        &["restore", "-y", "--db", "_users=users-old", &archive],
        &["backup", &again],
        &["status"],
    ] {
        let before = refusals();
        let mut command = site.command(arguments)?;
        let ended = run(command.env("COUCHCOPY_PASSWORD", "wrong"))?.unwrapped();
        assert_ne!(ended.code, Some(1), "{ended:#?}");
        // What is logged comes a moment later.
        std::thread::sleep(std::time::Duration::from_secs(1));
        let sent: Vec<usize> = refusals().iter().zip(&before).map(|(now, before)| now - before).collect();
        assert!(sent.iter().all(|sent| *sent <= 1), "{arguments:?}: {sent:?} {ended:#?}");
        if arguments[0] == "check" {
            assert_eq!(sent, [1, 1], "{ended:#?}");
        }
    }
    Ok(())
}

#[test]
fn the_command_that_removes_a_dead_member_works_as_it_is_shown() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let dead = "couchdb@127.255.255.1";
    site.http().put(&format!("/_node/_local/_nodes/{dead}"), &json!({}))?;
    wait_for("the other node to know it", || {
        let told = site.nodes[1].http.get("/_membership")?;
        Ok(told["cluster_nodes"].to_string().contains(dead).then_some(()))
    })?;
    let ended = site.couchcopy(&["check", "--json"])?;
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let proofs = proofs(&ended.stdout)?;
    let remedy =
        proofs.iter().find(|proof| proof["subject"] == "membership").ok_or("no membership")?["remedy"]
            .clone();
    let remedy = remedy.as_str().ok_or("no remedy")?;
    let command = &remedy[remedy.find("curl ").ok_or_else(|| remedy.to_owned())?..];
    // curl would ask for the password.
    let command = command.replacen(&format!("-u {USER}"), &format!("-sS -f -u {USER}:{PASSWORD}"), 1);
    run(Command::new("sh").args(["-c", &command]))?.success().map_err(|e| format!("{command}: {e}"))?;
    wait_for("both nodes to forget it", || Ok((site.couchcopy(&["check"])?.code == Some(0)).then_some(())))
}

#[test]
fn a_load_balancer_in_place_of_a_node_is_named() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let targets = site
        .nodes
        .iter()
        .map(|node| node.url().trim_start_matches("http://").parse().map_err(Into::into))
        .collect::<Result<Vec<_>>>()?;
    let balancer = Forwarder::start(targets, site.path("nothing"))?;
    let node = format!("http://{USER}@{}/,{}", balancer.address, site.nodes[0].data.display());
    let mut command = site.beside(couchcopy_tests::lab::binary()?.to_str().ok_or("no text")?);
    let ended =
        run(command.args(["check", "--json", &node]).env("COUCHCOPY_PASSWORD", PASSWORD))?.unwrapped();
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let proofs = proofs(&ended.stdout)?;
    let name =
        proofs.iter().find(|proof| proof["subject"] == "name").ok_or_else(|| format!("{proofs:#?}"))?;
    for text in [&site.nodes[0].name, &site.nodes[1].name, "lead to 2 nodes"] {
        assert!(name["found"].as_str().is_some_and(|found| found.contains(text)), "{text}: {name:#}");
    }
    assert!(name["remedy"].as_str().is_some_and(|remedy| remedy.contains("load balancer")), "{name:#}");
    Ok(())
}

#[test]
fn nodes_that_answer_and_do_not_see_each_other_are_named() -> Result<()> {
    let Some(site) = site()? else { return Ok(()) };
    let arguments = site.nodes[1].data.parent().ok_or("no folder")?.join("etc/vm.args");
    let text = fs::read_to_string(&arguments)?;
    assert!(text.contains("couchcopy-lab"), "{text}");
    fs::write(&arguments, text.replace("couchcopy-lab", "another-cookie"))?;
    site.control(1, "stop")?.success()?;
    site.control(1, "start")?.success()?;
    site.wait_until_up()?;
    let [first, second] = [0, 1].map(|i| site.nodes[i].name.clone());
    let shard = "00000000-ffffffff";
    let map = json!({
        "shard_suffix": [46, 49, 55, 48, 48, 48, 48, 48, 48, 48, 48],
        "changelog": [["add", shard, first]],
        "by_node": {first.clone(): [shard]},
        "by_range": {shard: [first]},
    });
    site.nodes[0].http.put("/_node/_local/_dbs/alone", &map)?;
    let ended = site.couchcopy(&["check", "--json"])?;
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let proofs = proofs(&ended.stdout)?;
    for (node, other) in [(&first, &second), (&second, &first)] {
        let found = format!("it does not see {other}, though CouchDB of {other} answers");
        let told = |proof: &&Value| proof["node"] == node.as_str() && proof["found"] == found.as_str();
        let proof = proofs.iter().find(told).ok_or_else(|| format!("{found}: {proofs:#?}"))?;
        assert!(proof["remedy"].as_str().is_some_and(|remedy| remedy.contains("cookie")), "{proof:#}");
    }
    let maps =
        proofs.iter().find(|proof| proof["subject"] == "shard maps").ok_or("nothing about shard maps")?;
    let found = maps["found"].as_str().unwrap_or_default();
    assert!(found.contains(&format!("{second} does not have the shard map alone")), "{maps:#}");
    let archive = site.path("archive.tar.gz").display().to_string();
    let ended = site.couchcopy(&["backup", &archive])?;
    for text in
        [format!("{first} does not see {second}"), format!("{second} does not see {first}"), "alone".into()]
    {
        assert!(ended.stderr.contains(&text), "{text}: {ended:#?}");
    }
    Ok(())
}

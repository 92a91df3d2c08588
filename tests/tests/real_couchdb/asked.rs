//! What only CouchDB itself can tell is recorded where name and password are given, and restored.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::lab::{
    Cluster, Ended, Installation, PASSWORD, Size, USER, binary, couchcopy, run, wait_for,
};
use couchcopy_tests::{Result, content, fixtures};
use serde_json::{Value, json};

/// Saves a cluster's folders by a cluster file that names its nodes; `names` go through a function.
fn backup(cluster: &Cluster, password: &str, name: impl Fn(&str) -> String) -> Result<(PathBuf, Ended)> {
    let mut text = String::new();
    for node in &cluster.nodes {
        write!(
            text,
            "[[node]]\nname = \"{}\"\nhost = \"localhost\"\ndata = \"{}\"\nurl = \"{}\"\n",
            name(&node.name),
            node.data.display(),
            node.url()
        )?;
    }
    let file = cluster.dir().join("cluster.toml");
    fs::write(&file, text)?;
    let archive = cluster.dir().join("asked.tar.gz");
    let mut command = Command::new(binary()?);
    command.args(["backup", "--overwrite", "--cluster"]).arg(file).arg(&archive);
    let ended = run(command.env("COUCHCOPY_PASSWORD", password))?;
    assert!(!format!("{ended:?}").contains(password), "{ended:?}");
    Ok((archive, ended))
}

fn summary(archive: &Path) -> Result<Value> {
    let mut command = Command::new("tar");
    let toc = run(command.arg("-xOzf").arg(archive).arg("couchcopy-toc.json"))?.success()?;
    let toc: Value = serde_json::from_str(toc.trim_end_matches('\0').trim())?;
    Ok(toc["summary"].clone())
}

#[test]
fn limits_that_a_compaction_lost_come_back() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let mut source = Cluster::fresh(&couchdb, Size { nodes: 2, q: 2, n: 1 })?;
    let http = source.http();
    http.put("/limited", &Value::Null)?;
    http.put("/usual", &Value::Null)?;
    http.put("/limited/_revs_limit", &json!(5))?;
    http.put("/limited/_purged_infos_limit", &json!(77))?;
    for i in 0..20 {
        http.put(&format!("/limited/{i}"), &json!({}))?;
    }
    for node in &source.nodes {
        node.http.post("/limited/_compact", &json!({}))?;
    }
    wait_for(
        "a compaction",
        || Ok((http.get("/limited")?["compact_running"] == json!(false)).then_some(())),
    )?;
    let (archive, ended) = backup(&source, PASSWORD, str::to_owned)?;
    ended.success()?;
    let cluster = summary(&archive)?["cluster"].clone();
    assert_eq!(cluster["limits"], json!({"limited": {"revs_limit": 5, "purged_infos_limit": 77}}));
    assert_eq!(cluster["limits_asked"], json!(true));
    assert_eq!((cluster["q"].as_str(), cluster["n"].as_str()), (Some("2"), Some("1")));
    let names: Vec<&str> = source.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(cluster["members"], json!(names));
    assert_eq!(cluster["nodes"][1]["name"], json!(names[1]));
    assert!(cluster["nodes"][0]["version"].as_str().is_some_and(|version| version.starts_with('3')));
    couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success()?;

    let target = source.dir().join("target");
    let node = format!("{},couchdb@127.0.0.1", target.display());
    let archive_text = archive.display().to_string();
    couchcopy(&["restore", "--offline", &archive_text, &node])?.success()?;
    let mut seen = 0;
    for path in fixtures::files_ending(&target, "couch")? {
        if path.contains("/limited.") {
            let database = content::open(&target.join(&path))?;
            let header = database.header();
            assert_eq!((header.revs_limit, header.purge_infos_limit), (5, 77), "{path}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2);

    // Another name than the node's own is refused; a CouchDB that does not let us in, or is down, changes nothing but what is told.
    let (_, ended) = backup(&source, PASSWORD, |name| name.replace("couchdb", "other"))?;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    let (archive, ended) = backup(&source, "no-such-password", str::to_owned)?;
    assert!(ended.stderr.contains("does not accept"), "{ended:?}");
    ended.success()?;
    assert_eq!(summary(&archive)?.get("cluster"), None);
    source.stop()?;
    let (_, ended) = backup(&source, PASSWORD, str::to_owned)?;
    assert!(ended.stderr.contains("does not answer"), "{ended:?}");
    ended.success()?;
    Ok(())
}

#[test]
fn a_node_is_asked_at_the_address_given() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let source = Cluster::fresh(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    let node = &source.nodes[0];
    let (archive, cluster) = (source.dir().join("url.tar.gz"), source.dir().join("cluster.toml"));
    fs::write(
        &cluster,
        format!("[[node]]\nhost = \"localhost\"\ndata = \"/nowhere\"\nurl = \"{}\"\n", node.url()),
    )?;
    let argument = format!("localhost,{}", node.data.display());
    let with_password = format!("{USER}:{PASSWORD}@{argument}");
    let url = node.url();
    // The address by itself, or from the cluster file, of which the argument knows the rest better.
    for arguments in [
        vec!["backup", "--overwrite", "--url", url.as_str(), with_password.as_str()],
        vec!["backup", "--overwrite", "--cluster", cluster.to_str().ok_or("a path")?, with_password.as_str()],
    ] {
        let mut command = Command::new(binary()?);
        let ended = run(command.args(arguments).arg(&archive).env_remove("COUCHCOPY_PASSWORD"))?;
        assert!(!format!("{ended:?}").contains(PASSWORD), "{ended:?}");
        ended.success()?;
        assert_eq!(summary(&archive)?["cluster"]["nodes"][0]["name"], json!(node.name));
    }
    let two = ["backup", "--url", &url, &argument, "localhost,/elsewhere", "none.tar.gz"];
    let ended = couchcopy(&two)?;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("--url"), "{ended:?}");
    Ok(())
}

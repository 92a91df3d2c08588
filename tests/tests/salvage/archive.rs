//! What is recovered, written as an archive.

use std::fs;

use couchcopy_tests::lab::{couchcopy, verify};
use couchcopy_tests::{Result, content, fixtures};
use serde_json::Value;

use super::nodes::{damage_shards, same_documents};

#[test]
fn what_is_recovered_of_a_cluster_is_an_archive() -> Result<()> {
    let cluster = fixtures::four_nodes()?;
    let right = content::read_cluster(&cluster.folders())?;
    let (archive, apart) = (cluster.dir().join("rescued.tar.gz"), cluster.dir().join("apart"));
    let (archive, apart) = (archive.display().to_string(), apart.display().to_string());
    let mut arguments = vec!["salvage".to_owned(), "--json".into()];
    for (i, node) in cluster.nodes.iter().enumerate() {
        damage_shards(&node.data, 70 + i as u64)?;
        // Lists of ids that compactions were sorting.
        let shard = fixtures::files_ending(&node.data, "couch")?;
        let shard = shard.iter().find(|path| path.starts_with("shards/")).ok_or("no shard")?;
        fs::write(node.data.join(format!("{shard}.compact.meta")), "sorted ids")?;
        arguments.push(node.data.display().to_string());
    }
    arguments.extend(["--to".into(), archive.clone(), "--apart".into(), apart.clone()]);
    let ended = couchcopy(&arguments)?;
    assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
    let told: Value = serde_json::from_str(ended.stdout.lines().last().unwrap_or_default())?;
    let summary = &told["summary"];
    assert_eq!(summary["not_needed"].as_array().map(Vec::len), Some(4), "{summary}");
    assert_eq!((&summary["backup"], &summary["to"]), (&archive.clone().into(), &apart.clone().into()));
    // Nothing temporary is left.
    let names =
        fs::read_dir(cluster.dir())?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with(".couchcopy-salvage")), "{names:?}");
    assert!(fs::read_to_string(format!("{apart}/report.jsonl"))?.lines().count() > 0);

    let verified = verify(archive.as_ref())?;
    assert!(matches!(verified.code, Some(0 | 3)), "{verified:?}");
    assert!(!verified.stderr.contains("damaged"), "{verified:?}");
    let info: Value = serde_json::from_str(&couchcopy(&["info", &archive, "--json"])?.success()?)?;
    let documents = summary["documents"]["whole"].as_u64().ok_or("no number")?;
    assert!(documents > 1000, "{summary}");
    let is_whole = |shard: &&Value| shard["documents"]["whole"] == shard["recorded"];
    assert!(
        !summary["shards"].as_array().ok_or("no shards")?.iter().all(|shard| is_whole(&shard)),
        "{summary}"
    );
    assert!(info["problems"].as_u64() > Some(0), "{info}");
    assert_eq!((&info["databases"], info["nodes"].as_array().map(Vec::len)), (&16.into(), Some(4)), "{info}");

    // The archive has what the directory would have, and it is restored on one node.
    let to = cluster.dir().join("restored");
    let node = format!("{},couchdb@127.0.0.1", to.display());
    let restored = couchcopy(&["restore", "--offline", "--skip-damaged", &archive, &node])?;
    assert!(matches!(restored.code, Some(0 | 3)), "{restored:?}");
    let found = content::read_cluster(&[&to])?;
    let directory = cluster.dir().join("directory");
    let place = arguments.iter().position(|argument| argument == "--to").ok_or("no --to")?;
    arguments.truncate(place);
    arguments.extend(["--to".into(), directory.display().to_string()]);
    couchcopy(&arguments)?;
    let (same, differ) = same_documents(&found, &content::read_cluster(&[&directory.join("data")])?);
    assert!(same > 1000 && differ.is_empty(), "{same} are the same: {differ:?}");
    let (same, _) = same_documents(&found, &right);
    assert!(same > 1000, "{same}");
    Ok(())
}

#[test]
fn what_no_archive_can_be_made_of_is_refused() -> Result<()> {
    let cluster = fixtures::single_node()?;
    let data = &cluster.nodes[0].data;
    let given = data.display().to_string();
    let (archive, directory) = (cluster.dir().join("a.tar.gz"), cluster.dir().join("d"));
    let (archive, directory) = (archive.display().to_string(), directory.display().to_string());
    for (arguments, code) in
        [(vec!["--to", &directory, "--apart", "x"], "CC-X31"), (vec!["--to", "-"], "CC-X32")]
    {
        let ended = couchcopy(&[vec!["salvage", &given], arguments].concat())?;
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.stderr.contains(code), "{ended:?}");
    }
    let ended = couchcopy(&["salvage", &given, "--to", &archive])?;
    assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
    assert!(
        ended.stdout.contains("The proven documents are in") && !ended.stdout.contains("unproven."),
        "{ended:?}"
    );
    let verified = verify(archive.as_ref())?;
    assert!(matches!(verified.code, Some(0 | 3)), "{verified:?}");
    let again = couchcopy(&["salvage", &given, "--to", &archive])?;
    assert_eq!(again.code, Some(5), "an archive that exists: {again:?}");
    fs::remove_file(data.join("_dbs.couch"))?;
    let ended = couchcopy(&["salvage", &given, "--to", &archive.replace("a.tar", "b.tar")])?;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("CC-W03"), "{ended:?}");
    Ok(())
}

//! Documents read out of archives, against what a CouchDB said of them over HTTP.

mod couchrestore;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use couchcopy_tests::lab::{Ended, couchcopy};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// Archives of the same content by both programs, with the oracle that tells of it.
struct Sample {
    archive: String,
    expected: Map<String, Value>,
    _folder: TempDir,
}

fn samples() -> Result<Vec<Sample>> {
    let object = |name: &str| -> Result<Map<String, Value>> {
        Ok(fixtures::oracle(name)?.as_object().ok_or("no object")?.clone())
    };
    let mut samples = Vec::new();
    for (cluster, name) in
        [(fixtures::single_node()?, "single-node"), (fixtures::four_nodes()?, "four-nodes-n2")]
    {
        let folder = tempfile::tempdir()?;
        let archive = text(&folder.path().join("backup.tar.gz")).to_owned();
        let nodes: Vec<String> =
            cluster.folders().iter().map(|folder| format!("localhost,{}", folder.display())).collect();
        let mut arguments = vec!["backup", "-q"];
        arguments.extend(nodes.iter().map(String::as_str));
        arguments.push(&archive);
        couchcopy(&arguments)?.success()?;
        samples.push(Sample { archive, expected: object(name)?, _folder: folder });
    }
    let python: PathBuf = fixtures::path("couchcopy-0.2.4.tar.gz");
    samples.push(Sample {
        archive: text(&python).to_owned(),
        expected: object("single-node")?,
        _folder: tempfile::tempdir()?,
    });
    Ok(samples)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

fn get(arguments: &[&str]) -> Result<Value> {
    let printed = couchcopy(&[&["get"], arguments].concat())?.success()?;
    Ok(serde_json::from_str(&printed)?)
}

fn refused(arguments: &[&str], words: &str) -> Result<Ended> {
    let ended = couchcopy(arguments)?.unwrapped();
    assert_eq!(ended.code, Some(5), "{arguments:?}: {ended:?}");
    assert!(ended.stderr.contains(words), "{arguments:?}: {words}: {}", ended.stderr);
    assert_eq!(ended.stdout, "");
    Ok(ended)
}

fn leaves(database: &Value) -> impl Iterator<Item = (&String, &Vec<Value>)> {
    database["docs"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(id, leaves)| Some((id, leaves.as_array()?)))
}

fn is_deleted(leaf: &Value) -> bool {
    leaf["_deleted"] == true
}

/// The leaf that CouchDB shows: not deleted before deleted, then the higher generation, then the greater id.
fn winner(leaves: &[Value]) -> &Value {
    let key = |leaf: &Value| {
        let rev = leaf["_rev"].as_str().unwrap_or_default().to_owned();
        let generation: u64 = rev.split('-').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        (!is_deleted(leaf), generation, rev)
    };
    leaves.iter().max_by_key(|leaf| key(leaf)).expect("a leaf")
}

fn without(leaf: &Value, keys: &[&str]) -> Value {
    let mut leaf = leaf.clone();
    for key in keys {
        leaf.as_object_mut().map(|leaf| leaf.shift_remove(*key));
    }
    leaf
}

/// Attachments as stubs, as a document has them that is asked for without their content.
fn with_stubs(leaf: &Value) -> Result<Value> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let mut leaf = without(leaf, &["_revisions"]);
    for (_, attachment) in leaf["_attachments"].as_object_mut().into_iter().flatten() {
        let attachment = attachment.as_object_mut().ok_or("no object")?;
        let data = attachment.shift_remove("data").ok_or("no data")?;
        let content = BASE64_STANDARD.decode(data.as_str().ok_or("no text")?)?;
        attachment.insert("length".into(), content.len().into());
        attachment.insert("stub".into(), true.into());
    }
    if leaf["_attachments"].is_null() {
        leaf.as_object_mut().map(|leaf| leaf.shift_remove("_attachments"));
    }
    Ok(leaf)
}

/// Every document of every database is dumped as HTTP told it, whichever way it is asked for.
#[test]
fn dumps_hold_what_http_said() -> Result<()> {
    for sample in samples()? {
        for (db, said) in &sample.expected {
            let dump = |more: &[&str]| -> Result<Vec<Value>> {
                let printed = couchcopy(&[&["dump", &sample.archive, db], more].concat())?.success()?;
                printed.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
            };
            let mut every: Vec<Value> = leaves(said).flat_map(|(_, leaves)| leaves.clone()).collect();
            let key = |leaf: &Value| (leaf["_id"].to_string(), leaf["_rev"].to_string());
            every.sort_by_key(key);
            let mut dumped = dump(&["--attachments", "--conflicts", "--deleted", "--revs"])?;
            dumped.sort_by_key(key);
            assert_eq!(dumped, every, "{db}");

            let shown: Vec<Value> = leaves(said)
                .map(|(_, leaves)| winner(leaves))
                .filter(|leaf| !is_deleted(leaf))
                .map(with_stubs)
                .collect::<Result<_>>()?;
            let shown: BTreeMap<String, Value> = shown.into_iter().map(|leaf| (key(&leaf).0, leaf)).collect();
            let dumped: BTreeMap<String, Value> =
                dump(&[])?.into_iter().map(|leaf| (key(&leaf).0, leaf)).collect();
            assert_eq!(dumped, shown, "{db}");

            let locals: Vec<Value> =
                said["local"].as_array().into_iter().flatten().map(|local| local[1].clone()).collect();
            let with_locals = dump(&["--local"])?;
            let dumped: Vec<Value> =
                with_locals[shown.len()..].iter().map(|local| without(local, &["_rev"])).collect();
            assert_eq!(dumped, locals, "{db}");
        }
    }
    Ok(())
}

/// Documents one by one: the small databases whole, of the others every hundredth.
#[test]
fn every_leaf_and_attachment_can_be_had() -> Result<()> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    for sample in samples()? {
        for (db, said) in &sample.expected {
            let step = if leaves(said).count() > 60 { 100 } else { 1 };
            for (id, leaves) in leaves(said).step_by(step) {
                let at = [sample.archive.as_str(), db, id];
                let of = |more: &[&str]| get(&[&at[..], more].concat());
                let shown = winner(leaves);
                if is_deleted(shown) {
                    refused(&[&["get"][..], &at].concat(), "is deleted")?;
                } else {
                    assert_eq!(of(&[])?, with_stubs(shown)?);
                }
                let mut conflicts: Vec<&str> = leaves
                    .iter()
                    .filter(|leaf| leaf["_rev"] != shown["_rev"] && !is_deleted(leaf))
                    .filter_map(|leaf| leaf["_rev"].as_str())
                    .collect();
                conflicts.sort_unstable();
                for leaf in leaves {
                    let rev = leaf["_rev"].as_str().ok_or("no text")?;
                    let got = of(&["--rev", rev, "--revs", "--conflicts", "--attachments"])?;
                    assert_eq!(without(&got, &["_revs_info", "_conflicts", "_deleted_conflicts"]), *leaf);
                    let known = got["_revs_info"].as_array().ok_or("no array")?;
                    let ids = leaf["_revisions"]["ids"].as_array().ok_or("no array")?;
                    assert_eq!(known.len(), ids.len());
                    assert_eq!(known[0]["rev"], leaf["_rev"]);
                    let mut told: Vec<&str> = got["_conflicts"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .collect();
                    told.sort_unstable();
                    assert_eq!(told, conflicts);
                    for (name, attachment) in leaf["_attachments"].as_object().into_iter().flatten() {
                        let arguments = ["--rev", rev, "--attachment", name];
                        let mut command = std::process::Command::new(couchcopy_tests::lab::binary()?);
                        let printed = command.arg("get").args(at).args(arguments).output()?;
                        let data = attachment["data"].as_str().ok_or("no text")?;
                        assert_eq!(printed.stdout, BASE64_STANDARD.decode(data)?, "{db} {id} {name}");
                    }
                }
            }
            for local in said["local"].as_array().into_iter().flatten() {
                let got = get(&[&sample.archive, db, local[0].as_str().ok_or("no text")?])?;
                assert_eq!(without(&got, &["_rev"]), local[1]);
            }
        }
    }
    Ok(())
}

#[test]
fn lists_name_the_documents_and_what_is_known_of_them() -> Result<()> {
    let sample = samples()?.swap_remove(0);
    for (db, said) in &sample.expected {
        let printed = couchcopy(&["ls", "--json", &sample.archive, db, "--deleted"])?.success()?;
        let listed: Value = serde_json::from_str(&printed)?;
        assert_eq!((&listed["documents"], &listed["deleted"]), (&said["doc_count"], &said["doc_del_count"]));
        let created = listed["created"].as_str().ok_or("no date")?;
        assert!(created.starts_with("2026-"), "{created}");
        let docs = listed["docs"].as_array().ok_or("no array")?;
        assert_eq!(docs.len(), leaves(said).count());
        for doc in docs {
            let leaves = said["docs"][doc["id"].as_str().ok_or("no id")?].as_array().ok_or("no such id")?;
            let shown = winner(leaves);
            assert_eq!((&doc["rev"], doc["deleted"] == true), (&shown["_rev"], is_deleted(shown)));
            let living = leaves.iter().filter(|leaf| !is_deleted(leaf) && leaf["_rev"] != shown["_rev"]);
            assert_eq!(doc["conflicts"], living.count());
            assert!(doc["bytes"].as_u64() > Some(0));
        }
    }
    let ids = |more: &[&str]| -> Result<Vec<String>> {
        let printed = couchcopy(&[&["ls", &sample.archive, "plain", "--ids"], more].concat())?.success()?;
        Ok(printed.lines().map(str::to_owned).collect())
    };
    assert_eq!(ids(&[])?.len(), 2000);
    assert_eq!(ids(&["--prefix", "doc-0123"])?.len(), 10);
    assert_eq!(ids(&["--prefix", "doc-0123", "--limit", "2"])?, ["doc-01230", "doc-01231"]);
    assert_eq!(ids(&["--prefix", "nothing"])?.len(), 0);
    let people = couchcopy(&["ls", &sample.archive, "deleted", "--deleted"])?.success()?;
    assert!(people.contains("(deleted)") && people.contains("deleted 150"), "{people}");
    Ok(())
}

#[test]
fn what_is_not_there_is_named_with_what_is() -> Result<()> {
    let sample = samples()?.swap_remove(0);
    let archive = &sample.archive;
    refused(&["get", archive, "nosuch", "x"], "no database nosuch")?;
    refused(&["dump", archive, "nosuch"], "couchcopy ls ARCHIVE")?;
    refused(&["ls", archive, "nosuch"], "no database nosuch")?;
    refused(&["get", archive, "plain", "nosuch"], "--prefix")?;
    refused(&["get", archive, "plain", "_local/nosuch"], "no document _local/nosuch")?;
    refused(&["get", archive, "conflicts", "c", "--rev", "9-ff"], "The leaves are 2-cc, 2-bb")?;
    refused(&["get", archive, "conflicts", "c", "--rev", "x"], "no revision x")?;
    refused(&["get", archive, "conflicts", "c", "--rev", "1-aa"], "is not stored")?;
    refused(&["get", archive, "atts", "with", "--attachment", "nosuch"], "has the attachments ")?;
    refused(&["get", archive, "plain", "doc-00000", "--attachment", "a"], "has no attachments")?;
    for wrong in [&["get", archive, "plain"][..], &["dump", archive], &["ls", archive, "--prefix", "a"]] {
        assert_eq!(couchcopy(wrong)?.code, Some(2), "{wrong:?}");
    }
    Ok(())
}

#[test]
fn a_reader_who_has_enough_is_no_error() -> Result<()> {
    let sample = samples()?.swap_remove(0);
    let archive = &sample.archive;
    for command in [&["dump", archive, "plain"][..], &["ls", archive, "plain"]] {
        let mut child = std::process::Command::new(couchcopy_tests::lab::binary()?)
            .args(command)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()?;
        drop(child.stdout.take());
        let ended = child.wait_with_output()?;
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    }
    Ok(())
}

#[test]
fn shells_complete_names_out_of_the_archive() -> Result<()> {
    let sample = samples()?.swap_remove(0);
    let archive = &sample.archive;
    for shell in ["bash", "zsh", "fish"] {
        assert!(couchcopy(&["completions", shell])?.success()?.contains("couchcopy"), "{shell}");
    }
    let complete = |line: &[&str]| -> Result<Vec<String>> {
        let output = std::process::Command::new(couchcopy_tests::lab::binary()?)
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (line.len() - 1).to_string())
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_IFS", "\n")
            .arg("--")
            .args(line)
            .output()?;
        assert!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    };
    assert_eq!(complete(&["couchcopy", "get", archive, "con"])?, ["conflicts"]);
    assert_eq!(complete(&["couchcopy", "ls", archive, "q"])?, ["q1n1", "q8"]);
    assert_eq!(complete(&["couchcopy", "get", archive, "plain", "doc-0123"])?.len(), 10);
    let attachments = complete(&["couchcopy", "get", archive, "atts", "with", "--attachment", "a"])?;
    assert!(attachments.contains(&"a.txt".to_owned()), "{attachments:?}");
    assert!(complete(&["couchcopy", "get", "/nowhere", "con"])?.is_empty());
    Ok(())
}

//! Data directories of nodes that do not run.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::{self, read_cluster};
use couchcopy_tests::lab::{Ended, back_up, binary, couchcopy, run as run_command};
use couchcopy_tests::{Result, fixtures};
use couchfile::check::{Placement, check};
use couchfile::data_dir::{DataFile, Range};
use serde_json::{Value, json};

use super::{OF_USER, settings, transformed};

/// Restores into so many new directories through the plugin; gives them.
fn restore(archive: &Path, to: &Path, nodes: usize, arguments: &[&str]) -> Result<Vec<PathBuf>> {
    let folders: Vec<PathBuf> = (1..=nodes).map(|i| to.join(format!("n{i}"))).collect();
    let told = run(archive, &folders, arguments)?.success()?;
    assert!(
        told.contains("has passed through the plugin anonymise") && told.contains("Never replicate"),
        "{told}"
    );
    Ok(folders)
}

fn run(archive: &Path, folders: &[PathBuf], arguments: &[&str]) -> Result<Ended> {
    let mut all = vec!["restore", "--offline", "--transform", "anonymise"];
    all.extend(arguments);
    let archive = archive.display().to_string();
    all.push(&archive);
    let targets: Vec<String> =
        folders.iter().enumerate().map(|(i, dir)| format!("{},n{i}@127.0.41.{i}", dir.display())).collect();
    all.extend(targets.iter().map(String::as_str));
    couchcopy(&all)
}

/// Fails unless directories hold what is expected, in files without any fault and with a uuid of its own in each, and no file beside
/// them.
fn examine(folders: &[PathBuf], expected: &Value) -> Result<()> {
    let paths: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    assert_eq!(compare(expected, &read_cluster(&paths)?), [""; 0]);
    let mut uuids = std::collections::HashSet::new();
    for folder in folders {
        let maps = content::shard_maps(folder)?;
        for path in fixtures::files_below(folder)? {
            let Some(DataFile::Shard(shard)) = DataFile::parse(&path) else {
                assert_eq!(path, "_dbs.couch");
                continue;
            };
            let file = content::open(&folder.join(&path))?;
            assert!(
                uuids.insert(file.header().uuid.clone().ok_or("no uuid")?),
                "{path}: its uuid is another file's"
            );
            let partitioned = maps[&shard.db].is_partitioned();
            let report = check(&file, Some(Placement { range: shard.range, partitioned }))?;
            assert!(report.is_whole(), "{path}: {:?}", report.problems);
            // Nothing is known of older revisions but their ids.
            file.for_each_document(|doc| -> Result<()> {
                let tree = doc.revisions.as_ref().ok_or("no revisions")?;
                let older = tree.revisions().iter().filter(|revision| revision.children > 0);
                assert!(older.clone().all(|revision| revision.stored.is_none()), "{path}");
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Every fixture, on any number of nodes, with its ranges and with others, holds what HTTP told of it, without the members that go.
#[test]
fn every_fixture_without_some_members() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let single = dir.path().join("single.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &single)?;
    let four = dir.path().join("four.tar.gz");
    back_up(&fixtures::four_nodes()?.nodes, &four)?;
    let python = fixtures::path("couchcopy-0.2.4.tar.gz");
    let file = settings(dir.path(), "remove = [\"text\", \"n\", \"v\"]")?;
    let file = file.to_str().ok_or("no text")?;
    let change = |leaf: &mut serde_json::Map<String, Value>| {
        leaf.retain(|member, _| !["text", "n", "v"].contains(&member.as_str()));
    };
    for (archive, oracle, nodes, q) in [
        (&single, "single-node", 1, None),
        (&single, "single-node", 2, Some(5)),
        (&four, "four-nodes-n2", 3, None),
        (&four, "four-nodes-n2", 4, Some(3)),
        (&python, "single-node", 1, None),
    ] {
        let before = fixtures::oracle(oracle)?;
        let mut expected = transformed(before.clone(), change);
        assert!(compare(&before, &expected).len() > 100, "something changes");
        let to = tempfile::tempdir_in(dir.path())?;
        let mut arguments = vec!["--transform-settings", file];
        let q_text = q.map(|q: u32| q.to_string());
        if let (Some(q), Some(text)) = (q, &q_text) {
            arguments.extend(["--q", text]);
            let ranges: Vec<String> = Range::split(q).iter().map(ToString::to_string).collect();
            for database in expected.as_object_mut().into_iter().flatten() {
                database.1["ranges"] = json!(ranges);
            }
        }
        examine(&restore(archive, to.path(), nodes, &arguments)?, &expected)?;
    }
    Ok(())
}

/// Less than WebAssembly can address: a plugin's memory then is smaller, and moves.
#[test]
fn address_space_is_limited() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("a.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let target = dir.path().join("n1");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 3000000; exec \"$0\" \"$@\""]).arg(binary()?);
    limited.args(["restore", "--offline", "--threads=2", "--transform", "anonymise", "--transform-settings"]);
    limited.arg(settings(dir.path(), "")?).arg(&archive);
    run_command(limited.arg(format!("{},n1@127.0.41.1", target.display())))?.success()?;
    examine(&[target], &transformed(fixtures::oracle("single-node")?, |_| ()))
}

/// Attachments and design documents go if they shall, and only the databases that are chosen are restored, under new names too.
#[test]
fn without_attachments_and_design_documents() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("a.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let file = settings(dir.path(), "drop-attachments = true\nkeep-design-documents = false")?;
    let file = file.to_str().ok_or("no text")?;
    let chosen = ["--only", "atts", "--only", "views", "--only", "parts", "--rename", "parts=pieces"];
    let arguments = [&["--transform-settings", file], &chosen[..]].concat();
    let folders = restore(&archive, dir.path(), 1, &arguments)?;
    let mut before = fixtures::oracle("single-node")?;
    let all = before.as_object_mut().ok_or("no databases")?;
    all.retain(|name, _| ["atts", "views", "parts"].contains(&name.as_str()));
    let parts = all.remove("parts").ok_or("no database")?;
    all.insert("pieces".into(), parts);
    for database in all.values_mut() {
        let docs = database["docs"].as_object_mut().ok_or("no documents")?;
        docs.retain(|id, _| !id.starts_with("_design/"));
    }
    let mut attachments = 0;
    let counted = std::cell::RefCell::new(&mut attachments);
    let expected = transformed(before, |leaf| {
        **counted.borrow_mut() += u32::from(leaf.shift_remove("_attachments").is_some());
    });
    assert!(attachments > 0, "the fixture has attachments");
    examine(&folders, &expected)
}

/// Every text and number becomes the same pseudonym wherever it is, in every database; what is kept stays.
#[test]
fn pseudonyms_are_the_same_everywhere() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("a.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let file = settings(dir.path(), "replace = [\"*\"]\nkeep = [\"type\"]")?;
    let file = file.to_str().ok_or("no text")?;
    let folders = restore(&archive, dir.path(), 1, &["--transform-settings", file])?;
    let expected = transformed(fixtures::oracle("single-node")?, |_| {});
    let found = read_cluster(&[folders[0].as_path()])?;
    let mut pseudonyms = Pseudonyms::default();
    for (name, database) in expected.as_object().into_iter().flatten() {
        let docs = database["docs"].as_object().into_iter().flatten();
        assert_eq!(docs.clone().count(), found[name]["docs"].as_object().map_or(0, serde_json::Map::len));
        for (id, leaves) in docs {
            let pairs = leaves
                .as_array()
                .into_iter()
                .flatten()
                .zip(found[name]["docs"][id].as_array().into_iter().flatten());
            for (before, after) in pairs {
                pseudonyms.leaf(id, before, after);
            }
        }
    }
    let texts: std::collections::HashSet<&String> = pseudonyms.texts.values().collect();
    assert_eq!(texts.len(), pseudonyms.texts.len(), "different texts have different pseudonyms");
    assert!(pseudonyms.texts.len() > 10 && pseudonyms.numbers.len() > 100);

    // Under another key everything else.
    let other = tempfile::tempdir()?;
    let file = other.path().join("other.toml");
    std::fs::write(&file, "key = \"another key for tests\"\nreplace = [\"*\"]\nkeep = [\"type\"]\n")?;
    let file = file.to_str().ok_or("no text")?;
    let folders = restore(&archive, other.path(), 1, &["--transform-settings", file])?;
    let other = read_cluster(&[folders[0].as_path()])?;
    let doc = |of: &Value| of["plain"]["docs"]["doc-00001"][0]["text"].as_str().map(str::to_owned);
    assert_ne!(doc(&other), doc(&found));
    Ok(())
}

/// What texts and numbers have become.
#[derive(Default)]
struct Pseudonyms {
    texts: HashMap<String, String>,
    numbers: HashMap<String, String>,
}

impl Pseudonyms {
    fn leaf(&mut self, id: &str, before: &Value, after: &Value) {
        let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
            panic!("{id}: no object")
        };
        let names = |of: &serde_json::Map<String, Value>| of.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(old), names(new), "{id}");
        for (name, value) in old {
            let stays = name.starts_with('_')
                || name == "type"
                || id.starts_with("_design/")
                || (id.starts_with("org.couchdb.user:") && OF_USER.contains(&name.as_str()));
            if stays {
                assert_eq!(value, &new[name], "{id}: {name}");
            } else {
                self.value(id, value, &new[name]);
            }
        }
    }

    fn value(&mut self, id: &str, before: &Value, after: &Value) {
        let mut is = |map: fn(&mut Self) -> &mut HashMap<String, String>, old: String, new: String| {
            let known = map(self).entry(old.clone()).or_insert_with(|| new.clone());
            assert_eq!(*known, new, "{id}: {old}");
        };
        match (before, after) {
            (Value::String(old), Value::String(new)) if old.is_empty() => assert_eq!(new, ""),
            (Value::String(old), Value::String(new)) => {
                assert!(new.starts_with("anon-") || new.ends_with("@example.invalid"), "{id}: {new}");
                is(|all| &mut all.texts, old.clone(), new.clone());
            }
            (Value::Number(old), Value::Number(new)) => {
                is(|all| &mut all.numbers, old.to_string(), new.to_string());
            }
            (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
                old.iter().zip(new).for_each(|(old, new)| self.value(id, old, new));
            }
            (Value::Object(old), Value::Object(new)) => {
                assert_eq!(old.len(), new.len(), "{id}");
                old.iter().for_each(|(name, old)| self.value(id, old, &new[name]));
            }
            (old, new) => assert_eq!(old, new, "{id}"),
        }
    }
}

/// What makes no sense is refused before anything is written.
#[test]
fn refusals() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("a.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;
    let to = [dir.path().join("n")];
    let short = dir.path().join("short.toml");
    std::fs::write(&short, "key = \"short\"\n")?;
    let wrong = dir.path().join("wrong.toml");
    std::fs::write(&wrong, "key = \"do not tell this\n")?;
    let unknown = dir.path().join("unknown.toml");
    std::fs::write(&unknown, "key = \"a key for tests only\"\nreplce = \"x\"\n")?;
    for (file, exit, code) in [
        (None, 5, "CC-P15"),
        (Some(&short), 8, "CC-P23"),
        (Some(&wrong), 5, "CC-S07"),
        (Some(&unknown), 5, "CC-P14"),
    ] {
        let file = file.map(|file| file.display().to_string());
        let arguments = file.as_ref().map_or(vec![], |file| vec!["--transform-settings", file]);
        let ended = run(&archive, &to, &arguments)?;
        assert_eq!(ended.code, Some(exit), "{ended:?}");
        assert!(ended.stderr.contains(code) && !ended.stderr.contains("do not tell"), "{ended:?}");
        assert!(!to[0].join("_dbs.couch").exists());
    }
    for more in [&["--resume"][..], &["--roll-back"], &["--node", "a@b"]] {
        let mut all = vec!["restore", "--transform", "anonymise"];
        all.extend(more);
        all.extend(["a.tar.gz", "localhost"]);
        let ended = couchcopy(&all)?;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("cannot be used with"), "{ended:?}");
    }
    Ok(())
}

//! Archives whose shard maps name one node: nothing else in them has changed, and they are archives like any other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::{read_cluster, shard_maps};
use couchcopy_tests::fixtures::Node;
use couchcopy_tests::lab::{binary, run as run_program};
use couchcopy_tests::{Result, fixtures};
use couchfile::data_dir::SHARD_MAPS;
use couchfile::shard_map::ShardMap;
use scale_data::build;
use serde_json::{Value, json as value};

use super::run::{Targets, backup, expect, json, names, plan, restore, text, unpack};

/// Makes an archive of an archive; fails unless the command ended with this code. Gives what it printed as JSON.
fn unbrand(code: i32, archive: &Path, new: &Path) -> Result<Value> {
    json(code, &["unbrand", text(archive), text(new)])
}

/// Fails unless the archive is whole, its maps name the node told, and it can be restored to any number of nodes.
fn check(new: &Path, told: &Value, before: &BTreeMap<String, ShardMap>, oracle: &Value) -> Result<()> {
    let node = told["node"].as_str().ok_or("no node")?;
    assert!(node.starts_with("couchcopy-") && node.ends_with("@127.0.0.1"), "{node}");
    assert_eq!(told["databases"], before.len());
    let verified = json(0, &["verify", text(new)])?;
    assert_eq!(verified["manifest"], true);
    for nothing in ["problems", "unfit_views"] {
        assert_eq!(verified[nothing], value!([]), "{nothing}");
    }
    assert_eq!(json(0, &["info", text(new)])?["nodes"], value!([node]));

    // As any program sees it that knows tar and CouchDB only.
    let unpacked = unpack(new)?;
    let data = unpacked.path().join("data");
    assert_eq!(compare(oracle, &read_cluster(&[&data])?), [""; 0]);
    let mut expected = before.clone();
    for holders in expected.values_mut().flat_map(|map| map.by_range.values_mut()) {
        *holders = vec![node.to_owned()];
    }
    assert_eq!(shard_maps(&data)?, expected);
    let description = fs::read_to_string(unpacked.path().join("metadata.yaml"))?;
    assert!(description.contains(&format!("nodes-names:\n    - {node}\n")), "{description}");

    let one = Targets::new(1)?;
    let named = Node { name: node.to_owned(), data: one.nodes[0].data.clone() };
    restore(0, new, std::slice::from_ref(&named), &[])?;
    assert_eq!(compare(oracle, &read_cluster(&[&named.data])?), [""; 0]);
    let three = Targets::new(3)?;
    restore(0, new, &three.nodes, &["--n", "2"])?;
    assert_eq!(compare(oracle, &read_cluster(&three.folders())?), [""; 0]);
    Ok(())
}

/// Fails unless all files of two archives are the same but for those that have to differ.
fn check_files(archive: &Path, new: &Path) -> Result<()> {
    let (old_files, new_files) = (unpack(archive)?, unpack(new)?);
    let listed = fixtures::files_below(old_files.path())?;
    let without_own = |files: Vec<String>| -> Vec<String> {
        files.into_iter().filter(|file| !file.starts_with("couchcopy-")).collect()
    };
    assert_eq!(without_own(fixtures::files_below(new_files.path())?), without_own(listed.clone()));
    for file in without_own(listed) {
        let same = fs::read(old_files.path().join(&file))? == fs::read(new_files.path().join(&file))?;
        let differs = file == "metadata.yaml" || file.ends_with(SHARD_MAPS);
        assert_eq!(same, !differs, "{file}");
    }
    Ok(())
}

fn an_archive_with_a_table_of_contents(cluster: &fixtures::Cluster, oracle: &str) -> Result<()> {
    let (archive, new) = (cluster.dir().join("backup.tar.gz"), cluster.dir().join("new.tar.gz"));
    backup(0, &cluster.folders(), &archive)?;
    let told = unbrand(0, &archive, &new)?;
    assert_eq!(told["copied"], true);
    assert_eq!(told["archive_bytes"], fs::metadata(&new)?.len());
    check_files(&archive, &new)?;
    let [before, after] = [&archive, &new].map(|path| json(0, &["info", text(path)]));
    assert_eq!(before?["date"], after?["date"]);
    check(&new, &told, &shard_maps(&cluster.nodes[0].data)?, &fixtures::oracle(oracle)?)
}

#[test]
fn of_one_node() -> Result<()> {
    an_archive_with_a_table_of_contents(&fixtures::single_node()?, "single-node")
}

#[test]
fn of_four_nodes() -> Result<()> {
    an_archive_with_a_table_of_contents(&fixtures::four_nodes()?, "four-nodes-n2")
}

/// Shard maps that fill members of their own, among hundreds of small files.
#[test]
fn of_many_databases() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(5000, 0, 1), &dir.path().join("node"))?;
    let data = built.folders[0].path.as_path();
    assert!(fs::metadata(data.join(SHARD_MAPS))?.len() > 1 << 20);
    let (archive, new) = (dir.path().join("backup.tar.gz"), dir.path().join("new.tar.gz"));
    backup(0, &[data], &archive)?;
    let told = unbrand(0, &archive, &new)?;
    check_files(&archive, &new)?;
    check(&new, &told, &shard_maps(data)?, &read_cluster(&[data])?)?;
    // It can be done again.
    let again = dir.path().join("again.tar.gz");
    let told_again = unbrand(0, &new, &again)?;
    assert_ne!(told["node"], told_again["node"]);
    check(&again, &told_again, &shard_maps(data)?, &read_cluster(&[data])?)
}

#[test]
fn of_the_python_couchcopy() -> Result<()> {
    let archive = fixtures::path("couchcopy-0.2.4.tar.gz");
    let dir = tempfile::tempdir()?;
    let new = dir.path().join("new.tar.gz");
    let told = unbrand(0, &archive, &new)?;
    assert_eq!(told["copied"], false);
    let unpacked = unpack(&archive)?;
    let maps = shard_maps(&unpacked.path().join("data"))?;
    check(&new, &told, &maps, &fixtures::oracle("single-node")?)?;
    let [before, after] = [&archive, &new].map(|path| json(0, &["info", text(path)]));
    let (before, after) = (before?, after?);
    for what in ["date", "databases", "shards", "views", "documents", "deleted"] {
        assert_eq!(before[what], after[what], "{what}");
    }
    assert_eq!((&before["manifest"], &after["manifest"]), (&value!(false), &value!(true)));
    Ok(())
}

/// A data folder packed by tar, in no order, with what no backup needs, at another place in the archive, and through a pipe.
#[test]
fn of_tar_through_a_pipe() -> Result<()> {
    let cluster = fixtures::single_node()?;
    let data = &cluster.nodes[0].data;
    fs::write(data.join("_nodes.couch"), b"no backup needs it")?;
    let new = cluster.dir().join("new.tar.gz");
    let script = "cd \"$1\" && find data -type f | sort -r | tar -cf - -T - --transform s,^,opt/couchdb/, \
                  | \"$0\" unbrand /dev/stdin \"$2\" --json";
    let told =
        run_program(Command::new("sh").args(["-c", script]).arg(binary()?).arg(cluster.dir()).arg(&new))?
            .success()?;
    let told: Value = serde_json::from_str(&told)?;
    assert_eq!(told["ignored_files"], 1);
    check(&new, &told, &shard_maps(data)?, &fixtures::oracle("single-node")?)
}

/// A shard that CouchDB would make an empty database of is told, and not passed on as something whole.
#[test]
fn of_tar_with_a_damaged_shard() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(3, 40, 1), &dir.path().join("node"))?;
    let data = built.folders[0].path.as_path();
    let map = shard_maps(data)?.remove("bulk-000002").ok_or("no such database")?;
    let shard = map.shards().next().ok_or("no shard")?.path();
    fs::write(data.join(&shard), vec![0; 9000])?;
    let (archive, new) = (dir.path().join("backup.tar.gz"), dir.path().join("new.tar.gz"));
    run_program(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(data).arg("."))?.success()?;
    let told = unbrand(3, &archive, &new)?;
    assert_eq!(told["problems"][0]["path"], shard);
    assert_eq!(told["problems"].as_array().map(Vec::len), Some(1));
    let verified = json(3, &["verify", text(&new)])?;
    assert_eq!(verified["problems"][0]["path"], shard);
    let targets = Targets::new(1)?;
    restore(6, &new, &targets.nodes, &[])?;
    restore(3, &new, &targets.nodes, &["--skip-damaged"])?;
    assert_eq!(shard_maps(&targets.nodes[0].data)?.len(), 2);
    Ok(())
}

#[test]
fn what_is_there_is_kept_unless_told_otherwise() -> Result<()> {
    let cluster = fixtures::single_node()?;
    let archive = cluster.dir().join("backup.tar.gz");
    backup(0, &cluster.folders(), &archive)?;
    let before = fs::read(&archive)?;
    let refused = unbrand(5, &archive, &archive)?;
    assert!(
        refused["error"]["remedy"].as_str().is_some_and(|text| text.contains("--overwrite")),
        "{refused}"
    );
    assert!(fs::read(&archive)? == before);

    let told = json(0, &["unbrand", text(&archive), text(&archive), "--overwrite"])?;
    assert!(fs::read(&archive)? != before);
    check(&archive, &told, &shard_maps(&cluster.nodes[0].data)?, &fixtures::oracle("single-node")?)?;

    // Nothing is left of what fails.
    let (nonsense, new) = (cluster.dir().join("nonsense"), cluster.dir().join("new.tar.gz"));
    fs::write(&nonsense, b"no archive")?;
    unbrand(4, &nonsense, &new)?;
    unbrand(7, &cluster.dir().join("none"), &new)?;
    let whole = fs::read(&archive)?;
    fs::write(&nonsense, &whole[..whole.len() / 2])?;
    unbrand(4, &nonsense, &new)?;
    expect(2, &["unbrand", text(&archive)])?;
    assert_eq!(names(cluster.dir())?, ["backup.tar.gz", "data", "nonsense"]);
    Ok(())
}

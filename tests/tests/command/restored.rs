//! Every fixture: saved, proven, restored to other clusters, read again.

use std::path::{Path, PathBuf};

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;
use tempfile::TempDir;

use super::checks::{Asked, as_it_is, check};
use super::run::{Targets, backup, expect, json, restore, text, unpack};

/// An archive, what it holds, and what HTTP said of that.
struct Sample {
    archive: PathBuf,
    unpacked: TempDir,
    oracle: Value,
    _dir: TempDir,
}

impl Sample {
    /// Saves folders and proves the archive.
    fn save(folders: &[&Path], oracle: Value) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let archive = dir.path().join("backup.tar.gz");
        let result = backup(0, folders, &archive)?;
        for nothing in ["problems", "views_left_out", "deleted_meanwhile", "created_meanwhile"] {
            assert_eq!(result[nothing], Value::Array(Vec::new()), "{nothing}");
        }
        assert_eq!(result["databases"], oracle.as_object().map_or(0, serde_json::Map::len));
        Self::of(archive, oracle, dir)
    }

    /// An archive that another program made.
    fn foreign(name: &str, oracle: &str) -> Result<Self> {
        Self::of(fixtures::path(name), fixtures::oracle(oracle)?, tempfile::tempdir()?)
    }

    fn of(archive: PathBuf, oracle: Value, dir: TempDir) -> Result<Self> {
        let verified = json(0, &["verify", text(&archive)])?;
        assert_eq!(verified["problems"], Value::Array(Vec::new()));
        assert_eq!(verified["unfit_views"], Value::Array(Vec::new()));
        let unpacked = unpack(&archive)?;
        let sample = Self { archive, unpacked, oracle, _dir: dir };
        assert_eq!(compare(&sample.oracle, &read_cluster(&[&sample.data()])?), [""; 0]);
        Ok(sample)
    }

    fn data(&self) -> PathBuf {
        self.unpacked.path().join("data")
    }

    /// Restores to so many new nodes and checks all that can be checked.
    fn restore(&self, nodes: usize, copies: Option<usize>, fresh_uuids: bool) -> Result<Targets> {
        let targets = Targets::new(nodes)?;
        let mut more = Vec::new();
        let number = copies.map(|n| n.to_string());
        more.extend(number.iter().flat_map(|n| ["--n", n]));
        if fresh_uuids {
            more.push("--fresh-uuids");
        }
        let result = restore(0, &self.archive, &targets.nodes, &more)?;
        assert_eq!(result["databases"], self.oracle.as_object().map_or(0, serde_json::Map::len));
        let data = self.data();
        let asked = Asked { archived: &data, copies, fresh_uuids, oracle: &self.oracle, name: as_it_is };
        check(asked, &targets.nodes)?;
        Ok(targets)
    }

    /// Restores to one, two, three and five nodes, and saves the last ones again.
    fn restore_to_all_sizes(&self) -> Result<()> {
        for nodes in [1, 2, 3] {
            self.restore(nodes, None, false)?;
        }
        let restored = self.restore(5, None, false)?;
        let again = restored.beside("again.tar.gz");
        backup(0, &restored.folders(), &again)?;
        expect(0, &["verify", text(&again)])?;
        let unpacked = unpack(&again)?;
        let read = read_cluster(&[&unpacked.path().join("data")])?;
        assert_eq!(compare(&self.oracle, &read), [""; 0]);
        Ok(())
    }
}

fn single_node() -> Result<Sample> {
    Sample::save(&fixtures::single_node()?.folders(), fixtures::oracle("single-node")?)
}

fn four_nodes() -> Result<Sample> {
    Sample::save(&fixtures::four_nodes()?.folders(), fixtures::oracle("four-nodes-n2")?)
}

fn couch_files(moment: &str) -> Result<Sample> {
    let files = fixtures::couch_files()?;
    let folder = files.data(moment);
    // What HTTP said of these is compared with what is read where the reader is tested.
    let read = read_cluster(&[&folder])?;
    Sample::save(&[&folder], read)
}

#[test]
fn one_node_is_restored_to_any_number() -> Result<()> {
    single_node()?.restore_to_all_sizes()
}

#[test]
fn four_nodes_are_restored_to_any_number() -> Result<()> {
    four_nodes()?.restore_to_all_sizes()
}

#[test]
fn databases_before_their_compaction_are_restored_to_any_number() -> Result<()> {
    couch_files("pre")?.restore_to_all_sizes()
}

#[test]
fn databases_after_their_compaction_are_restored_to_any_number() -> Result<()> {
    couch_files("post")?.restore_to_all_sizes()
}

#[test]
fn an_archive_of_the_python_couchcopy_is_restored_to_any_number() -> Result<()> {
    Sample::foreign("couchcopy-0.2.4.tar.gz", "single-node")?.restore_to_all_sizes()
}

#[test]
fn a_data_folder_packed_with_tar_is_restored_to_any_number() -> Result<()> {
    Sample::foreign("single-node.tar.gz", "single-node")?.restore_to_all_sizes()
}

#[test]
fn as_many_copies_as_asked_for() -> Result<()> {
    let (one, four) = (single_node()?, four_nodes()?);
    one.restore(5, Some(3), false)?;
    one.restore(2, Some(4), false)?;
    four.restore(3, Some(1), false)?;
    four.restore(3, Some(3), false)?;
    Ok(())
}

#[test]
fn fresh_uuids_for_every_copy() -> Result<()> {
    let (one, four) = (single_node()?, four_nodes()?);
    one.restore(1, None, true)?;
    one.restore(3, Some(2), true)?;
    four.restore(4, None, true)?;
    Ok(())
}

/// Under the old names nothing needs to change in the maps but the copies' places.
#[test]
fn back_to_the_same_node() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let sample = single_node()?;
    let mut targets = Targets::new(1)?;
    targets.nodes[0].name.clone_from(&fixture.nodes[0].name);
    restore(0, &sample.archive, &targets.nodes, &[])?;
    assert_eq!(compare(&sample.oracle, &read_cluster(&targets.folders())?), [""; 0]);
    let maps = couchcopy_tests::content::shard_maps;
    assert_eq!(maps(&targets.nodes[0].data)?, maps(&fixture.nodes[0].data)?);
    Ok(())
}

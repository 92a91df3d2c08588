//! A backup that `verify` found intact on this machine is not checked a second time by restores.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::lab::{Ended, binary, run};
use scale_data::build;

use super::run::{Targets, backup, plan, text};

/// What a restore reports that relies on `verify`.
const RELIES: &str = "was verified on this machine";

/// Runs the command with a directory of its own for what it records.
fn with_state(state: &Path, arguments: &[&str]) -> Result<Ended> {
    run(Command::new(binary()?).args(arguments).env("XDG_STATE_HOME", state))
}

/// Restores into an empty folder, and returns what that reported.
fn restore(state: &Path, archive: &Path, targets: &Targets) -> Result<Ended> {
    let node = &targets.nodes[0];
    let target = format!("{},{}", node.data.display(), node.name);
    with_state(state, &["-v", "restore", "--offline", text(archive), &target])
}

#[test]
fn what_was_verified_is_restored_without_a_second_check() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(3, 200, 1), &dir.path().join("nodes"))?;
    let folder = built.folders[0].path.as_path();
    let before = read_cluster(&[folder])?;
    let (archive, state) = (dir.path().join("a.tar.gz"), dir.path().join("state"));
    backup(0, &[folder], &archive)?;

    let unverified = Targets::new(1)?;
    let ended = restore(&state, &archive, &unverified)?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains(RELIES), "{ended:?}");
    with_state(&state, &["verify", text(&archive)])?.success()?;
    for _ in 0..2 {
        let verified = Targets::new(1)?;
        let ended = restore(&state, &archive, &verified)?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains(RELIES), "{ended:?}");
        let after = read_cluster(&[&verified.nodes[0].data])?;
        assert_eq!(compare(&before, &after), Vec::<String>::new());
    }
    // Another machine knows nothing of it.
    let elsewhere = restore(&dir.path().join("other"), &archive, &Targets::new(1)?)?;
    assert_eq!(elsewhere.code, Some(0), "{elsewhere:?}");
    assert!(!elsewhere.stderr.contains(RELIES), "{elsewhere:?}");
    Ok(())
}

#[test]
fn a_damaged_backup_is_not_taken_for_a_verified_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(3, 200, 1), &dir.path().join("nodes"))?;
    let folder = built.folders[0].path.as_path();
    let state = dir.path().join("state");
    let intact = dir.path().join("intact.tar.gz");
    backup(0, &[folder], &intact)?;
    with_state(&state, &["verify", text(&intact)])?.success()?;

    // Damage in the node's file: another manifest.
    let ranges = fs::read_dir(folder.join("shards"))?.collect::<std::io::Result<Vec<_>>>()?;
    let shards =
        fs::read_dir(ranges.first().ok_or("no range")?.path())?.collect::<std::io::Result<Vec<_>>>()?;
    let shard = shards.first().ok_or("no shard")?.path();
    let len = fs::metadata(&shard)?.len();
    fs::OpenOptions::new().write(true).open(&shard)?.write_all_at(&[0; 3000], len / 2)?;
    let damaged = dir.path().join("damaged.tar.gz");
    backup(0, &[folder], &damaged)?;
    let ended = restore(&state, &damaged, &Targets::new(1)?)?;
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(!ended.stderr.contains(RELIES), "{ended:?}");

    // Damage in the archive: the manifest is the same, the hashes are compared again.
    let mut bytes = fs::read(&intact)?;
    let middle = bytes.len() / 3;
    for byte in &mut bytes[middle..middle + 20] {
        *byte ^= 0x55;
    }
    fs::write(&intact, bytes)?;
    let ended = restore(&state, &intact, &Targets::new(1)?)?;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    Ok(())
}

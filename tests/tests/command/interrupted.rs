//! Backups and restores that are killed: what they leave is never taken for something whole, and is no obstacle.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::fixtures::Node;
use couchcopy_tests::lab::{binary, run};
use couchcopy_tests::{Result, fixtures};
use scale_data::build;

use super::run::{Targets, backup, expect, names, plan, restore, source, text};

/// How often each is killed.
const TRIES: u32 = 20;

/// Runs the command for a while, then kills it. Tells whether it was still running.
fn kill_after(wait: Duration, arguments: &[String]) -> Result<bool> {
    let mut child = Command::new(binary()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(wait);
    let running = child.try_wait()?.is_none();
    child.kill()?;
    child.wait()?;
    Ok(running)
}

/// Moments spread evenly over the time that the whole takes, in an order that tries early and late ones alike.
fn moments(whole: Duration) -> impl Iterator<Item = Duration> {
    (0..TRIES).map(move |i| whole * (i * 7 % TRIES) / TRIES)
}

/// The files of a data folder with their sizes.
fn sizes(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for path in fixtures::files_below(folder)? {
        if !path.starts_with(".couchcopy-restore") {
            found.insert(path.clone(), fs::metadata(folder.join(path))?.len());
        }
    }
    Ok(found)
}

fn restore_arguments(archive: &Path, nodes: &[Node]) -> Vec<String> {
    let mut arguments = vec!["restore".to_owned(), "--offline".to_owned(), text(archive).to_owned()];
    arguments.extend(nodes.iter().map(|node| format!("{},{}", node.data.display(), node.name)));
    arguments
}

#[test]
fn a_restore_that_is_killed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(150, 20, 1), &dir.path().join("node"))?;
    let data = &built.folders[0].path;
    let archive = dir.path().join("backup.tar.gz");
    backup(0, &[data], &archive)?;
    let before = read_cluster(&[data])?;
    let whole = Targets::new(2)?;
    let begun = Instant::now();
    restore(0, &archive, &whole.nodes, &[])?;
    let duration = begun.elapsed();
    let expected: Vec<_> = whole.folders().iter().map(|folder| sizes(folder)).collect::<Result<_>>()?;

    let mut targets = Targets::new(2)?;
    let mut killed = 0;
    for wait in moments(duration) {
        killed += u32::from(kill_after(wait, &restore_arguments(&archive, &targets.nodes))?);
        let mut any_complete = false;
        for (folder, expected) in targets.folders().iter().zip(&expected) {
            if folder.join("_dbs.couch").exists() {
                any_complete = true;
                assert_eq!(&sizes(folder)?, expected);
            }
        }
        if any_complete {
            // Nothing that is in use is touched.
            restore(5, &archive, &targets.nodes, &[])?;
            targets = Targets::new(2)?;
        }
    }
    assert!(killed >= TRIES / 10, "only {killed} were killed in time");
    restore(0, &archive, &targets.nodes, &[])?;
    assert_eq!(compare(&before, &read_cluster(&targets.folders())?), [""; 0]);
    for (folder, expected) in targets.folders().iter().zip(&expected) {
        assert!(!folder.join(".couchcopy-restore").exists());
        assert_eq!(&sizes(folder)?, expected);
    }
    Ok(())
}

/// The last steps of a restore take microseconds, so these moments are made by hand: files have their names already, the
/// shard maps have not.
#[test]
fn a_restore_that_is_killed_in_its_last_steps() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let archive = fixture.dir().join("backup.tar.gz");
    backup(0, &fixture.folders(), &archive)?;
    for named in [&[".shards"][..], &[".shards", "shards"]] {
        let targets = Targets::new(1)?;
        restore(0, &archive, &targets.nodes, &[])?;
        let data = &targets.nodes[0].data;
        let staging = data.join(".couchcopy-restore");
        fs::create_dir(&staging)?;
        fs::write(staging.join("lock"), b"")?;
        fs::write(staging.join("naming"), b"")?;
        for name in [".shards", "shards", "_dbs.couch"] {
            if !named.contains(&name) {
                fs::rename(data.join(name), staging.join(name))?;
            }
        }
        restore(0, &archive, &targets.nodes, &[])?;
        assert!(!staging.exists());
        assert_eq!(compare(&fixtures::oracle("single-node")?, &read_cluster(&[data])?), [""; 0]);

        // What is not told to be ours by the staging folder stays, and stays in the way.
        fs::remove_file(data.join("_dbs.couch"))?;
        restore(5, &archive, &targets.nodes, &[])?;
        fs::create_dir(&staging)?;
        fs::write(staging.join("_dbs.couch"), b"")?;
        restore(5, &archive, &targets.nodes, &[])?;
        assert!(data.join("shards").exists());
    }
    Ok(())
}

#[test]
fn a_backup_that_is_killed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let built = build::build(&plan(150, 20, 1), &dir.path().join("node"))?;
    let data = &built.folders[0].path;
    let archive = dir.path().join("backup.tar.gz");
    let begun = Instant::now();
    backup(0, &[data], &archive)?;
    let duration = begun.elapsed();
    let old = fs::read(&archive)?;
    let new = dir.path().join("new.tar.gz");
    let arguments = |path: &Path| {
        ["backup", "--overwrite", &source(data), text(path)]
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    let mut killed = 0;
    for wait in moments(duration) {
        let running = kill_after(wait, &arguments(&archive))?;
        killed += u32::from(running);
        // It may have been whole by the time it was killed.
        if fs::read(&archive)? != old {
            expect(0, &["verify", text(&archive)])?;
            fs::write(&archive, &old)?;
        }
        if kill_after(wait, &arguments(&new))? && !new.exists() {
            continue;
        }
        expect(0, &["verify", text(&new)])?;
        fs::remove_file(&new)?;
    }
    assert!(killed >= TRIES / 10, "only {killed} were killed in time");
    Ok(())
}

/// In a container, processes have the same few numbers again and again.
#[test]
fn a_backup_after_one_that_was_killed_with_the_same_number() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let archive = fixture.dir().join("backup.tar.gz");
    let script = "echo precious > \"$2.$$.partial\"; exec \"$0\" backup \"$1\" \"$2\"";
    let node = source(&fixture.nodes[0].data);
    run(Command::new("sh").args(["-c", script]).arg(binary()?).args([&node, text(&archive)]))?.success()?;
    expect(0, &["verify", text(&archive)])?;
    let left = names(fixture.dir())?;
    assert_eq!(left.len(), 3, "{left:?}");
    Ok(())
}

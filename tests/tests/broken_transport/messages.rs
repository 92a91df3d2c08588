//! What is said when something on the way to a node speaks, refuses, or cannot go back to where it was.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use couchcopy_tests::lab::{back_up, run};
use couchcopy_tests::manifest::assert_equal;
use couchcopy_tests::{Result, fixtures};
use rustix::process::getuid;

use super::saved::Far;

/// Who may not do everything.
const NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups sh -c";

#[test]
fn text_of_a_login_script_is_quoted() -> Result<()> {
    let single = fixtures::single_node()?;
    let far = Far::new()?;
    let archive = far.path("archive.tar.gz");
    far.way.disarm()?;
    far.backup(&single.folders(), &archive, &["--overwrite"])?.success()?;
    fs::remove_file(&archive)?;
    for call in 1..=far.way.calls()? {
        far.way.arm(call, "out-welcome")?;
        let ended = far.backup(&single.folders(), &archive, &[])?;
        let hit = far.way.hit().ok_or("no call was hit")?;
        assert!(ended.stderr.contains("Welcome to db1, maintained by"), "{hit}: {ended:#?}");
        assert!(!ended.stderr.contains("ended by a signal"), "{hit}: {ended:#?}");
        if ended.code == Some(0) {
            // Streams are begun anew.
            fs::remove_file(&archive)?;
        } else {
            assert!(ended.stderr.contains(".bashrc"), "{hit}: {ended:#?}");
        }
    }
    Ok(())
}

#[test]
fn sudo_without_a_rule_gets_the_rule() -> Result<()> {
    if !getuid().is_root() || run(Command::new("sudo").arg("-V"))?.code != Some(0) {
        couchcopy_tests::lab::skipped("it takes root and sudo to be refused by sudo");
        return Ok(());
    }
    let single = fixtures::single_node()?;
    let mut far = Far::new()?;
    far.way = far.way.with("FAR_SHELL", NOBODY);
    fs::set_permissions(far.dir.path(), fs::Permissions::from_mode(0o755))?;
    let archive = far.path("archive.tar.gz");
    let ended = far.backup(&single.folders(), &archive, &["--use-sudo"])?;
    assert_eq!(ended.code, Some(9), "{ended:#?}");
    assert!(ended.stderr.contains("sudo: "), "{ended:#?}");
    assert!(ended.stderr.contains("NOPASSWD: ALL") && ended.stderr.contains("visudo"), "{ended:#?}");
    assert!(!ended.stderr.contains("(--use-sudo)"), "{ended:#?}");
    Ok(())
}

/// GNU's find goes back to the folder that it was started in, which may be the closed home of the user that ssh leads to.
#[test]
fn commands_may_begin_in_a_folder_that_is_closed_to_them() -> Result<()> {
    if !getuid().is_root() {
        couchcopy_tests::lab::skipped("it takes root to have a folder that is closed");
        return Ok(());
    }
    let single = fixtures::single_node()?;
    let mut far = Far::new()?;
    let home = far.path("home");
    fs::create_dir(&home)?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700))?;
    for folder in [far.dir.path(), single.dir()] {
        run(Command::new("chmod").args(["-R", "a+rX"]).arg(folder))?.success()?;
    }
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700))?;
    far.way = far.way.with("FAR_SHELL", NOBODY).with("FAR_FOLDER", &home.display().to_string());
    let (near, archive) = (far.path("near.tar.gz"), far.path("archive.tar.gz"));
    back_up(&single.folders(), &near)?;
    far.backup(&single.folders(), &archive, &[])?.success()?;
    assert_equal(&near, &archive)
}

//! What is in a data directory and is none of CouchDB's does not stop a backup. View indexes that are none are named.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::lab::{Ended, binary, run};
use couchcopy_tests::manifest::manifest;
use couchcopy_tests::{Result, fixtures};

use super::saved::Far;

/// What stands in the place of a view index.
type Replace = fn(&Path) -> Result<()>;

fn dangling(path: &Path) -> Result<()> {
    Ok(symlink("/nonexistent/couchcopy", path)?)
}

fn folder(path: &Path) -> Result<()> {
    fs::create_dir(path)?;
    Ok(fs::write(path.join("inside"), "something")?)
}

fn fifo(path: &Path) -> Result<()> {
    run(Command::new("mkfifo").arg(path))?.success()?;
    Ok(())
}

fn unreadable(path: &Path) -> Result<()> {
    fs::write(path, "something")?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o000))?)
}

/// Who may not read everything.
const NOBODY: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];

/// Saves a folder of this machine as somebody who may not read everything.
fn local(data: &Path, archive: &Path) -> Result<Ended> {
    let mut command = Command::new("setpriv");
    command.args(NOBODY).arg(binary()?).args(["backup", "--json"]);
    run(command.arg(format!("localhost,{}", data.display())).arg(archive))
}

/// Lets everybody into folders.
fn open_to_all(folder: &Path) -> Result<()> {
    run(Command::new("chmod").args(["-R", "a+rwX"]).arg(folder))?.success()?;
    Ok(())
}

#[test]
fn what_is_no_view_index_is_reported() -> Result<()> {
    let is_root = rustix::process::getuid().is_root();
    for (name, replace) in [
        ("a dangling link", dangling as Replace),
        ("a folder", folder),
        ("a FIFO", fifo),
        ("an unreadable file", unreadable),
    ] {
        let single = fixtures::single_node()?;
        let data = &single.nodes[0].data;
        let views = fixtures::files_ending(data, "view")?;
        let [view, ..] = views.as_slice() else { return Err("no view indexes".into()) };
        open_to_all(single.dir())?;
        fs::remove_file(data.join(view))?;
        replace(&data.join(view))?;
        let mut far = Far::new()?;
        open_to_all(far.dir.path())?;
        // The owner of everything may read everything.
        let mut saved: Vec<(PathBuf, Ended)> = Vec::new();
        if is_root {
            far.way = far.way.with("FAR_SHELL", &format!("setpriv {} sh -c", NOBODY[..3].join(" ")));
            let archive = far.path("local.tar.gz");
            saved.push((archive.clone(), local(data, &archive)?));
        }
        let mirror = far.path("mirror").display().to_string();
        for (number, more) in
            [&["--json"][..], &["--json", "--rsync-reuse-dir", mirror.as_str()]].into_iter().enumerate()
        {
            let archive = far.path(&format!("far{number}.tar.gz"));
            saved.push((archive.clone(), far.backup(&[data], &archive, more)?));
        }
        for (archive, ended) in saved {
            assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
            assert!(ended.stdout.contains(view.as_str()), "{name} {}: {ended:#?}", archive.display());
            assert!(ended.stderr.contains("left out"), "{name} {}: {ended:#?}", archive.display());
            let entries = manifest(&archive)?;
            let kept = entries.values().filter(|entry| entry["kind"] == "view").count();
            assert!(!entries.contains_key(&format!("data/{view}")), "{name}");
            assert!(kept > 0, "{name}: {kept}");
        }
    }
    Ok(())
}

/// A file system of its own has a directory that only root may list.
#[test]
fn the_root_of_a_file_system_is_saved() -> Result<()> {
    let single = fixtures::single_node()?;
    let data = &single.nodes[0].data;
    open_to_all(single.dir())?;
    let lost = data.join("lost+found");
    fs::create_dir(&lost)?;
    fs::set_permissions(&lost, fs::Permissions::from_mode(0o000))?;
    let mut far = Far::new()?;
    open_to_all(far.dir.path())?;
    if rustix::process::getuid().is_root() {
        far.way = far.way.with("FAR_SHELL", &format!("setpriv {} sh -c", NOBODY[..3].join(" ")));
        local(data, &far.path("local.tar.gz"))?.success()?;
    }
    far.backup(&[data], &far.path("far.tar.gz"), &[])?.success()?;
    Ok(())
}

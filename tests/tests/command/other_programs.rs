//! Other programs unpack our archives to data folders that hold everything.

use std::path::Path;
use std::process::Command;

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::{Result, fixtures, lab};

use super::run::{backup, text};

/// Unpacks with a program that gets the archive and the folder; fails unless everything is there.
fn check(program: &str, arguments: impl Fn(&str, &str) -> Vec<String>) -> Result<()> {
    let cluster = fixtures::four_nodes()?;
    let (archive, folder) = (cluster.dir().join("backup.tar.gz"), cluster.dir().join("unpacked"));
    backup(0, &cluster.folders(), &archive)?;
    std::fs::create_dir(&folder)?;
    lab::run(Command::new(program).args(arguments(text(&archive), text(&folder))))?.success()?;
    let read = read_cluster(&[&folder.join("data")])?;
    assert_eq!(compare(&fixtures::oracle("four-nodes-n2")?, &read), [""; 0]);
    assert!(Path::new(&folder).join("metadata.yaml").exists());
    Ok(())
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.to_owned()).collect()
}

#[test]
fn gnu_tar() -> Result<()> {
    check("tar", |archive, folder| strings(&["-xzf", archive, "-C", folder]))
}

#[test]
fn gnu_tar_with_pigz() -> Result<()> {
    check("tar", |archive, folder| strings(&["-I", "pigz", "-xf", archive, "-C", folder]))
}

#[test]
fn python() -> Result<()> {
    let program = "import sys, tarfile; tarfile.open(sys.argv[1], 'r:gz').extractall(sys.argv[2])";
    check("python3", |archive, folder| strings(&["-W", "ignore", "-c", program, archive, folder]))
}

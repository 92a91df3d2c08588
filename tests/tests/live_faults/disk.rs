//! The disk of a node is full.

use std::fs;

use couchcopy_tests::lab::{Size, back_up, join, read_over_http, run, skipped};
use couchcopy_tests::live::{Plan, Reach, Site};
use couchcopy_tests::managers::{find_program, write_program};
use couchcopy_tests::{Result, fixtures};
use serde_json::{Value, json};

/// Fills the disk when new data is to be unpacked there.
const SSH: &str = r#"#!/bin/sh
case "$*" in
*tar*-x*"$FULL"*/new*) (
  count=$#
  i=0
  for word; do
    i=$((i + 1))
    [ "$i" -gt 1 ] || set --
    [ "$i" = "$count" ] || set -- "$@" "$word"
  done
  "$SSH" "$@" "dd if=/dev/zero of=$FULL/filler bs=64k" </dev/null >/dev/null 2>&1
) ;;
esac
exec "$SSH" "$@"
"#;

#[test]
fn a_full_disk_leaves_the_old_data_and_nothing_else() -> Result<()> {
    let Some(ssh) = find_program("ssh", "openssh-client") else { return Ok(()) };
    let plan = Plan { size: Size { nodes: 2, q: 2, n: 2 }, reach: Reach::Ssh };
    let Some(site) = Site::prepare(plan)? else { return Ok(()) };
    let full = site.nodes[1].data.display().to_string();
    let mounted = run(site.beside("mount").args(["-t", "tmpfs", "-o", "size=40m", "none", &full]))?;
    if mounted.code != Some(0) {
        skipped(&format!("no small file system: {}", mounted.stderr.trim()));
        return Ok(());
    }
    site.start_nodes()?;
    join(&site.nodes)?;
    site.http().put("/old", &Value::Null)?;
    site.http().put("/old/doc", &json!({"old": true}))?;
    let old = read_over_http(site.http())?;
    let archive = site.path("one.tar.gz");
    back_up(&fixtures::single_node()?.nodes, &archive)?;

    let folder = site.path("filling");
    fs::create_dir(&folder)?;
    write_program(&folder.join("ssh"), SSH)?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let archive = archive.display().to_string();
    let mut command = site.command(&["restore", "-y", "-v", &archive, "--n", "2"])?;
    let ended = run(command.env("PATH", path).env("SSH", ssh).env("FULL", &full))?.unwrapped();
    assert!(matches!(ended.code, Some(7 | 9)), "{ended:#?}");
    assert!(ended.stderr.contains("No space left"), "{ended:#?}");
    assert_eq!(site.situations()?, ["untouched", "untouched"], "{ended:#?}");
    assert_eq!(site.controls.iter().map(|control| control.calls("stop")).sum::<usize>(), 0);
    run(site.beside("rm").arg(format!("{full}/filler")))?.success()?;
    site.check_content(&old)?;

    // Known before, it is refused.
    run(site.beside("dd").args(["if=/dev/zero", &format!("of={full}/filler"), "bs=64k"]))?;
    let refused = site.couchcopy(&["restore", "-y", &archive, "--n", "2"])?;
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("Free some space"), "{refused:#?}");
    Ok(())
}

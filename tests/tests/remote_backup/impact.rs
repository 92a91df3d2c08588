//! Backups that leave nodes on other machines time for something else.

use std::fs;
use std::path::Path;
use std::time::Instant;

use couchcopy_tests::far::Far;
use couchcopy_tests::lab::back_up;
use couchcopy_tests::managers::write_program;
use couchcopy_tests::manifest::assert_equal;
use couchcopy_tests::{Result, fixtures};
use scale_data::plan::{Attachments, Plan};

/// How long it takes at least; how long it takes at most depends on the machine.
#[test]
fn files_come_no_faster_than_allowed() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let plan = Plan {
        databases: 2,
        empty: 0,
        docs: 500,
        doc_size: 8 << 10,
        revisions: 1,
        q: 2,
        copies: 1,
        nodes: vec!["couchdb@127.0.8.1".into()],
        seed: 5,
        attachments: Attachments { per_document: 0, size: 0 },
    };
    let data = scale_data::build::build(&plan, &far.path("data"))?.folders.remove(0).path;
    let (near, remote) = (far.path("near.tar.gz"), far.path("remote.tar.gz"));
    back_up(&[&data], &near)?;
    far.received()?;
    let begun = Instant::now();
    far.backup(&[far.node(&data)], &remote, &["--limit-rate", "3M"])?.success()?;
    let (seconds, bytes) = (begun.elapsed().as_secs_f64(), far.received()?);
    // Lists are not limited, and the last piece is not waited for.
    assert!(seconds >= bytes as f64 * 0.8 / f64::from(3 << 20), "{bytes} bytes in {seconds} s");
    assert!(bytes > 6 << 20, "{bytes}");
    assert_equal(&near, &remote)
}

/// Takes the place of `tail` on a node: twice the node has a lot to do.
const BUSY: &str = r#"#!/bin/sh
case "$*" in
  *"/proc/loadavg"*)
    echo look >>"$LOOKS"
    if [ "$(wc -l <"$LOOKS")" -le 2 ]; then
      /usr/bin/tail "$@" | sed 's|^[0-9.]* [0-9.]* [0-9.]* |99.5 1.0 1.0 |'
      exit
    fi ;;
esac
exec /usr/bin/tail "$@"
"#;

#[test]
fn a_node_with_much_to_do_is_waited_for() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let looks = far.path("looks");
    let tail = BUSY.replace("$LOOKS", looks.to_str().ok_or("a path that is no text")?);
    write_program(&far.sshd.programs()?.join("tail"), &tail)?;
    let single = fixtures::single_node()?;
    let data: &Path = &single.nodes[0].data;
    let archive = far.path("a.tar.gz");
    let ended = far.backup(&[far.node(data)], &archive, &["--pause-above", "90"])?;
    let reason = format!("paused: the load of {} is 99.5", far.sshd.host);
    assert!(ended.stderr.contains(&reason), "{ended:?}");
    ended.success()?;
    assert!(fs::read_to_string(&looks)?.lines().count() >= 3);
    let near = far.path("near.tar.gz");
    back_up(&[data], &near)?;
    assert_equal(&near, &archive)
}

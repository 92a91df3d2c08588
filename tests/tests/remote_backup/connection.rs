//! Connections that break.

use std::fs;

use couchcopy_tests::far::Far;
use couchcopy_tests::lab::back_up;
use couchcopy_tests::managers::write_program;
use couchcopy_tests::manifest::assert_equal;
use couchcopy_tests::{Result, fixtures};

use super::content::large;

#[test]
fn a_stream_that_breaks_is_begun_anew() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let single = fixtures::single_node()?;
    let near = far.path("near.tar.gz");
    back_up(&single.folders(), &near)?;
    let archive = far.path("cut.tar.gz");
    // The shard maps, the view indexes, the shards; then those that were left.
    far.cut(&[Some(100), None, Some(9_000), None, Some(100_000), Some(120_000), Some(3)])?;
    let ended = far.backup(&[far.node(&single.nodes[0].data)], &archive, &[])?;
    assert!(ended.stderr.contains("is started again"), "{ended:?}");
    ended.success()?;
    assert_equal(&near, &archive)
}

#[test]
fn a_node_that_is_gone_for_good_ends_the_backup() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let single = fixtures::single_node()?;
    let archive = far.path("cut.tar.gz");
    let mut cuts = vec![None, None];
    cuts.extend([Some(20_000); 20]);
    cuts.extend([Some(0); 20]);
    far.cut(&cuts)?;
    let ended = far.backup(&[far.node(&single.nodes[0].data)], &archive, &[])?;
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert!(ended.stderr.contains(&far.sshd.host), "{ended:?}");
    assert!(!archive.exists());
    // A node that is not reached at all.
    far.cut(&[Some(0); 20])?;
    let ended = far.backup(&[far.node(&single.nodes[0].data)], &archive, &[])?;
    assert_eq!(ended.code, Some(9), "{ended:?}");
    let left = fs::read_dir(far.path(""))?.filter_map(std::result::Result::ok);
    assert_eq!(left.filter(|entry| entry.file_name().to_string_lossy().contains("tar.gz")).count(), 0);
    Ok(())
}

#[test]
fn a_break_in_a_large_file_ends_the_backup() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let built = scale_data::build::build(&large(1), dir.path())?;
    let data = &built.folders[0].path;
    let archive = far.path("cut.tar.gz");
    for threads in ["1", "2", "5"] {
        // There are no view indexes.
        far.cut(&[None, Some(1_500_000)])?;
        let ended = far.backup(&[far.node(data)], &archive, &["--threads", threads])?;
        assert_eq!(ended.code, Some(9), "{ended:?}");
        let told = ended.stderr.replace(['\n', '│', ' '], "");
        assert!(told.contains("shards/") && told.contains(&far.sshd.host), "{ended:?}");
        assert!(told.contains("middle"), "{ended:?}");
        assert!(!archive.exists());
    }
    Ok(())
}

/// Takes the place of `tar` on a node: the first time that it is asked for the shard maps they are just not there, as while CouchDB
/// puts a compacted file in the place of the old one.
const ELSEWHERE: &str = r#"#!/bin/sh
for word; do last=$word; done
[ "$last" = - ] || exec /usr/bin/tar "$@"
list=$(cat)
case "$list" in
  *_dbs.couch*)
    if [ ! -e "$SEEN" ]; then
      : >"$SEEN"
      printf '%s\n' "$list" | grep -v _dbs.couch | /usr/bin/tar "$@"
      echo "/usr/bin/tar: _dbs.couch: Cannot stat: No such file or directory" >&2
      exit 2
    fi ;;
esac
printf '%s\n' "$list" | /usr/bin/tar "$@"
"#;

#[test]
fn shard_maps_that_were_not_there_for_a_moment_are_fetched() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let seen = far.path("seen");
    let tar = ELSEWHERE.replace("$SEEN", seen.to_str().ok_or("a path that is no text")?);
    write_program(&far.sshd.programs()?.join("tar"), &tar)?;
    let single = fixtures::single_node()?;
    let (near, archive) = (far.path("near.tar.gz"), far.path("far.tar.gz"));
    back_up(&single.folders(), &near)?;
    let ended = far.backup(&[far.node(&single.nodes[0].data)], &archive, &[])?;
    assert!(seen.exists());
    ended.success()?;
    assert_equal(&near, &archive)
}

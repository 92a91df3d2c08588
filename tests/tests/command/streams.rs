//! Standard output and standard error that nobody reads to their end, and files that may not become as large as they have to.

use std::process::{Command, Stdio};

use couchcopy_tests::lab::{binary, run};
use couchcopy_tests::{Result, fixtures};

/// Runs the command with an output, or both, that nobody reads.
fn unread(arguments: &[&str], stdout: bool, stderr: bool) -> Result<Option<i32>> {
    let closed = || -> Result<Stdio> {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        Ok(writer.into())
    };
    let mut command = Command::new(binary()?);
    command.args(arguments).stdin(Stdio::null());
    command.stdout(if stdout { closed()? } else { Stdio::null() });
    command.stderr(if stderr { closed()? } else { Stdio::null() });
    Ok(command.status()?.code())
}

#[test]
fn nobody_has_to_read_what_is_printed() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("backup.tar.gz");
    let archive = archive.to_str().ok_or("no text")?;
    let source = format!("localhost,{}", fixture.nodes[0].data.display());
    assert_eq!(unread(&["backup", "-v", &source, archive], true, true)?, Some(0));
    let missing = folder.path().join("nothing");
    let missing = missing.to_str().ok_or("no text")?;
    for (arguments, code) in [
        (&["info", missing][..], 7),
        (&["info", missing, "--json"], 7),
        (&["verify", archive, "--events"], 0),
        (&["verify", archive, "-v"], 0),
        (&["info", archive], 0),
        (&["ls", archive], 0),
        (&["ls", archive, "plain", "--ids"], 0),
        (&["ls", archive, "plain", "--shards"], 0),
        (&["get", archive, "plain", "doc-00001"], 0),
        (&["dump", archive, "plain"], 0),
        (&["cat", archive, "data/_dbs.couch"], 0),
        (&["plugin", "list"], 0),
        (&["restore"], 5),
        (&["--help"], 0),
        (&["nosuch"], 2),
        (&["nosuch", "--json"], 2),
    ] {
        for (stdout, stderr) in [(true, false), (false, true), (true, true)] {
            assert_eq!(unread(arguments, stdout, stderr)?, Some(code), "{arguments:?} {stdout} {stderr}");
        }
    }
    Ok(())
}

#[test]
fn a_limit_of_the_size_of_files_is_an_error_that_leaves_nothing() -> Result<()> {
    let fixture = fixtures::single_node()?;
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("backup.tar.gz");
    let mut command = Command::new("bash");
    command.arg("-c").arg("ulimit -f 20; exec \"$0\" backup \"$1\" \"$2\"").arg(binary()?);
    command.arg(format!("localhost,{}", fixture.nodes[0].data.display())).arg(&archive);
    let ended = run(&mut command)?.unwrapped();
    assert_eq!(ended.code, Some(7), "{ended:#?}");
    for words in ["backup.tar.gz", "bytes so far", "ulimit -f"] {
        assert!(ended.stderr.contains(words), "{words}: {ended:#?}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path())?.collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

//! Archives from standard input and to standard output.

use std::fs::File;
use std::process::Stdio;

use couchcopy_tests::Result;

use super::run::{Couchcopy, node, restored, small_data};

#[test]
fn a_backup_goes_to_standard_output_and_nothing_else() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (small_data(dir.path())?, Couchcopy::with(Vec::new()));
    let archive = dir.path().join("piped.tar.gz");
    let output = couchcopy
        .command(&["backup", &node(&data), "-"])?
        .stdout(File::create(&archive)?)
        .stderr(Stdio::piped())
        .spawn()?
        .wait_with_output()?;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("3 databases"), "{said}");
    let archive = archive.to_str().ok_or("not text")?;
    couchcopy.expect(0, &["verify", archive])?;
    // Saved again into a file: equal data.
    let file = dir.path().join("file.tar.gz");
    let file = file.to_str().ok_or("not text")?;
    couchcopy.expect(0, &["backup", &node(&data), file])?;
    assert!(restored(&couchcopy, archive, &[])? == restored(&couchcopy, file, &[])?);
    Ok(())
}

#[test]
fn an_archive_is_read_from_standard_input() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, couchcopy) = (small_data(dir.path())?, Couchcopy::with(Vec::new()));
    let archive = dir.path().join("k.tar.gz");
    let path = archive.to_str().ok_or("not text")?;
    couchcopy.expect(0, &["backup", &node(&data), path])?;
    let target = format!("{},couchdb@127.0.0.1", dir.path().join("new/data").display());
    for arguments in [
        &["verify", "-"][..],
        &["info", "-"],
        &["ls", "-"],
        &["dump", "-", "bulk-000001"],
        &["cat", "-", "metadata.yaml"],
        &["restore", "--offline", "-", &target],
    ] {
        let output = couchcopy.command(arguments)?.stdin(File::open(&archive)?).output()?;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    // A pipe that ends early is no archive.
    let bytes = std::fs::read(&archive)?;
    let cut = dir.path().join("cut");
    std::fs::write(&cut, &bytes[..bytes.len() / 2])?;
    let output = couchcopy.command(&["verify", "-"])?.stdin(File::open(&cut)?).output()?;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    Ok(())
}

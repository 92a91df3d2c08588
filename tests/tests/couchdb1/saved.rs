//! Backups of data directories of CouchDB 1.x, without a CouchDB.

use std::path::Path;

use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::isolated::Couchcopy;
use couchcopy_tests::lab::{couchcopy, verify};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use super::{back_up, databases, expected, write};

#[test]
fn a_directory_is_recognised_and_saved_completely() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (archive, told) = back_up(dir.path())?;
    assert!(told.contains("CouchDB 1.x") && told.contains("5 databases"), "{told}");
    assert!(verify(&archive)?.success()?.contains("intact"));
    let archive = archive.to_str().ok_or("no text")?;
    let listed = couchcopy(&["ls", archive])?.success()?;
    for (name, ..) in databases() {
        assert!(listed.contains(name), "{listed}");
    }
    let found: Value = serde_json::from_str(&couchcopy(&["get", archive, "oldest", "doc-7919"])?.success()?)?;
    assert_eq!(found["number"], 1);
    assert!(found["_attachments"]["a.txt"]["length"].is_u64(), "{found}");
    let dumped = couchcopy(&["dump", archive, "team/a"])?.success()?;
    assert_eq!(dumped.lines().count(), 36, "{dumped}");
    let info: Value = serde_json::from_str(&couchcopy(&["info", "--json", archive])?.success()?)?;
    assert_eq!(info["databases"], 5, "{info}");
    Ok(())
}

#[test]
fn a_repository_knows_the_directory_again() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let of = |name: &str| dir.path().join(name).display().to_string();
    let couchcopy = Couchcopy::at_home(dir.path(), Vec::new());
    let (data, repository) = (dir.path().join("couchdb-1"), of("repository"));
    write(&data)?;
    couchcopy.expect(0, &["repo", "init", &repository])?;
    let node = format!("localhost,{}", data.display());
    couchcopy.expect(0, &["backup", "--repo", &repository, &node])?;
    let again = couchcopy.json(&["backup", "--repo", &repository, &node])?;
    // Shard maps and description are made for each backup.
    assert_eq!(again["in_repository"]["read_files"], 2, "{again}");
    couchcopy.expect(0, &["verify", &format!("{repository}::latest")])?;
    let listed = couchcopy.json(&["repo", "list", &repository])?;
    let source = listed["backups"][0]["source"][0].as_str().ok_or("no source")?;
    assert!(source.ends_with(&format!(":{}", data.display())), "{listed}");
    Ok(())
}

#[test]
fn databases_get_ranges() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (archive, _) = back_up(dir.path())?;
    let to = |name: &str| dir.path().join(name);
    let restore = |folder: &Path, more: &[&str]| {
        let mut arguments = vec!["restore".to_owned(), "--offline".to_owned()];
        arguments.extend(more.iter().map(ToString::to_string));
        arguments.extend([archive.display().to_string(), format!("{},a@127.0.85.1", folder.display())]);
        couchcopy(&arguments)
    };
    restore(&to("default"), &[])?.success()?;
    assert_eq!(compare(&expected(|_| 2)?, &read_cluster(&[&to("default")])?), [""; 0]);
    restore(&to("chosen"), &["--q", "1", "--q", "team/*=5"])?.success()?;
    let wanted = expected(|name| if name == "team/a" { 5 } else { 1 })?;
    assert_eq!(compare(&wanted, &read_cluster(&[&to("chosen")])?), [""; 0]);
    for path in fixtures::files_ending(&to("chosen"), "couch")? {
        let file = couchcopy_tests::content::open(&to("chosen").join(&path))?;
        assert_eq!(file.header().disk_version, 8, "{path}");
        assert!(couchfile::check::check(&file, None)?.is_whole(), "{path}");
    }
    Ok(())
}

#[test]
fn files_before_couchdb_0_11_are_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    super::write(&data)?;
    // The disk version is a small number at the beginning of the header's term.
    let path = data.join("plain.couch");
    let mut out = couchfile::writer::Appender::new(Vec::new(), 0, couchfile::compression::Compression::None);
    let mut header = couchfile::term::Encoder::versioned();
    header.tuple(11).atom(b"db_header").uint(3);
    for _ in 0..9 {
        header.uint(0);
    }
    out.header(header.as_bytes())?;
    std::fs::write(&path, out.into_inner())?;
    let archive = dir.path().join("a.tar.gz");
    let ended = couchcopy(&[
        "backup".to_owned(),
        format!("localhost,{}", data.display()),
        archive.display().to_string(),
    ])?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains("disk version 3"), "{ended:?}");
    Ok(())
}

/// A file is a backup of one database for every command.
#[test]
fn a_single_file_is_read_like_a_backup() -> Result<()> {
    let dir = tempfile::tempdir()?;
    super::write(dir.path())?;
    let file = dir.path().join("plain.couch").display().to_string();
    let run = |words: &[&str]| couchcopy(words)?.success();
    let listed: Value = serde_json::from_str(&run(&["ls", "--json", &file])?)?;
    assert!(listed.to_string().contains("\"name\":\"plain\""), "{listed}");
    assert!(run(&["verify", &file])?.contains("intact"));
    let wanted = expected(|_| 1)?;
    let mut dumped = 0;
    for line in run(&["dump", &file, "plain"])?.lines() {
        let document: Value = serde_json::from_str(line)?;
        let id = document["_id"].as_str().ok_or("no id")?;
        let same = &wanted["plain"]["docs"][id][0];
        assert_eq!(document["_rev"], same["_rev"], "{document}");
        dumped += 1;
    }
    assert!(dumped > 200, "{dumped}");

    // An offline restore places it in ranges.
    let target = dir.path().join("node/data");
    let node = format!("{},couchdb@127.0.9.95", target.display());
    run(&["restore", "--offline", "--q=3", &file, &node])?;
    let mut wanted = expected(|_| 3)?;
    wanted.as_object_mut().ok_or("no databases")?.retain(|name, _| name == "plain");
    let read = couchcopy_tests::content::read_cluster(&[target.as_path()])?;
    assert_eq!(couchcopy_tests::compare::compare(&wanted, &read), [""; 0]);

    // The end of the file is damaged: the last header that is intact counts, as CouchDB does it; without any there is no database.
    std::fs::write(dir.path().join("junk.couch"), vec![7; 10_000])?;
    let junk = dir.path().join("junk.couch").display().to_string();
    let refused = couchcopy(&["ls", &junk])?;
    assert_eq!(refused.code, Some(6), "{refused:#?}");
    Ok(())
}

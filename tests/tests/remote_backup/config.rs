//! Configuration of nodes on other machines.

use std::fs;
use std::os::unix::fs::symlink;

use couchcopy_tests::far::Far;
use couchcopy_tests::lab::{couchcopy, verify};
use couchcopy_tests::manifest::manifest;
use couchcopy_tests::{Result, fixtures};

fn check(far: &Far) -> Result<()> {
    let single = fixtures::single_node()?;
    let data = &single.nodes[0].data;
    let etc = single.dir().join("etc");
    fs::create_dir_all(etc.join("local.d"))?;
    fs::write(etc.join("default.ini"), "[couchdb]\nuuid = 0\n")?;
    let args = "-name couchdb41@127.0.0.41\n-setcookie very-secret-cookie\n";
    fs::write(etc.join("vm.args"), args)?;
    // As Kubernetes puts it there.
    fs::write(single.dir().join("admins"), "[admins]\nanna = very-secret-hash\n")?;
    symlink(single.dir().join("admins"), etc.join("local.d/admins.ini"))?;
    fs::write(etc.join("local.d/notes.txt"), "none of ours")?;
    let archive = far.path("config.tar.gz");
    let ended = far.backup(&[far.node(data)], &archive, &["--with-config", "--json"])?;
    assert!(!format!("{ended:?}").contains("very-secret"), "{ended:?}");
    let told: serde_json::Value = serde_json::from_str(&ended.success()?)?;
    let files = told["config"][0]["files"].as_array().ok_or("no files")?;
    let entries: Vec<&str> = files.iter().filter_map(|file| file["entry"].as_str()).collect();
    let secrets: Vec<String> = files.iter().map(|file| file["secrets"].to_string()).collect();
    assert_eq!(secrets, ["[]", "[\"[admins] anna\"]", "[\"-setcookie\"]"]);
    assert!(entries[1].starts_with("config,couchdb41@127.0.0.41,") && entries[1].ends_with(",admins.ini"));
    let lines = manifest(&archive)?;
    assert_eq!(lines[entries[1]]["kind"], "config");
    assert_eq!(lines[entries[1]]["path"], etc.join("local.d/admins.ini").display().to_string());
    assert_eq!(lines.keys().filter(|name| name.starts_with("config")).count(), 3);
    let shown = couchcopy(&["cat", archive.to_str().ok_or("a path")?, entries[2]])?.success()?;
    assert_eq!(shown, args);
    verify(&archive)?.success()?;

    // What may not be read is not passed over.
    fs::remove_file(single.dir().join("admins"))?;
    let archive = far.path("none.tar.gz");
    let ended = far.backup(&[far.node(data)], &archive, &["--with-config"])?;
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert!(ended.stderr.contains("admins.ini"), "{ended:?}");
    assert!(!archive.exists());
    Ok(())
}

#[test]
fn configuration_comes_with_gnus_tools() -> Result<()> {
    Far::start()?.map_or(Ok(()), |far| check(&far))
}

#[test]
fn configuration_comes_with_busyboxs_tools() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    if far.with_busybox()? { check(&far) } else { Ok(()) }
}

//! What is saved over ssh is what is saved on the spot.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use couchcopy_tests::far::Far;
use couchcopy_tests::lab::{back_up, couchcopy, verify};
use couchcopy_tests::manifest::{assert_equal, manifest};
use couchcopy_tests::{Result, fixtures};
use scale_data::plan::{Attachments, Plan};

/// Saves folders both ways and compares.
fn check(far: &Far, folders: &[&Path]) -> Result<()> {
    let (near, remote) = (far.path("near.tar.gz"), far.path("remote.tar.gz"));
    back_up(folders, &near)?;
    let nodes: Vec<String> = folders.iter().map(|folder| far.node(folder)).collect();
    far.backup(&nodes, &remote, &[])?.success()?;
    assert_equal(&near, &remote)?;
    verify(&remote)?.success()?;
    for archive in [near, remote] {
        fs::remove_file(archive)?;
    }
    Ok(())
}

fn fixtures_come_the_same(far: &Far) -> Result<()> {
    let single = fixtures::single_node()?;
    check(far, &single.folders())?;
    let four = fixtures::four_nodes()?;
    check(far, &four.folders())?;
    let files = fixtures::couch_files()?;
    for moment in ["pre", "post"] {
        check(far, &[&files.data(moment)])?;
    }
    Ok(())
}

#[test]
fn fixtures_come_the_same_with_gnus_tools() -> Result<()> {
    Far::start()?.map_or(Ok(()), |far| fixtures_come_the_same(&far))
}

#[test]
fn fixtures_come_the_same_with_busyboxs_tools() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    if far.with_busybox()? { fixtures_come_the_same(&far) } else { Ok(()) }
}

/// The folder of all indexes may lie on another disk.
#[test]
fn indexes_behind_a_link_come_along() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let single = fixtures::single_node()?;
    let data = single.nodes[0].data.clone();
    let elsewhere = tempfile::tempdir()?;
    fs::rename(data.join(".shards"), elsewhere.path().join("indexes"))
        .or_else(|_| copy_away(&data, elsewhere.path()))?;
    symlink(elsewhere.path().join("indexes"), data.join(".shards"))?;
    for busybox in [false, true] {
        if busybox && !far.with_busybox()? {
            break;
        }
        check(&far, &[&data])?;
        for more in [&[][..], &["--rsync-reuse-dir", "mirror"]] {
            let archive = far.path("linked.tar.gz");
            let mirror = far.path("mirror").display().to_string();
            let more: Vec<&str> =
                more.iter().map(|&word| if word == "mirror" { &mirror } else { word }).collect();
            far.backup(&[far.node(&data)], &archive, &more)?.success()?;
            let indexes = manifest(&archive)?.into_keys().filter(|name| name.contains("/.shards/")).count();
            assert!(indexes > 0, "{more:?}");
            fs::remove_file(archive)?;
        }
    }
    Ok(())
}

/// Where the temporary folder is another file system.
fn copy_away(data: &Path, elsewhere: &Path) -> std::io::Result<()> {
    let copied =
        std::process::Command::new("mv").arg(data.join(".shards")).arg(elsewhere.join("indexes")).status()?;
    if copied.success() { Ok(()) } else { Err(std::io::Error::other("mv failed")) }
}

/// Databases of some MiB on so many nodes, each of which holds everything.
pub(crate) fn large(nodes: usize) -> Plan {
    Plan {
        databases: 3,
        empty: 2,
        docs: 6000,
        doc_size: 900,
        revisions: 1,
        q: 2,
        copies: nodes,
        nodes: (1..=nodes).map(|i| format!("couchdb@127.0.8.{i}")).collect(),
        seed: 11,
        attachments: Attachments::default(),
    }
}

#[test]
fn large_files_and_torn_ones() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let built = scale_data::build::build(&large(1), dir.path())?;
    let data = built.folders[0].path.clone();
    check(&far, &[&data])?;
    for threads in ["1", "3"] {
        let archive = far.path("threads.tar.gz");
        far.backup(&[far.node(&data)], &archive, &["--threads", threads])?.success()?;
        verify(&archive)?.success()?;
        fs::remove_file(archive)?;
    }

    // What a write that is going on leaves behind the last header stays in the archive, and does not count.
    let shards = fixtures::files_ending(&data, "couch")?;
    let torn = shards.iter().filter(|path| path.starts_with("shards/")).nth(1).ok_or("no shards")?;
    let size = fs::metadata(data.join(torn))?.len();
    assert!(size > 1 << 20, "{size}");
    let mut bytes = fs::read(data.join(torn))?;
    bytes.extend(std::iter::repeat_n(7, 3_000_000));
    fs::write(data.join(torn), bytes)?;
    let archive = far.path("torn.tar.gz");
    far.backup(&[far.node(&data)], &archive, &[])?.success()?;
    verify(&archive)?.success()?;
    let entry = &manifest(&archive)?[&format!("data/{torn}")];
    assert_eq!(entry["size"], size + 3_000_000);
    let target = dir.path().join("target");
    let node = format!("{},couchdb@127.0.0.1", target.display());
    couchcopy(&["restore", "--offline", archive.to_str().ok_or("a path")?, &node])?.success()?;
    assert!(fs::metadata(target.join(torn))?.len() < size + 100_000);

    // One in which nothing is found is told.
    fs::write(data.join(torn), vec![7; 2_000_000])?;
    let archive = far.path("lost.tar.gz");
    let ended = far.backup(&[far.node(&data)], &archive, &["--json"])?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains(torn.as_str()), "{ended:?}");
    let ended = verify(&archive)?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let ended = couchcopy(&[
        "restore",
        "--offline",
        archive.to_str().ok_or("a path")?,
        &format!("{}2,couchdb@127.0.0.1", target.display()),
    ])?;
    assert_eq!(ended.code, Some(6), "{ended:?}");
    Ok(())
}

#[test]
fn what_is_missing_or_damaged_is_told() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let single = fixtures::single_node()?;
    let data = &single.nodes[0].data;
    let shards: Vec<String> = fixtures::files_ending(data, "couch")?
        .into_iter()
        .filter(|path| path.starts_with("shards/"))
        .collect();
    fs::remove_file(data.join(&shards[2]))?;
    fs::write(data.join(&shards[5]), b"nothing")?;
    // A compaction that was killed in its swap.
    let swapped = data.join(&shards[8]);
    fs::rename(&swapped, swapped.with_extension("couch.compact"))?;
    let archive = far.path("damaged.tar.gz");
    let ended = far.backup(&[far.node(data)], &archive, &["--json"])?;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let told: serde_json::Value = serde_json::from_str(&ended.stdout)?;
    let problems: Vec<&str> =
        told["problems"].as_array().into_iter().flatten().filter_map(|p| p["path"].as_str()).collect();
    assert_eq!(problems, [&shards[2], &shards[5]]);
    let entries = manifest(&archive)?;
    assert!(entries.contains_key(&format!("data/{}", shards[8])));
    assert_eq!(verify(&archive)?.code, Some(3));
    Ok(())
}

#[test]
fn folders_that_are_none_are_refused() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let archive = far.path("none.tar.gz");
    let empty = tempfile::tempdir()?;
    for (folder, word) in
        [(empty.path(), "_dbs.couch"), (Path::new("/nonexistent/couchcopy"), "does not exist")]
    {
        let ended = far.backup(&[far.node(folder)], &archive, &[])?;
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.stderr.contains(word) && ended.stderr.contains(&far.sshd.host), "{ended:?}");
    }
    assert!(!archive.exists());
    Ok(())
}

//! A mirror: of what it has, only what is new comes over the network, and what is saved is what a backup on the spot saves.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use couchcopy_tests::far::Far;
use couchcopy_tests::growth::{commit, noise};
use couchcopy_tests::lab::{Ended, back_up, couchcopy, verify};
use couchcopy_tests::manifest::{assert_equal, manifest};
use couchcopy_tests::{Result, content, fixtures};
use tempfile::TempDir;

use super::content::large;

/// What a backup without anything new may bring: names, sizes and times of files, answers to questions.
const LITTLE: u64 = 20_000;

/// A node far away, and a mirror of it.
struct Mirrored {
    far: Far,
    /// The node's data folder.
    data: PathBuf,
    mirror: PathBuf,
    _dir: TempDir,
}

impl Mirrored {
    fn new() -> Result<Option<Self>> {
        let Some(far) = Far::start()? else { return Ok(None) };
        let dir = tempfile::tempdir()?;
        let built = scale_data::build::build(&large(1), &dir.path().join("node"))?;
        let data = built.folders[0].path.clone();
        let mirror = far.path("mirror");
        Ok(Some(Self { far, data, mirror, _dir: dir }))
    }

    fn run(&self, archive: &Path, more: &[&str]) -> Result<Ended> {
        let mirror = self.mirror.display().to_string();
        let flag = ["--overwrite", "--rsync-reuse-dir", &mirror];
        self.far.backup(&[self.far.node(&self.data)], archive, &[&flag, more].concat())
    }

    /// Makes a backup, which has to be what one on the spot is, and whole. Gives the bytes that came over the network.
    fn save(&self) -> Result<u64> {
        let (near, far) = (self.far.path("near.tar.gz"), self.far.path("mirrored.tar.gz"));
        self.far.received()?;
        self.run(&far, &[])?.success()?;
        let received = self.far.received()?;
        let _ = fs::remove_file(&near);
        back_up(&[&self.data], &near)?;
        assert_equal(&near, &far)?;
        verify(&far)?.success()?;
        self.check()?;
        Ok(received)
    }

    /// The mirror holds what the node does and nothing else, and only its owner can read it.
    fn check(&self) -> Result<()> {
        let folder = self.of_node()?;
        let wanted = |path: &String| path == "_dbs.couch" || path.contains("shards/");
        let (mut here, mut there) = (fixtures::files_below(&folder)?, fixtures::files_below(&self.data)?);
        here.retain(wanted);
        there.retain(wanted);
        assert_eq!(here, there);
        for path in &here {
            assert!(fs::read(folder.join(path))? == fs::read(self.data.join(path))?, "{path}");
            assert_eq!(fs::metadata(folder.join(path))?.mode() & 0o777, 0o600, "{path}");
        }
        assert_eq!(fs::metadata(&self.mirror)?.mode() & 0o777, 0o700);
        assert!(!self.mirror.join("unfinished").exists());
        Ok(())
    }

    /// The folder of the only node.
    fn of_node(&self) -> Result<PathBuf> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(&self.mirror)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders.pop().ok_or_else(|| "no folder of a node".into())
    }

    /// The large shards, by their paths below the data folder.
    fn shards(&self) -> Result<Vec<String>> {
        let mut shards = Vec::new();
        for path in fixtures::files_ending(&self.data, "couch")? {
            if path.starts_with("shards/") && fs::metadata(self.data.join(&path))?.len() > 1 << 20 {
                shards.push(path);
            }
        }
        assert!(shards.len() >= 6, "{shards:?}");
        Ok(shards)
    }
}

/// Changes a byte in the middle of a file.
fn flip(path: &Path, offset: u64) -> Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(&[byte[0] ^ 1])?;
    Ok(())
}

fn only_what_is_new(node: &Mirrored) -> Result<()> {
    let all: u64 = fixtures::files_below(&node.data)?
        .iter()
        .map(|path| Ok(fs::metadata(node.data.join(path))?.len()))
        .sum::<Result<u64>>()?;
    let first = node.save()?;
    assert!((all..all + all / 20).contains(&first), "{first} of {all}");
    let again = node.save()?;
    assert!(again < LITTLE, "{again}");

    // Three grow, one of them twice; another is written to without a header for it yet.
    let shards = node.shards()?;
    for (i, path) in shards[..3].iter().enumerate() {
        commit(&node.data.join(path), i as u64, 300_000)?;
    }
    commit(&node.data.join(&shards[0]), 7, 100_000)?;
    File::options().append(true).open(node.data.join(&shards[3]))?.write_all(&noise(9, 50_000))?;
    let grown = node.save()?;
    assert!((1_050_000..1_050_000 + 2 * LITTLE).contains(&grown), "{grown}");
    // What was behind the last header is then overtaken by another end of the file.
    let file = File::options().write(true).open(node.data.join(&shards[3]))?;
    file.set_len(file.metadata()?.len() - 50_000)?;
    commit(&node.data.join(&shards[3]), 11, 90_000)?;
    let grown = node.save()?;
    assert!((90_000..90_000 + 2 * LITTLE).contains(&grown), "{grown}");
    Ok(())
}

#[test]
fn only_what_is_new_comes_with_gnus_tools() -> Result<()> {
    Mirrored::new()?.map_or(Ok(()), |node| only_what_is_new(&node))
}

#[test]
fn only_what_is_new_comes_with_busyboxs_tools() -> Result<()> {
    let Some(node) = Mirrored::new()? else { return Ok(()) };
    if node.far.with_busybox()? { only_what_is_new(&node) } else { Ok(()) }
}

#[test]
fn a_compacted_file_is_fetched_whole_and_a_deleted_one_vanishes() -> Result<()> {
    let Some(node) = Mirrored::new()? else { return Ok(()) };
    node.save()?;
    let shards = node.shards()?;
    // Larger than before, with other data in all of it, as after a compaction of a database that was written to.
    let compacted = node.data.join(&shards[1]);
    let before = fs::metadata(&compacted)?.len();
    let other = fs::read(node.data.join(&shards[2]))?;
    fs::write(compacted.with_extension("couch.compact"), other)?;
    fs::rename(compacted.with_extension("couch.compact"), &compacted)?;
    commit(&compacted, 3, 600_000)?;
    commit(&node.data.join(&shards[4]), 4, 100_000)?;
    let size = fs::metadata(&compacted)?.len();
    let received = node.save()?;
    // What lies behind the old end has come before it shows that the file is another one.
    let least = size + 100_000;
    assert!(
        (least..least + (size - before) + 2 * LITTLE).contains(&received),
        "{received} for {size}, {before}"
    );

    let stray = node.of_node()?.join("shards/00000000-ffffffff/stray.1795355234.couch");
    fs::create_dir_all(stray.parent().ok_or("no folder")?)?;
    fs::copy(&compacted, &stray)?;
    fs::remove_file(node.data.join(&shards[5]))?;
    let archive = node.far.path("gone.tar.gz");
    // It is in the shard maps still.
    assert_eq!(node.run(&archive, &[])?.code, Some(3));
    assert!(!stray.exists() && !node.of_node()?.join(&shards[5]).exists());
    assert!(!manifest(&archive)?.contains_key(&format!("data/{}", shards[5])));
    Ok(())
}

#[test]
fn a_damaged_mirror_is_mended() -> Result<()> {
    let Some(node) = Mirrored::new()? else { return Ok(()) };
    node.save()?;
    let shards = node.shards()?;
    let folder = node.of_node()?;
    let len = |path: &String| -> Result<u64> { Ok(fs::metadata(folder.join(path))?.len()) };
    let mut expected = 0;
    // Cut off where no header is left.
    File::options().write(true).open(folder.join(&shards[0]))?.set_len(100_000)?;
    expected += len(&shards[0])?.max(fs::metadata(node.data.join(&shards[0]))?.len());
    // All of it another thing, as long and as old as before.
    let mtime = fs::metadata(folder.join(&shards[1]))?.modified()?;
    fs::write(folder.join(&shards[1]), noise(1, len(&shards[1])? as usize))?;
    File::options().write(true).open(folder.join(&shards[1]))?.set_modified(mtime)?;
    expected += len(&shards[1])?;
    // Its only header damaged.
    let header = content::open(&folder.join(&shards[2]))?.header_offset();
    flip(&folder.join(&shards[2]), header + 30)?;
    expected += len(&shards[2])?;
    // Gone.
    fs::remove_file(folder.join(&shards[3]))?;
    expected += fs::metadata(node.data.join(&shards[3]))?.len();
    // A folder in its place.
    fs::remove_file(folder.join(&shards[4]))?;
    fs::create_dir(folder.join(&shards[4]))?;
    let ended = node.run(&node.far.path("folder.tar.gz"), &[])?;
    assert_eq!(ended.code, Some(7), "{ended:?}");
    assert!(ended.stderr.contains("shards/"), "{ended:?}");
    fs::remove_dir(folder.join(&shards[4]))?;
    node.far.received()?;
    let archive = node.far.path("mended.tar.gz");
    node.run(&archive, &[])?.success()?;
    verify(&archive)?.success()?;
    // What looks untouched is found out when it is read, is asked of the node, and comes into the mirror the next time.
    node.save()?;
    let again = node.save()?;
    assert!(again < LITTLE, "{again}, {expected}");
    Ok(())
}

#[test]
fn a_backup_that_breaks_or_is_killed_leaves_a_mirror_to_go_on_with() -> Result<()> {
    let Some(node) = Mirrored::new()? else { return Ok(()) };
    let all: u64 = node
        .shards()?
        .iter()
        .map(|path| fs::metadata(node.data.join(path)).map_or(0, |found| found.len()))
        .sum();
    // The shard maps come first, then the files.
    node.far.kill(1, all / 2)?;
    let archive = node.far.path("killed.tar.gz");
    let ended = node.run(&archive, &[])?;
    assert_eq!(ended.code, None, "{ended:?}");
    assert!(!archive.exists() && node.mirror.join("unfinished").exists());
    let rest = node.save()?;
    assert!(rest < all * 3 / 4, "{rest} of {all}");

    // The rests of two files: in the first one it is killed, then the connection breaks in it, and in the other one.
    let shards = node.shards()?;
    for path in &shards[..2] {
        commit(&node.data.join(path), 5, 1_000_000)?;
    }
    node.far.kill(0, 500_000)?;
    assert_eq!(node.run(&archive, &[])?.code, None);
    node.far.cut(&[Some(400_000), Some(1_200_000), None])?;
    let ended = node.run(&archive, &[])?;
    assert!(ended.stderr.contains("tries again"), "{ended:?}");
    ended.success()?;
    let again = node.save()?;
    assert!(again < LITTLE, "{again}");

    // A node that is gone for good.
    commit(&node.data.join(&shards[0]), 6, 1_000_000)?;
    node.far.cut(&[Some(0); 20])?;
    let ended = node.run(&node.far.path("gone.tar.gz"), &[])?;
    assert_eq!(ended.code, Some(9), "{ended:?}");
    node.far.cut(&[])?;
    node.save()?;
    Ok(())
}

#[test]
fn what_a_power_failure_may_have_lost_is_fetched_again() -> Result<()> {
    let Some(node) = Mirrored::new()? else { return Ok(()) };
    node.save()?;
    let shards = node.shards()?;
    // A backup began before this machine started anew, and what it wrote has only come to the disk in part.
    fs::write(node.mirror.join("unfinished"), "another start\n")?;
    let damaged = node.of_node()?.join(&shards[0]);
    let mtime = fs::metadata(&damaged)?.modified()?;
    flip(&damaged, 300_000)?;
    File::options().write(true).open(&damaged)?.set_modified(mtime)?;
    let received = node.save()?;
    let size = fs::metadata(&damaged)?.len();
    // Files of the second in which it began count as written by it, too.
    assert!(received >= size, "{received}");
    Ok(())
}

#[test]
fn one_backup_at_a_time_and_only_in_a_folder_of_its_own() -> Result<()> {
    let Some(node) = Mirrored::new()? else { return Ok(()) };
    node.save()?;
    let archive = node.far.path("refused.tar.gz");
    let lock = File::open(node.mirror.join("couchcopy-mirror"))?;
    lock.lock()?;
    let ended = node.run(&archive, &[])?;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("another backup"), "{ended:?}");
    drop(lock);
    fs::set_permissions(&node.mirror, fs::Permissions::from_mode(0o755))?;
    node.save()?;

    let other = node.far.path("other");
    fs::create_dir(&other)?;
    fs::write(other.join("letter.txt"), "of somebody")?;
    let node = Mirrored { mirror: other.clone(), ..node };
    let ended = node.run(&archive, &[])?;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert_eq!(fs::read(other.join("letter.txt"))?, b"of somebody");
    assert!(!archive.exists());
    Ok(())
}

#[test]
fn copies_on_several_nodes_and_folders_of_this_machine() -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    let four = fixtures::four_nodes()?;
    let (near, archive) = (far.path("near.tar.gz"), far.path("mirrored.tar.gz"));
    back_up(&four.folders(), &near)?;
    let nodes: Vec<String> = four.folders().iter().map(|folder| far.node(folder)).collect();
    let mirror = far.path("mirror").display().to_string();
    for flag in ["--rsync-reuse-dir", "--rsync-reuse-folder"] {
        far.backup(&nodes, &archive, &["--overwrite", flag, &mirror])?.success()?;
        assert_equal(&near, &archive)?;
    }
    // Each node has its folder.
    let folders = fs::read_dir(&mirror)?.filter_map(std::result::Result::ok);
    assert_eq!(folders.filter(|entry| entry.path().is_dir()).count(), 4);
    let single = fixtures::single_node()?;
    let node = format!("localhost,{}", single.nodes[0].data.display());
    let archive = archive.display().to_string();
    let ended = couchcopy(&["backup", &node, &archive, "--overwrite", "--rsync-reuse-dir", &mirror])?;
    assert!(ended.stderr.contains("mirror is not used"), "{ended:?}");
    ended.success()?;
    Ok(())
}

//! A repository beside a node on another machine: what is as it was is known by its stat and does not come over the network.

use std::path::PathBuf;

use couchcopy_tests::Result;
use couchcopy_tests::far::Far;
use couchcopy_tests::fixtures;
use couchcopy_tests::growth::commit;
use couchcopy_tests::lab::{back_up, verify};
use couchcopy_tests::manifest::assert_equal;
use serde_json::Value;

use super::content::large;

/// What a list of some hundred files, and the shard maps, may take.
const LITTLE: u64 = 150_000;

struct Saved {
    far: Far,
    data: PathBuf,
    repository: String,
}

impl Saved {
    /// Makes a backup, which has to be what one on the spot is. Returns what the command says, and the bytes that came.
    fn save(&self) -> Result<(Value, u64)> {
        self.far.received()?;
        let (via, node) = (self.far.via(), self.far.node(&self.data));
        let ended = self
            .far
            .run(&["backup", "--json", "--via", &via, "--repo", &self.repository, &node])?
            .success()?;
        let received = self.far.received()?;
        let said: Value = serde_json::from_str(&ended)?;
        let (near, copied) = (self.far.path("near.tar.gz"), self.far.path("copied.tar.gz"));
        for archive in [&near, &copied] {
            let _ = std::fs::remove_file(archive);
        }
        back_up(&[&self.data], &near)?;
        let latest = format!("{}::latest", self.repository);
        self.far.run(&["verify", &latest])?.success()?;
        self.far.run(&["repo", "copy", &latest, &copied.display().to_string()])?.success()?;
        assert_equal(&near, &copied)?;
        verify(&copied)?.success()?;
        Ok((said, received))
    }
}

fn only_what_is_new(busybox: bool) -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    if busybox && !far.with_busybox()? {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let built = scale_data::build::build(&large(1), &dir.path().join("node"))?;
    let data = built.folders[0].path.clone();
    let repository = far.path("repository").display().to_string();
    far.run(&["repo", "init", &repository])?.success()?;
    let node = Saved { far, data, repository };

    let new_bytes = |said: &Value| said["in_repository"]["new_bytes"].as_u64().unwrap_or(u64::MAX);
    let files = |said: &Value| said["in_repository"]["read_files"].as_u64().unwrap_or_default();
    let (first, received) = node.save()?;
    let all = files(&first);
    assert!(all > 10 && received > 6 << 20, "{first} {received}");
    let (again, received) = node.save()?;
    assert!(files(&again) <= 2 && received < LITTLE, "{again} {received}");

    // One grows, one is written anew as by a compaction, one goes away.
    let mut shards = fixtures::files_ending(&node.data, "couch")?;
    shards.retain(|path| path.starts_with("shards/") && !path.ends_with('/'));
    shards.sort();
    let size = |path: &String| std::fs::metadata(node.data.join(path)).map_or(0, |facts| facts.len());
    let large: Vec<&String> = shards.iter().filter(|path| size(path) > 1 << 20).take(2).collect();
    commit(&node.data.join(large[0]), 1, 100_000)?;
    let other = node.data.join(large[1]);
    let copy = other.with_extension("new");
    std::fs::copy(&other, &copy)?;
    std::fs::rename(&copy, &other)?;
    let (changed, received) = node.save()?;
    // Of the one that has grown, what is new and at most a piece of 1 MiB before it; of the other one, everything.
    let end = |path: &String| 100_000 + (size(path) - 100_000) % (1 << 20);
    let wanted = end(large[0]) + size(large[1]);
    assert!(files(&changed) <= 4 && received < wanted + LITTLE, "{changed} {received} {wanted}");
    assert!(new_bytes(&changed) < wanted + LITTLE, "{changed} {wanted}");

    // All grow: what was read of one is not taken for another.
    for path in &shards {
        commit(&node.data.join(path), 2, if large.contains(&path) { 3_000_000 } else { 2_000 })?;
    }
    let before: u64 = shards.iter().map(size).sum();
    let (changed, received) = node.save()?;
    let small = shards.iter().map(size).filter(|size| *size < 1 << 20).sum::<u64>();
    let grown = shards.iter().filter(|path| size(path) >= 1 << 20).count() as u64;
    let most = small + grown * (1 << 20) + 2 * 3_000_000 + grown * 10_000 + LITTLE;
    assert!(
        received < most && most < before * 3 / 4,
        "{changed} {received} of at most {most}, {before} in all"
    );
    // Connections break in the middle of what was appended.
    for path in &large {
        commit(&node.data.join(path), 3, 3_000_000)?;
    }
    node.far.cut(&[None, Some(1_500_000), Some(2_000_000)])?;
    let (changed, _) = node.save()?;
    assert!(new_bytes(&changed) < 3 * (6_000_000 + (2 << 20)), "{changed}");
    // Nothing has changed since.
    let (again, received) = node.save()?;
    assert!(files(&again) <= 2 && received < LITTLE, "{again} {received}");
    Ok(())
}

#[test]
fn only_what_is_new_comes_with_gnus_tools() -> Result<()> {
    only_what_is_new(false)
}

#[test]
fn only_what_is_new_comes_with_busyboxs_tools() -> Result<()> {
    only_what_is_new(true)
}

//! `--check` for nodes on other machines, through streams and through a mirror.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use couchcopy_tests::Result;
use couchcopy_tests::content::shard_maps;
use couchcopy_tests::far::Far;
use couchcopy_tests::lab::verify;
use scale_data::build;
use scale_data::plan::{Attachments, Plan};
use serde_json::Value;

/// Two nodes that hold the same; shards are small or large.
fn nodes(dir: &Path, doc_size: u64) -> Result<(Vec<PathBuf>, String)> {
    let plan = Plan {
        databases: 2,
        empty: 0,
        docs: 600,
        doc_size,
        revisions: 1,
        q: 2,
        copies: 2,
        nodes: vec!["couchdb@127.0.8.1".into(), "couchdb@127.0.8.2".into()],
        seed: 11,
        attachments: Attachments::default(),
    };
    let folders: Vec<PathBuf> = build::build(&plan, dir)?.folders.into_iter().map(|f| f.path).collect();
    let map = shard_maps(&folders[0])?.into_values().next().ok_or("no maps")?;
    let path = map.shards().next().ok_or("no shards")?.path();
    Ok((folders, path))
}

fn zero_the_middle(file: &Path) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).open(file)?;
    let len = usize::try_from(file.metadata()?.len())?;
    let count = (1 << 20).min(len / 2);
    Ok(file.write_all_at(&vec![0; count], ((len - count) / 2) as u64)?)
}

fn intact_copies_are_taken(mirror: bool) -> Result<()> {
    let Some(far) = Far::start()? else { return Ok(()) };
    for doc_size in [200, 9000] {
        let dir = far.path(&format!("nodes-{doc_size}"));
        let (folders, path) = nodes(&dir, doc_size)?;
        let given: Vec<String> = folders.iter().map(|folder| far.node(folder)).collect();
        for damaged in [0, 1] {
            let shard = folders[damaged].join(&path);
            let intact = fs::read(&shard)?;
            zero_the_middle(&shard)?;
            let mirrored = far.path(&format!("mirror-{doc_size}-{damaged}")).display().to_string();
            let mut options = vec!["--check", "--json"];
            if mirror {
                options.extend(["--rsync-reuse-dir", &mirrored]);
            }
            let archive = far.path(&format!("both-{doc_size}-{damaged}.tar.gz"));
            let saved = far.backup(&given, &archive, &options)?.success()?;
            let saved: Value = serde_json::from_str(&saved)?;
            assert!(saved.get("damaged").is_none(), "{saved}");
            verify(&archive)?.success()?;

            let archive = far.path(&format!("alone-{doc_size}-{damaged}.tar.gz"));
            let ended = far.backup(&given[damaged..=damaged], &archive, &["--check", "--json"])?;
            assert_eq!(ended.code, Some(3), "{ended:?}");
            let saved: Value = serde_json::from_str(&ended.stdout)?;
            assert_eq!(saved["damaged"][0]["path"], path.as_str(), "{saved}");
            assert_eq!(verify(&archive)?.code, Some(3));
            fs::write(&shard, intact)?;
        }
        // Nothing is left of what passed through files beside the archive.
        let left = fs::read_dir(far.path(""))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(".tmp"));
        assert_eq!(left.collect::<Vec<_>>(), [""; 0]);
    }
    Ok(())
}

#[test]
fn streams_are_checked_and_intact_copies_taken() -> Result<()> {
    intact_copies_are_taken(false)
}

#[test]
fn mirrored_files_are_checked_and_intact_copies_taken() -> Result<()> {
    intact_copies_are_taken(true)
}

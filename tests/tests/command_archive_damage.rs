//! A damaged archive: cut, flipped. What verifies as whole and what is restored is what was saved, and everything else ends in
//! an error or a reported problem; never in a panic, a hang or absurd memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use backup::{BackupOptions, FolderArgument, backup};
use contents::Destination;
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::{Result, memory, random};
use flate2::write::GzEncoder;
use inspect::verify::{VerifyResult, verify};
use outcome::report::Silent;
use restore::folders::{RestoreOptions, Target, restore_offline};
use scale_data::build;
use scale_data::plan::{Attachments, Plan};
use serde_json::Value;
use tempfile::TempDir;

/// Single bits that are flipped, one after another.
const FLIPS: usize = 10_000;
/// After so many flips, one is restored too.
const RESTORED: usize = 10;
/// Documents in the archive, each with an attachment.
const DOCS: u64 = 20;
/// Most memory that the process may ever have had resident, in KiB.
const MEMORY: u64 = 256 << 10;

/// A small archive and what is in it.
struct Sample {
    bytes: Vec<u8>,
    content: Value,
    verified: Value,
    dir: TempDir,
}

/// A verification's result without what an archive that lost its table of contents cannot tell.
fn facts(result: &VerifyResult) -> Result<Value> {
    let mut value = serde_json::to_value(result)?;
    let fields = value.as_object_mut().ok_or("no object")?;
    fields.shift_remove("manifest");
    fields.shift_remove("content_bytes");
    Ok(value)
}

/// A folder that is gone afterwards, in memory where the system has such a place: thousands of files are written.
fn folder() -> Result<TempDir> {
    Ok(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?)
}

impl Sample {
    fn make() -> Result<Self> {
        let dir = folder()?;
        let plan = Plan {
            databases: 1,
            empty: 1,
            docs: DOCS,
            doc_size: 300,
            revisions: 1,
            q: 1,
            copies: 1,
            nodes: vec!["couchdb@127.0.8.1".into()],
            seed: 3,
            attachments: Attachments { per_document: 1, size: 1500 },
        };
        let data = build::build(&plan, &dir.path().join("data"))?.folders.remove(0).path;
        let archive = dir.path().join("whole.tar.gz");
        let options = BackupOptions {
            folders: vec![FolderArgument::local(data.clone(), None)],
            databases: contents::NamePatterns::default(),
            destination: Destination::Archive { place: archive.as_path().into(), overwrite: false, level: 1 },
            threads: 1,
            limit_rate: None,
            limits: false,
            config: None,
            mirror: None,
            check: false,
            accept_empty_maps: false,
            rebuild_maps: None,
        };
        assert!(backup(&options, &Silent)?.is_complete());
        let verified = verify(&archive.as_path().into(), 1, &Silent)?;
        assert!(verified.is_whole() && verified.documents == DOCS && verified.attachments == DOCS);
        Ok(Self {
            bytes: fs::read(&archive)?,
            content: read_cluster(&[&data])?,
            verified: facts(&verified)?,
            dir,
        })
    }

    /// The same data folder as packed by another program: no table of contents, no hashes.
    fn foreign() -> Result<Self> {
        let mut sample = Self::make()?;
        let archive = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(archive);
        tar.append_dir_all("data", sample.dir.path().join("data"))?;
        sample.bytes = tar.into_inner()?.finish()?;
        Ok(sample)
    }

    /// Verifies bytes. Fails where a wrong archive passes as whole; tells whether it did pass.
    fn verify(&self, bytes: &[u8], place: &Place) -> Result<bool> {
        fs::write(&place.archive, bytes)?;
        match verify(&place.archive.as_path().into(), 1, &Silent) {
            Ok(result) if result.is_whole() => {
                assert_eq!(compare(&self.verified, &facts(&result)?), [""; 0]);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Restores what was verified last. Fails where something else than what was saved is restored; tells whether it was
    /// restored.
    fn restore(&self, place: &Place) -> Result<bool> {
        let options = RestoreOptions {
            archive: place.archive.as_path().into(),
            targets: vec![Target { folder: place.target.clone(), node: "new@127.0.8.2".into() }],
            threads: 1,
            ..RestoreOptions::default()
        };
        let restored = restore_offline(&options, &Silent).is_ok();
        if restored {
            assert_eq!(compare(&self.content, &read_cluster(&[&place.target])?), [""; 0]);
        } else {
            assert!(!place.target.join("_dbs.couch").exists());
        }
        if place.target.exists() {
            fs::remove_dir_all(&place.target)?;
        }
        Ok(restored)
    }
}

/// Where one thread works.
struct Place {
    archive: PathBuf,
    target: PathBuf,
}

impl Place {
    fn new(folder: &Path, number: usize) -> Self {
        Self {
            archive: folder.join(format!("{number}.tar.gz")),
            target: folder.join(format!("target-{number}")),
        }
    }
}

/// Calls `work` with every number up to `count`, on two threads.
fn for_each(sample: &Sample, count: usize, work: impl Fn(usize, &Place) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (next, work) = (&next, &work);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|number| {
                scope.spawn(move || -> Result<()> {
                    let place = Place::new(sample.dir.path(), number);
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        if i >= count {
                            return Ok(());
                        }
                        work(i, &place).map_err(|e| format!("number {i}: {e}"))?;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    })
}

fn assert_modest_memory() -> Result<()> {
    let peak = memory::own_peak()?;
    assert!(peak <= MEMORY, "{peak} KiB");
    Ok(())
}

#[test]
fn an_archive_cut_short() -> Result<()> {
    // What lacks its footer only is a whole .tar.gz.
    assert!(cut(&Sample::make()?)? <= 1);
    assert_eq!(cut(&Sample::foreign()?)?, 0);
    assert_modest_memory()
}

/// Tries every prefix worth trying; tells how many passed.
fn cut(sample: &Sample) -> Result<usize> {
    let len = sample.bytes.len();
    let mut ends: Vec<usize> = (0..len).step_by(1024).collect();
    ends.extend(len.saturating_sub(4096)..len);
    ends.sort_unstable();
    ends.dedup();
    let passed = AtomicUsize::new(0);
    for_each(sample, ends.len(), |i, place| {
        let whole = sample.verify(&sample.bytes[..ends[i]], place)?;
        passed.fetch_add(usize::from(whole), Ordering::Relaxed);
        if whole || i % RESTORED == 0 {
            sample.restore(place)?;
        }
        Ok(())
    })?;
    Ok(passed.into_inner())
}

#[test]
fn flipped_bits() -> Result<()> {
    flip(&Sample::make()?, FLIPS)?;
    flip(&Sample::foreign()?, FLIPS / 5)?;
    assert_modest_memory()
}

/// Flips so many bits, one at a time.
fn flip(sample: &Sample, flips: usize) -> Result<()> {
    let bits = sample.bytes.len() as u64 * 8;
    let (passed, restored) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for_each(sample, flips, |i, place| {
        let bit = random::nth(i as u64 + 1) % bits;
        let mut bytes = sample.bytes.clone();
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        let whole = sample.verify(&bytes, place).map_err(|e| format!("bit {bit}: {e}"))?;
        passed.fetch_add(usize::from(whole), Ordering::Relaxed);
        if whole || i % RESTORED == 0 {
            let done = sample.restore(place).map_err(|e| format!("bit {bit}: {e}"))?;
            restored.fetch_add(usize::from(done), Ordering::Relaxed);
        }
        Ok(())
    })?;
    println!("{passed:?} of {flips} flips changed nothing that counts, {restored:?} were restored");
    assert!(passed.into_inner() < flips / 10);
    Ok(())
}

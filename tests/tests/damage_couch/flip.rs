//! Bits flipped and bytes overwritten.

use std::time::{Duration, Instant};

use couchcopy_tests::random::SplitMix;
use couchcopy_tests::{Result, fixtures};
use couchfile::view::ViewIndex;

use super::walk::{assert_modest_memory, walk};

/// Small files with everything in them: conflicts, attachments, local documents, purges, plain and packed nodes.
const FILES: [&str; 8] = [
    "pre/data/shards/00000000-7fffffff/basic.1795356995.couch",
    "pre/data/shards/80000000-ffffffff/basic.1795356995.couch",
    "pre/data/shards/00000000-ffffffff/purge.1795356995.couch",
    "pre/data/shards/00000000-ffffffff/conf.1795356995.couch",
    "post/data/shards/00000000-ffffffff/purge.1795356995.couch",
    "post/data/_dbs.couch",
    "special/none.1795357070.couch",
    "special/defl.1795357070.couch",
];
/// Damages tried per file.
const CASES: usize = 1500;
/// Longest time that one of them may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn read(path: &str) -> Result<Vec<u8>> {
    let files = fixtures::couch_files()?;
    Ok(std::fs::read(files.special("..").join(path))?)
}

/// Damages a file in one of several ways; says how.
fn damage(bytes: &mut Vec<u8>, numbers: &mut SplitMix) -> String {
    let at = numbers.below(bytes.len());
    match numbers.below(8) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            let len = numbers.below(64).min(bytes.len() - at);
            bytes[at..at + len].fill_with(|| numbers.next() as u8);
            format!("{len} random bytes at {at}")
        }
        2 => {
            let len = numbers.below(4096).min(bytes.len() - at);
            bytes[at..at + len].fill(0);
            format!("{len} zeros at {at}")
        }
        3 => {
            bytes[at..].iter_mut().take(4).for_each(|byte| *byte = 0xff);
            format!("a huge number at {at}")
        }
        _ => {
            let bit = numbers.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of {at} flipped")
        }
    }
}

#[test]
fn what_the_check_calls_whole_is_the_original() -> Result<()> {
    for (seed, path) in FILES.iter().enumerate() {
        let original = read(path)?;
        let good = walk(&original)?;
        assert!(good.whole, "{path}");
        let mut numbers = SplitMix(seed as u64);
        let mut found = 0;
        for case in 0..CASES {
            let mut bytes = original.clone();
            let how = damage(&mut bytes, &mut numbers);
            let begin = Instant::now();
            let walked = walk(&bytes);
            assert!(begin.elapsed() < PATIENCE, "{path}, {case}: {how}: {:?}", begin.elapsed());
            match walked {
                // Where the last header is damaged, an older state is read: nothing tells that there was a newer one.
                Ok(walked) if walked.whole && walked.header == good.header => {
                    assert_eq!(walked, good, "{path}, {case}: {how}");
                }
                Ok(_) | Err(_) => found += 1,
            }
        }
        assert!(found > CASES / 20, "{path}: {found}");
    }
    assert_modest_memory()
}

#[test]
fn every_byte_of_small_files() -> Result<()> {
    for path in ["special/none.1795357070.couch", "post/data/shards/00000000-ffffffff/purge.1795356995.couch"]
    {
        let original = read(path)?;
        let good = walk(&original)?;
        for at in 0..original.len() {
            let mut bytes = original.clone();
            bytes[at] ^= 1 << (at % 8);
            let Ok(walked) = walk(&bytes) else { continue };
            if walked.whole && walked.header == good.header {
                assert_eq!(walked, good, "{path}: bit {} of {at}", at % 8);
            }
        }
    }
    assert_modest_memory()
}

#[test]
fn damaged_view_indexes_open_or_not() -> Result<()> {
    let path = "pre/data/.shards/00000000-7fffffff/basic.1795356995_design/mrview/e86ec2c0eb8708826eafb048fc701e24.view";
    let original = read(path)?;
    let mut numbers = SplitMix(99);
    for case in 0..CASES {
        let mut bytes = original.clone();
        let how = damage(&mut bytes, &mut numbers);
        let begin = Instant::now();
        let _ = ViewIndex::open(bytes);
        assert!(begin.elapsed() < PATIENCE, "{case}: {how}");
    }
    assert_modest_memory()
}

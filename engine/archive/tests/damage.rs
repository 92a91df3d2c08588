//! Damaged archives end in an error or in the right content, never in anything else.
#![allow(missing_docs)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use archive::{ArchiveError, IndexedArchive, METADATA, Result, SequentialArchive};
use common::{Collector, Contents, bytes, metadata, sample, write};

/// Opens, visits and collects as a restore does.
fn visit(archive: &Arc<Vec<u8>>) -> Result<Contents> {
    let collector = Collector::default();
    match IndexedArchive::from_source(archive.clone(), "damaged.tar.gz")? {
        Some(indexed) => indexed.visit(1, &|_| true, &collector)?,
        None => {
            SequentialArchive::from_source(archive.clone(), "damaged.tar.gz").visit(1, &collector)?;
        }
    }
    Ok(collector.contents.into_inner().unwrap())
}

/// Opens, verifies and collects.
fn verify(archive: &Arc<Vec<u8>>) -> Result<Contents> {
    let collector = Collector::default();
    if let Some(indexed) = IndexedArchive::from_source(archive.clone(), "damaged.tar.gz")? {
        indexed.verify(1, &collector)?;
    }
    Ok(collector.contents.into_inner().unwrap())
}

/// Whether this is the right content or an error.
fn check(archive: Vec<u8>, expected: &Contents, what: &str) -> bool {
    let archive = Arc::new(archive);
    let result = visit(&archive);
    if let Ok(contents) = &result {
        assert!(contents == expected, "{what}: other content");
    }
    if let Ok(contents) = verify(&archive) {
        assert!(contents.is_empty() || contents == *expected, "{what}: other content after verify");
        assert!(contents.is_empty() || result.is_ok(), "{what}: verified, but cannot be read");
    }
    result.is_ok()
}

fn small_archive() -> (Contents, Vec<u8>) {
    let mut entries = sample(2048);
    entries.retain(|name, _| !name.contains("small02"));
    let archive = write(&entries, 2, 6, 2048);
    (entries, archive)
}

/// Runs `0..count` on two threads.
fn on_two_threads(count: usize, step: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && index < count
                {
                    step(index);
                }
            });
        }
    });
}

#[test]
fn cut_at_every_kib_and_every_byte_of_the_end() {
    let (expected, archive) = small_archive();
    let length = archive.len();
    let mut cuts: Vec<usize> = (0..length).step_by(1024).collect();
    cuts.extend(length.saturating_sub(4096)..length);
    on_two_threads(cuts.len(), |index| {
        let cut = cuts[index];
        let whole = check(archive[..cut].to_vec(), &expected, &format!("cut at {cut}"));
        // All that may be missing is the footer.
        assert!(!whole || cut == length - archive::FOOTER_LENGTH, "cut at {cut}");
    });
}

#[test]
fn a_cut_is_called_a_cut() {
    let (_, archive) = small_archive();
    for cut in [0, archive.len() / 3, archive.len() / 2] {
        let error = visit(&Arc::new(archive[..cut].to_vec())).unwrap_err();
        assert!(matches!(error, ArchiveError::Truncated { .. }), "{error}");
    }
}

#[test]
fn ten_thousand_flipped_bits() {
    let (expected, archive) = small_archive();
    let right = AtomicUsize::new(0);
    on_two_threads(10_000, |index| {
        let mut state = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state ^= state >> 29;
        state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state ^= state >> 32;
        let bit = (state % (archive.len() as u64 * 8)) as usize;
        let mut damaged = archive.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if check(damaged, &expected, &format!("bit {bit}")) {
            right.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Times and such in gzip headers, and the footer, are all that does not matter.
    assert!(right.load(Ordering::Relaxed) < 1000, "{right:?}");
}

#[test]
fn every_flipped_bit_of_the_last_kib() {
    let (expected, archive) = small_archive();
    let bits = 8 * 1024;
    on_two_threads(bits, |index| {
        let mut damaged = archive.clone();
        let bit = 8 * archive.len() - bits + index;
        damaged[bit / 8] ^= 1 << (bit % 8);
        check(damaged, &expected, &format!("bit {bit}"));
    });
}

#[test]
fn swapped_removed_and_repeated_members() {
    let (expected, archive) = small_archive();
    let starts: Vec<usize> = (0..archive.len() - 4)
        .filter(|&at| archive[at..].starts_with(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]))
        .chain([archive.len() - archive::FOOTER_LENGTH])
        .collect();
    assert!(starts.len() > 20);
    for pair in starts.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let removed = [&archive[..from], &archive[to..]].concat();
        check(removed, &expected, &format!("without {from}..{to}"));
        let repeated = [&archive[..to], &archive[from..]].concat();
        check(repeated, &expected, &format!("{from}..{to} twice"));
    }
    for triple in starts.windows(3) {
        let (first, second, end) = (triple[0], triple[1], triple[2]);
        let swapped =
            [&archive[..first], &archive[second..end], &archive[first..second], &archive[end..]].concat();
        assert!(!check(swapped, &expected, &format!("swapped at {first}")), "swapped at {first}");
    }
}

#[test]
fn one_archive_after_another_is_refused() {
    let mut entries = Contents::new();
    entries.insert(METADATA.to_owned(), metadata());
    entries.insert("data/_dbs.couch".to_owned(), bytes(1, 100));
    let archive = write(&entries, 1, 1, 1024);
    let twice = Arc::new([archive.as_slice(), &archive].concat());
    assert!(verify(&twice).is_err());
    assert!(visit(&twice).is_err());
    let followed = Arc::new([archive.as_slice(), b"garbage"].concat());
    assert!(visit(&followed).is_err());
}

//! A large entry that is verified while it is read at any offset.
#![allow(missing_docs)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use archive::{ArchiveError, IndexedArchive, Location};
use common::{Contents, Counting, bytes, metadata, write};
use couchfile::read_at::ReadAt;

const CHUNK: usize = 2048;
const NAME: &str = "data/shards/00000000-ffffffff/large.1795355234.couch";
const OTHER: &str = "data/shards/00000000-ffffffff/zother.1795355234.couch";

fn archive(content: &[u8]) -> Vec<u8> {
    let mut entries = Contents::new();
    entries.insert("metadata.yaml".to_owned(), metadata());
    entries.insert("data/_dbs.couch".to_owned(), bytes(1, 100));
    entries.insert(NAME.to_owned(), content.to_vec());
    entries.insert(OTHER.to_owned(), bytes(3, 7 * CHUNK));
    write(&entries, 2, 1, CHUNK)
}

fn open(archive: Vec<u8>) -> IndexedArchive {
    IndexedArchive::from_source(Counting::new(archive), "test").unwrap().unwrap()
}

#[test]
fn what_is_read_is_the_content_whatever_is_read() {
    for size in [CHUNK + 1, 3 * CHUNK, 40 * CHUNK + 17] {
        let content = bytes(9, size);
        let archive = open(archive(&content));
        for (threads, reads) in [(1, 0), (1, 5), (3, 1000)] {
            let verified = AtomicU64::new(0);
            let count = |bytes| _ = verified.fetch_add(bytes, Ordering::Relaxed);
            let reader = archive.open_to_verify(NAME, &count).unwrap().unwrap();
            assert_eq!(ReadAt::len(&reader), size as u64);
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let (reader, content) = (&reader, &content);
                    scope.spawn(move || {
                        for read in 0..reads {
                            let at = (read * 7919 + thread * 131) % size;
                            let mut buf = vec![0; (read * 37 % (2 * CHUNK)).min(size - at)];
                            reader.read_exact_at(&mut buf, at as u64).unwrap();
                            assert_eq!(buf, content[at..at + buf.len()]);
                        }
                    });
                }
            });
            reader.finish(threads).unwrap();
            assert_eq!(verified.into_inner(), size as u64, "every byte is reported once");
        }
    }
}

#[test]
fn small_and_missing_entries_are_none() {
    let archive = open(archive(&bytes(9, 3 * CHUNK)));
    assert!(archive.open_to_verify("data/_dbs.couch", &|_| {}).unwrap().is_none());
    assert!(archive.open_to_verify("data/shards/x", &|_| {}).unwrap().is_none());
}

/// Every chunk is decompressed once if it is read in order.
#[test]
fn the_archive_is_read_once() {
    let source = Counting::new(archive(&bytes(9, 40 * CHUNK)));
    let archive = IndexedArchive::from_source(source.clone(), "test").unwrap().unwrap();
    let Location::Large { header, chunks, .. } = archive.find(NAME).unwrap().unwrap().at else { panic!() };
    let members = header + chunks.iter().map(|length| u64::from(*length)).sum::<u64>();
    archive.open(NAME).unwrap();
    source.take_count();
    let reader = archive.open_to_verify(NAME, &|_| {}).unwrap().unwrap();
    let mut buf = vec![0; 100];
    for at in (0..30 * CHUNK).step_by(300) {
        reader.read_exact_at(&mut buf, at as u64).unwrap();
    }
    reader.finish(2).unwrap();
    assert_eq!(source.take_count(), members);
}

#[test]
fn damage_is_found_in_what_is_read_and_in_what_is_not() {
    let intact = archive(&bytes(9, 20 * CHUNK));
    let at = open(intact.clone()).find(NAME).unwrap().unwrap().at;
    let Location::Large { start, header, chunks } = at else { panic!("it is large") };
    let mut offset = start + header;
    for (index, length) in chunks.into_iter().enumerate() {
        let mut damaged = intact.clone();
        damaged[(offset + u64::from(length) / 2) as usize] ^= 4;
        offset += u64::from(length);
        for read in [false, true] {
            let reader = open(damaged.clone()).open_to_verify(NAME, &|_| {}).unwrap().unwrap();
            if read {
                let mut buf = [0; 10];
                let error = reader.read_exact_at(&mut buf, (index * CHUNK) as u64).unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
                assert!(reader.read_exact_at(&mut buf, (index * CHUNK) as u64).is_err(), "once more");
            }
            let error = reader.finish(2).unwrap_err();
            assert!(matches!(error, ArchiveError::DamagedMember { .. }), "{error}");
        }
    }
}

/// Bytes that do not compress, so that all chunks have members of the same length.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..7 * CHUNK).map(|_| next()).collect()
}

/// The chunks of another entry are intact, but not those that the manifest means.
#[test]
fn content_with_another_hash_is_refused() {
    let (one, other) = (noise(9), noise(10));
    let (intact, swapped) = (archive(&one), archive(&other));
    let place = |archive: &[u8]| {
        let Location::Large { start, header, chunks } =
            open(archive.to_vec()).find(NAME).unwrap().unwrap().at
        else {
            panic!("it is large")
        };
        (start + header, chunks)
    };
    let ((from, lengths), (other_from, other_lengths)) = (place(&intact), place(&swapped));
    // One chunk of the same compressed length in place of the other.
    let mut offsets = (from, other_from);
    for (index, (length, other_length)) in lengths.into_iter().zip(other_lengths).enumerate() {
        if length == other_length {
            let mut mixed = intact.clone();
            let (at, taken) = (offsets.0 as usize, offsets.1 as usize);
            mixed[at..at + length as usize].copy_from_slice(&swapped[taken..taken + length as usize]);
            let reader = open(mixed).open_to_verify(NAME, &|_| {}).unwrap().unwrap();
            let error = reader.finish(1).unwrap_err();
            assert!(error.to_string().contains("hash"), "{index}: {error}");
            return;
        }
        offsets = (offsets.0 + u64::from(length), offsets.1 + u64::from(other_length));
    }
    panic!("no two chunks are equally long: choose other contents");
}

//! Entries that come as streams: what comes next from a place only comes when what was before is read.
#![allow(missing_docs)]

mod common;

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use archive::{ArchiveError, ArchiveWriter, EntrySource, Facts, METADATA, Opened, WriterOptions};
use common::{MTIME, bytes, metadata, verified};
use couchfile::read_at::ReadAt;

const CHUNK: usize = 1024;

/// Files that come one after the other: each waits for the one before to be read whole.
#[derive(Default)]
struct Place {
    /// Number of the file that is passing, and how much of it has passed.
    state: Mutex<(usize, u64)>,
    moved: Condvar,
    given_up: Mutex<bool>,
}

impl Place {
    fn wait_for(&self, number: usize, offset: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        while *state != (number, offset) {
            if *self.given_up.lock().unwrap() {
                return Err(io::Error::other("given up"));
            }
            assert!(*state < (number, offset), "{number} at {offset} is asked for, but {state:?} has passed");
            state = self.moved.wait_timeout(state, std::time::Duration::from_millis(50)).unwrap().0;
        }
        Ok(())
    }

    fn advance(&self, to: (usize, u64)) {
        *self.state.lock().unwrap() = to;
        self.moved.notify_all();
    }
}

/// A file of a place.
struct Passing {
    place: Arc<Place>,
    number: usize,
    name: String,
    content: Vec<u8>,
    breaks_at: Option<u64>,
}

impl EntrySource for Passing {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, outcome::Failure> {
        self.place.wait_for(self.number, 0).map_err(|e| outcome::Failure::io("open", "a part", e))?;
        let name = self.name.clone();
        if self.content.len() <= CHUNK / 2 {
            buf.extend_from_slice(&self.content);
            self.place.advance((self.number + 1, 0));
            return Ok(Opened::Small { name, mtime: MTIME, facts: Facts::Other, seen: None });
        }
        let (place, number) = (Arc::clone(&self.place), self.number);
        let facts = move || {
            let state = *place.state.lock().unwrap();
            assert!(state >= (number + 1, 0), "asked for facts at {state:?}");
            Facts::ShardMaps { node: None, maps: number as u64, uuid: None, seq: 0, header: 0 }
        };
        Ok(Opened::Stream { name, mtime: MTIME, data: Box::new(self), facts: Box::new(facts), seen: None })
    }
}

impl ReadAt for Passing {
    fn len(&self) -> u64 {
        self.content.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.place.wait_for(self.number, offset)?;
        if self.breaks_at.is_some_and(|at| offset >= at) {
            return Err(io::Error::other("the line broke"));
        }
        self.content.as_slice().read_exact_at(buf, offset)?;
        let end = offset + buf.len() as u64;
        let whole = end == self.len();
        self.place.advance(if whole { (self.number + 1, 0) } else { (self.number, end) });
        Ok(())
    }
}

/// Files at three places, large ones and small ones in all sorts of neighbourhoods.
fn sources(seed: usize, breaks_at: Option<u64>) -> Vec<Passing> {
    let places: Vec<Arc<Place>> = (0..3).map(|_| Arc::default()).collect();
    let mut numbers = [0; 3];
    let sizes = [0, 100, 500, 600, CHUNK, CHUNK + 1, 5 * CHUNK, 3 * CHUNK - 1, 10, 300];
    (0..300)
        .map(|i| {
            let dice = (i * 7919 + seed * 104_729) / 13;
            let place = dice % 3;
            let number = numbers[place];
            numbers[place] += 1;
            let size = if seed.is_multiple_of(2) {
                sizes[(dice / 3) % sizes.len()]
            } else {
                [40, 9 * CHUNK][usize::from(i % 20 == 3)]
            };
            Passing {
                place: Arc::clone(&places[place]),
                number,
                name: format!("data/shards/{i:05}"),
                content: bytes(i as u64, size),
                breaks_at: breaks_at.filter(|_| i == 150),
            }
        })
        .collect()
}

fn write(sources: Vec<Passing>, threads: usize) -> Result<Vec<u8>, ArchiveError> {
    let places: Vec<Arc<Place>> = sources.iter().map(|source| Arc::clone(&source.place)).collect();
    let mut writer = ArchiveWriter::with_chunk_size(Vec::new(), WriterOptions { level: 1, threads }, CHUNK);
    writer.add_bytes(METADATA, MTIME, Facts::Metadata, &metadata())?;
    let give_up = || {
        for place in &places {
            *place.given_up.lock().unwrap() = true;
        }
    };
    writer.add_all_waiting(sources.into_iter(), &|_| {}, &give_up)?;
    Ok(writer.finish(serde_json::Value::Null)?.out)
}

#[test]
fn whoever_waits_gets_its_turn() {
    for seed in 0..40 {
        let expected: Vec<(String, Vec<u8>)> =
            sources(seed, None).into_iter().map(|source| (source.name, source.content)).collect();
        for threads in [1, 2, 3, 7] {
            let archive = write(sources(seed, None), threads).unwrap();
            let mut found = verified(&archive).unwrap();
            found.remove(METADATA);
            assert!(found.into_iter().eq(expected.iter().cloned()), "{seed}, {threads} threads");
        }
    }
}

#[test]
fn facts_are_asked_for_in_the_end() {
    let archive = write(sources(0, None), 3).unwrap();
    let archive = common::indexed(&archive);
    let late =
        archive.entries().filter(|entry| matches!(entry.as_ref().unwrap().facts, Facts::ShardMaps { .. }));
    assert!(late.count() > 50);
}

#[test]
fn a_line_that_breaks_ends_everything() {
    for threads in [1, 2, 3, 7] {
        let mut sources = sources(1, Some(2 * CHUNK as u64));
        sources[150].content = bytes(1, 9 * CHUNK);
        let error = write(sources, threads).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("the line broke"), "{error}");
    }
}

//! The threads that take small files off the decompressing one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use outcome::Lock;

use super::manifest::check_value;
use super::tar_entries::TarEntry;
use crate::error::{ArchiveError, Result};
use crate::visitor::{EntryInfo, Visitor};

/// Bytes of content that wait for a thread, or are with one.
const BYTES_IN_FLIGHT: usize = 32 << 20;
/// What a file costs in addition to its content, in bytes.
const OVERHEAD: usize = 4096;

struct File {
    index: usize,
    entry: TarEntry,
    content: Vec<u8>,
}

impl File {
    fn weight(&self) -> usize {
        self.content.len() + OVERHEAD
    }
}

/// Visits small files on threads.
pub(super) struct Workers<'v> {
    visitor: &'v dyn Visitor,
    failed: AtomicBool,
    state: Mutex<State>,
    /// There is a file to visit, or there will be none.
    work: Condvar,
    /// A file has been visited, or there is no use in waiting for that.
    freed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<File>,
    in_flight: usize,
    /// No more files will come.
    ended: bool,
    error: Option<ArchiveError>,
    /// By number of the file.
    check_values: Vec<u64>,
}

impl<'v> Workers<'v> {
    pub(super) fn new(visitor: &'v dyn Visitor) -> Self {
        Self {
            visitor,
            failed: AtomicBool::new(false),
            state: Mutex::default(),
            work: Condvar::new(),
            freed: Condvar::new(),
        }
    }

    /// Runs `feed` on this thread, which sends files, and waits until all of them are visited.
    ///
    /// Fails with the error of `feed`, or with the first of a visitor.
    pub(super) fn run<T>(&self, threads: usize, feed: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = std::thread::scope(|scope| {
            // The threads come to an end even where `feed` panics.
            let _end = End(self);
            for _ in 0..threads {
                scope.spawn(|| self.work());
            }
            feed()
        });
        match self.lock().error.take() {
            Some(error) => Err(error),
            None => result,
        }
    }

    /// Hands over a file; waits while too many bytes are in flight.
    pub(super) fn send(&self, index: usize, entry: TarEntry, content: Vec<u8>) {
        let file = File { index, entry, content };
        let mut state = self.lock();
        while state.in_flight > 0
            && state.in_flight.saturating_add(file.weight()) > BYTES_IN_FLIGHT
            && !self.failed()
        {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.in_flight += file.weight();
        state.waiting.push_back(file);
        drop(state);
        self.work.notify_one();
    }

    /// Keeps what the manifest will be compared with.
    pub(super) fn add_check_value(&self, index: usize, value: u64) {
        self.lock().add_check_value(index, value);
    }

    /// The check values of all files, in order.
    pub(super) fn into_check_values(self) -> Vec<u64> {
        self.state.into_content().check_values
    }

    /// Whether there is no use in going on.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.locked()
    }

    fn work(&self) {
        let _tell = TellPanic(self);
        while let Some(file) = self.next() {
            let weight = file.weight();
            let result = if self.failed() { Ok(None) } else { self.visit(&file).map(Some) };
            drop(file.content);
            let mut state = self.lock();
            state.in_flight = state.in_flight.saturating_sub(weight);
            match result {
                Ok(Some(value)) => state.add_check_value(file.index, value),
                Ok(None) => {}
                Err(error) => {
                    state.error.get_or_insert(error);
                    self.failed.store(true, Ordering::Relaxed);
                }
            }
            drop(state);
            self.freed.notify_one();
        }
    }

    fn next(&self) -> Option<File> {
        let mut state = self.lock();
        loop {
            if let Some(file) = state.waiting.pop_front() {
                return Some(file);
            }
            if state.ended {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn visit(&self, file: &File) -> Result<u64> {
        let hash = blake3::hash(&file.content);
        let info = EntryInfo {
            name: &file.entry.name,
            size: file.entry.size,
            mtime: file.entry.mtime,
            blake3: Some(hash),
            facts: None,
        };
        self.visitor.small(&info, &file.content).map_err(ArchiveError::Visit)?;
        Ok(check_value(&file.entry.name, file.entry.size, &hash))
    }
}

impl State {
    fn add_check_value(&mut self, index: usize, value: u64) {
        if self.check_values.len() <= index {
            self.check_values.resize(index + 1, 0);
        }
        if let Some(place) = self.check_values.get_mut(index) {
            *place = value;
        }
    }
}

/// Tells the threads that nothing more comes.
struct End<'a, 'v>(&'a Workers<'v>);

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.work.notify_all();
    }
}

/// Stops the feeding thread if a visitor panics: no other thread would free what it waits for.
struct TellPanic<'a, 'v>(&'a Workers<'v>);

impl Drop for TellPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let state = self.0.lock();
            self.0.failed.store(true, Ordering::Relaxed);
            drop(state);
            self.0.freed.notify_all();
        }
    }
}

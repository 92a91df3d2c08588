//! A large file in transfer from a node into the archive: one thread delivers it, the archive's threads read it, in order.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use couchfile::header::HeaderScan;
use couchfile::read_at::{ReadAt, check_range};

/// Bytes delivered at a time.
pub(super) const PIECE: usize = 256 << 10;
/// Pieces that may wait.
const WAITING: usize = 8;

/// The side that delivers the file.
pub(super) struct Feeder(Arc<Shared>);

/// The side that reads the file. Every byte can be read once; a reader that is too early waits.
pub(crate) struct Passing(Arc<Shared>);

/// What has been found out about a file in transfer.
#[derive(Clone)]
pub(crate) struct Passed(Arc<Shared>);

/// Why a file in transfer did not arrive completely.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path} of {node}: {why}")]
pub(super) struct BrokenOff {
    pub(super) node: String,
    pub(super) path: String,
    pub(super) why: String,
}

struct Shared {
    len: u64,
    node: String,
    path: String,
    state: Mutex<State>,
    changed: Condvar,
    scan: Mutex<HeaderScan>,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that have been read.
    taken: usize,
    /// Offset of the next byte to be read.
    position: u64,
    /// Whether bytes are being read at the moment.
    busy: bool,
    /// Why no more bytes will arrive.
    broken: Option<String>,
    /// Whether the reader has ended.
    abandoned: bool,
}

/// Both sides of a file of this length in bytes. Node and path are for messages.
pub(super) fn passage(len: u64, node: String, path: String) -> (Feeder, Passing) {
    let shared = Arc::new(Shared {
        len,
        node,
        path,
        state: Mutex::default(),
        changed: Condvar::new(),
        scan: Mutex::default(),
    });
    (Feeder(Arc::clone(&shared)), Passing(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, why: &str) -> io::Error {
        let (node, path) = (self.node.clone(), self.path.clone());
        io::Error::other(BrokenOff { node, path, why: why.to_owned() })
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feeder {
    /// Delivers the complete content; `false` if the reader has ended.
    ///
    /// Fails if the content ends too early.
    pub(super) fn feed(self, content: &mut dyn io::Read) -> io::Result<bool> {
        let mut left = self.0.len;
        while left > 0 {
            let mut piece = vec![0; left.min(PIECE as u64) as usize];
            if let Err(e) = content.read_exact(&mut piece) {
                let come = self.0.len - left;
                let why = format!("{e} after {come} of {} bytes", self.0.len);
                self.0.lock().broken = Some(why.clone());
                return Err(io::Error::new(e.kind(), why));
            }
            left -= piece.len() as u64;
            self.0.scan.lock().unwrap_or_else(PoisonError::into_inner).put(&piece);
            let mut state = self.0.lock();
            while state.pieces.len() >= WAITING && !state.abandoned {
                state = self.0.wait(state);
            }
            if state.abandoned {
                return Ok(false);
            }
            state.pieces.push_back(piece);
            drop(state);
            self.0.changed.notify_all();
        }
        Ok(true)
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        // Where all has come, nobody looks at it.
        self.0.lock().broken.get_or_insert_with(|| "the transfer broke off".into());
        self.0.changed.notify_all();
    }
}

impl Passing {
    /// What is known after the complete transfer.
    pub(super) fn passed(&self) -> Passed {
        Passed(Arc::clone(&self.0))
    }
}

impl Passed {
    /// Reports the headers in the transferred bytes.
    pub(super) fn look<T>(&self, at: impl FnOnce(&HeaderScan) -> T) -> T {
        at(&self.0.scan.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ReadAt for Passing {
    fn len(&self) -> u64 {
        self.0.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.0.len, buf.len(), offset)?;
        let mut state = self.0.lock();
        while state.position < offset || (state.busy && state.position == offset) {
            // Whoever had the turn may have failed.
            if let Some(why) = state.broken.as_ref().filter(|_| !state.busy && state.pieces.is_empty()) {
                return Err(self.0.error(why));
            }
            state = self.0.wait(state);
        }
        if state.position > offset {
            return Err(io::Error::other("these bytes have been read already"));
        }
        state.busy = true;
        let mut filled = 0;
        let mut read = Ok(());
        while filled < buf.len() {
            let now = &mut *state;
            let Some(first) = now.pieces.front() else {
                if let Some(why) = &now.broken {
                    read = Err(self.0.error(why));
                    break;
                }
                state = self.0.wait(state);
                continue;
            };
            let from = first.get(now.taken..).unwrap_or_default();
            let count = from.len().min(buf.len() - filled);
            buf[filled..filled + count].copy_from_slice(&from[..count]);
            filled += count;
            now.taken += count;
            if now.taken == first.len() {
                now.pieces.pop_front();
                now.taken = 0;
                self.0.changed.notify_all();
            }
        }
        state.busy = false;
        // Whoever has to wait for the next turn waits for this.
        state.position += filled as u64;
        drop(state);
        self.0.changed.notify_all();
        read
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.abandoned = true;
        state.pieces.clear();
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(len: usize) -> Vec<u8> {
        (0..len as u32).map(|i| (i >> 3) as u8).collect()
    }

    #[test]
    fn threads_take_it_in_any_order_of_coming() {
        let all = content(5 << 20);
        let (feeder, passing) = passage(all.len() as u64, String::new(), String::new());
        std::thread::scope(|scope| {
            let feeding = scope.spawn(|| feeder.feed(&mut all.as_slice()));
            let readers: Vec<_> = (0..5)
                .rev()
                .map(|i: u64| {
                    let passing = &passing;
                    scope.spawn(move || {
                        let mut buf = vec![0; 1 << 20];
                        passing.read_exact_at(&mut buf, i << 20).map(|()| (i as usize, buf))
                    })
                })
                .collect();
            for reader in readers {
                let (i, buf) = reader.join().unwrap().unwrap();
                assert!(buf == all[i << 20..(i + 1) << 20]);
            }
            assert!(feeding.join().unwrap().unwrap());
        });
        assert_eq!(passing.passed().look(HeaderScan::len), all.len() as u64);
        assert!(passing.read_exact_at(&mut [0], 0).is_err());
    }

    #[test]
    fn what_breaks_off_is_told_to_all_who_wait() {
        let all = content(3 << 20);
        let (feeder, passing) = passage(4 << 20, String::new(), String::new());
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..4)
                .map(|i| {
                    let passing = &passing;
                    scope.spawn(move || passing.read_exact_at(&mut vec![0; 1 << 20], i << 20))
                })
                .collect();
            assert!(feeder.feed(&mut all.as_slice()).is_err());
            let ended: Vec<bool> = readers.into_iter().map(|r| r.join().unwrap().is_ok()).collect();
            assert_eq!(ended, [true, true, true, false]);
        });
    }

    #[test]
    fn nobody_feeds_what_nobody_takes() {
        let all = content(9 << 20);
        let (feeder, passing) = passage(all.len() as u64, String::new(), String::new());
        std::thread::scope(|scope| {
            let feeding = scope.spawn(|| feeder.feed(&mut all.as_slice()));
            passing.read_exact_at(&mut [0; 10], 0).unwrap();
            drop(passing);
            assert!(!feeding.join().unwrap().unwrap());
        });
    }
}

//! One stream of files from a node, read by a thread of its own ahead of those who want the files.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contents::SMALL;
use node::{NodeError, NodeFiles, PackedFile, Packing};

use super::passing::{Passing, passage};

/// Pauses before a stream that broke is started again; the count starts again with every file that arrives.
pub(crate) const PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// Receives notices from any thread.
pub(super) type Notify = Arc<dyn Fn(String) + Send + Sync>;

/// A file as it arrived.
pub(super) enum Arrived {
    /// A complete small file.
    Small {
        /// Its content, as it was when its reading began.
        bytes: Vec<u8>,
        /// Time of its last change, in seconds since 1970.
        mtime: u64,
    },
    /// A file too large for memory: it is being transferred.
    Large {
        /// Its content.
        content: Passing,
        /// Time of its last change, in seconds since 1970.
        mtime: u64,
    },
}

/// The result of a requested file.
pub(super) enum Taken {
    /// The file arrived.
    Arrived(Arrived),
    /// The stream continued without the file: it did not exist at that time, or could not be read.
    NotThere,
    /// The stream has failed permanently; [`Lane::failure`] returns the reason.
    Failed,
}

/// A stream of files. It ends when it is dropped, except for a large file that is still being read.
pub(super) struct Lane {
    shared: Arc<Shared>,
}

struct Shared {
    /// The paths, in ascending order.
    paths: Vec<String>,
    /// Bytes of small files that may wait.
    budget: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: HashMap<usize, Arrived>,
    /// Bytes of the waiting small files.
    bytes: usize,
    /// Number of the first path that has not arrived and may still arrive.
    next: usize,
    /// The number of the path of the large file that is being transferred, or that has been transferred and is not confirmed yet
    /// by what follows it.
    passing: Option<usize>,
    /// A small file that is not confirmed yet by what follows it.
    last: Option<(usize, Arrived)>,
    ended: bool,
    failed: bool,
    failure: Option<NodeError>,
    stop: bool,
}

impl Lane {
    /// Begins to read files by their paths below a directory, in ascending order.
    pub(super) fn start(
        files: Arc<dyn NodeFiles>,
        folder: PathBuf,
        paths: Vec<String>,
        budget: usize,
        notify: Notify,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { paths, budget, state: Mutex::default(), changed: Condvar::new() });
        let reader = Reader { shared: Arc::clone(&shared), files, folder, notify };
        std::thread::Builder::new().name("files of a node".into()).spawn(move || reader.run())?;
        Ok(Self { shared })
    }

    /// Whether the file belongs to this stream.
    pub(super) fn number(&self, path: &str) -> Option<usize> {
        self.shared.paths.binary_search_by(|other| other.as_str().cmp(path)).ok()
    }

    /// Waits for the file with this number and takes it. Each file can be taken once.
    pub(super) fn take(&self, number: usize) -> Taken {
        let mut state = self.shared.lock();
        loop {
            if let Some(arrived) = state.waiting.remove(&number) {
                if let Arrived::Small { bytes, .. } = &arrived {
                    state.bytes = state.bytes.saturating_sub(bytes.len());
                }
                drop(state);
                self.shared.changed.notify_all();
                return Taken::Arrived(arrived);
            }
            if number < state.next {
                return Taken::NotThere;
            }
            if state.failed || state.stop || state.ended {
                return Taken::Failed;
            }
            state = self.shared.wait(state);
        }
    }

    /// Ends the stream and all waits for its files.
    pub(super) fn stop(&self) {
        let mut state = self.shared.lock();
        state.stop = true;
        // Before the lock is given back: a large file among them lets its reader go.
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
        self.shared.changed.notify_all();
    }

    /// Why the stream failed; returned once. Waits briefly for the end of a stream that was just interrupted.
    pub(super) fn failure(&self) -> Option<NodeError> {
        let mut state = self.shared.lock();
        for _ in 0..100 {
            if state.ended {
                break;
            }
            let waited = self.shared.changed.wait_timeout(state, Duration::from_millis(100));
            state = waited.map_or_else(|e| e.into_inner().0, |(state, _)| state);
        }
        state.failure.take()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
struct Reader {
    shared: Arc<Shared>,
    files: Arc<dyn NodeFiles>,
    folder: PathBuf,
    notify: Notify,
}

impl Reader {
    fn run(&self) {
        // Whatever happens: nobody waits for a thread that is no more.
        let _ended = Ended(&self.shared);
        let failure = self.read_all();
        let mut state = self.shared.lock();
        if let Err(failure) = failure {
            state.failed = true;
            state.failure = failure;
        } else {
            state.next = self.shared.paths.len();
        }
    }

    /// `Err(None)`: no more files were wanted.
    fn read_all(&self) -> Result<(), Option<NodeError>> {
        let Some(streams) = self.files.streams() else { return Ok(()) };
        let mut attempts = 0;
        loop {
            let first = self.shared.lock().next;
            let Some(paths) = self.shared.paths.get(first..).filter(|paths| !paths.is_empty()) else {
                return Ok(());
            };
            let error = match streams.pack(&self.folder, paths, &mut |file| self.deliver(file)) {
                Ok(Packing::Whole) => {
                    self.confirm();
                    return Ok(());
                }
                Ok(Packing::Ended) => return Err(None),
                Err(error) => error,
            };
            let (next, passing, stop) = {
                let mut state = self.shared.lock();
                // Bytes may be missing in it that what came behind them has filled up.
                state.last = None;
                (state.next, state.passing, state.stop)
            };
            if let Some(path) = passing.and_then(|number| self.shared.paths.get(number)) {
                return Err(Some(NodeError::Connection {
                    node: self.files.node(),
                    doing: format!("read {}", self.folder.join(path).display()),
                    problem: format!(
                        "the stream broke off in the middle of this large file, or right after it: {error}"
                    ),
                }));
            }
            if stop {
                return Err(None);
            }
            if next >= self.shared.paths.len() {
                return Ok(());
            }
            attempts = if next > first { 0 } else { attempts };
            let Some(pause) = PAUSES.get(attempts) else { return Err(Some(error)) };
            attempts += 1;
            (self.notify)(format!(
                "{error}. The stream is started again with {}.",
                self.shared.paths.get(next).map_or("", String::as_str)
            ));
            let state = self.shared.lock();
            let stopped = self.shared.changed.wait_timeout_while(state, *pause, |state| !state.stop);
            if stopped.is_ok_and(|(state, _)| state.stop) {
                return Err(None);
            }
        }
    }

    /// Confirms the file that arrived last: what follows it is where it should be.
    fn confirm(&self) {
        let mut state = self.shared.lock();
        state.passing = None;
        let last = state.last.take();
        drop(state);
        if let Some((number, arrived)) = last {
            self.put(number, arrived);
        }
    }

    /// Hands over a file when the next one has arrived; `false` if no more files are wanted.
    fn deliver(&self, file: PackedFile<'_>) -> io::Result<bool> {
        self.confirm();
        let PackedFile { path, size, mtime, content } = file;
        let first = {
            let state = self.shared.lock();
            if state.stop {
                return Ok(false);
            }
            state.next
        };
        let ahead = self.shared.paths.get(first..).unwrap_or_default();
        // Nobody asked for anything else.
        let Ok(found) = ahead.binary_search(&path) else { return Ok(true) };
        let number = first + found;
        if size > SMALL {
            let shown = self.folder.join(&path).display().to_string();
            let (feeder, passing) = passage(size, self.files.node(), shown);
            self.put(number, Arrived::Large { content: passing, mtime });
            self.shared.lock().passing = Some(number);
            return feeder.feed(content);
        }
        let mut bytes = Vec::with_capacity(size as usize);
        content.take(size).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut state = self.shared.lock();
        while state.bytes > 0 && state.bytes + bytes.len() > self.shared.budget && !state.stop {
            state = self.shared.wait(state);
        }
        if state.stop {
            return Ok(false);
        }
        state.last = Some((number, Arrived::Small { bytes, mtime }));
        Ok(true)
    }

    fn put(&self, number: usize, arrived: Arrived) {
        let bytes = match &arrived {
            Arrived::Small { bytes, .. } => bytes.len(),
            Arrived::Large { .. } => 0,
        };
        let mut state = self.shared.lock();
        if !state.stop {
            state.waiting.insert(number, arrived);
            state.bytes += bytes;
            state.next = number + 1;
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

struct Ended<'s>(&'s Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

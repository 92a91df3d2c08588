//! What was appended to files of a node whose beginnings are in the repository: read by a thread of its own, in order, ahead of those
//! who want the files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use archive::FileStat;
use couchfile::error::CouchFileError;
use couchfile::header::HeaderScan;
use couchfile::read_at::{ReadAt, check_range};
use node::{NodeError, NodeFiles, NodeStreams, RestOf};
use repository::KnownEnd;

use super::lane::{Notify, PAUSES};

/// Files that one command reads.
const BATCH: usize = 200;
/// Files that may wait.
const WAITING: usize = 32;
/// Ends of at most so many bytes are kept in memory, larger ones in temporary files.
const IN_MEMORY: u64 = 256 << 10;
/// Bytes read at a time.
const PIECE: usize = 256 << 10;

/// A file that may only have grown.
pub(super) struct Tail {
    /// Its path below the data directory.
    pub(super) path: String,
    /// Its stat when the files were listed. What was appended since does not count.
    pub(super) stat: FileStat,
    pub(super) known: KnownEnd,
}

/// A file of which only the end is here.
pub(crate) struct GrownFile {
    from: u64,
    length: u64,
    mtime: u64,
    end: End,
    scan: HeaderScan,
}

enum End {
    Memory(Vec<u8>),
    File(File),
}

/// The result of a requested file.
pub(super) enum TakenTail {
    /// It has only grown.
    Grown(GrownFile),
    /// It is another file, cannot be read, or nobody knows its beginning.
    Another,
    /// The stream has failed permanently; [`TailLane::failure`] returns the reason.
    Failed,
}

/// A stream of the ends of files. It ends when it is dropped.
pub(super) struct TailLane {
    shared: Arc<Shared>,
}

struct Shared {
    /// The files, by their paths in ascending order.
    tails: Vec<Tail>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: HashMap<usize, GrownFile>,
    /// Number of the first file that has not come and may still come.
    next: usize,
    ended: bool,
    failed: Option<NodeError>,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl TailLane {
    /// Begins to read the ends of files below a directory.
    pub(super) fn start(
        files: Arc<dyn NodeFiles>,
        folder: PathBuf,
        mut tails: Vec<Tail>,
        notify: Notify,
    ) -> io::Result<Self> {
        tails.sort_by(|one, other| one.path.cmp(&other.path));
        let shared = Arc::new(Shared { tails, state: Mutex::default(), changed: Condvar::new() });
        let reader = Reader { shared: Arc::clone(&shared), files, folder, notify };
        std::thread::Builder::new().name("ends of files".into()).spawn(move || reader.run())?;
        Ok(Self { shared })
    }

    fn number(&self, path: &str) -> Option<usize> {
        self.shared.tails.binary_search_by(|tail| tail.path.as_str().cmp(path)).ok()
    }

    /// Whether the file belongs to this stream.
    pub(super) fn has(&self, path: &str) -> bool {
        self.number(path).is_some()
    }

    /// Waits for a file and takes it. Each file can be taken once.
    pub(super) fn take(&self, path: &str) -> TakenTail {
        let Some(number) = self.number(path) else { return TakenTail::Another };
        let mut state = self.shared.lock();
        loop {
            if let Some(grown) = state.waiting.remove(&number) {
                drop(state);
                self.shared.changed.notify_all();
                return TakenTail::Grown(grown);
            }
            if number < state.next {
                return TakenTail::Another;
            }
            if state.ended || state.stop {
                return TakenTail::Failed;
            }
            state = self.shared.wait(state);
        }
    }

    /// Ends all waits for files.
    pub(super) fn stop(&self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }

    /// Why the stream failed permanently, if it did.
    pub(super) fn failure(&self) -> Option<NodeError> {
        self.shared.lock().failed.take()
    }
}

impl Drop for TailLane {
    fn drop(&mut self) {
        self.stop();
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
        let Some(streams) = self.files.streams() else { return };
        let mut attempts = 0;
        loop {
            let first = self.shared.lock().next;
            let rest = self.shared.tails.get(first..).unwrap_or_default();
            let batch = rest.get(..BATCH.min(rest.len())).unwrap_or_default();
            if batch.is_empty() || self.shared.lock().stop {
                return;
            }
            let Err(error) = self.read(streams, first, batch) else {
                attempts = 0;
                continue;
            };
            let mut state = self.shared.lock();
            attempts = if state.next > first { 0 } else { attempts };
            let pause = PAUSES.get(attempts).filter(|_| !state.stop);
            let Some(pause) = pause else {
                state.failed = Some(error);
                return;
            };
            attempts += 1;
            drop(state);
            (self.notify)(format!("{error}. couchcopy tries again."));
            let state = self.shared.lock();
            let _ = self.shared.changed.wait_timeout_while(state, *pause, |state| !state.stop);
        }
    }

    /// Reads the ends of some files. The first one has this number.
    fn read(&self, streams: &dyn NodeStreams, first: usize, batch: &[Tail]) -> Result<(), NodeError> {
        let rest = |tail: &Tail| RestOf {
            path: tail.path.clone(),
            from: tail.known.from(),
            // Only their hash is known here.
            expected: Vec::new(),
            len: tail.stat.length.saturating_sub(tail.known.from()),
        };
        let rests: Vec<RestOf> = batch.iter().map(rest).collect();
        // A file counts when what follows it is where it should be: bytes may be missing in it that what came behind has filled up.
        let mut last: Option<(usize, GrownFile)> = None;
        streams.rests(&self.folder, &rests, &mut |number, content| {
            if let Some((number, grown)) = last.take()
                && !self.put(number, grown)
            {
                return Ok(false);
            }
            let Some(tail) = batch.get(number) else { return Ok(false) };
            last = grown(tail, content)?.map(|grown| (first + number, grown));
            Ok(!self.shared.lock().stop)
        })?;
        if let Some((number, grown)) = last {
            self.put(number, grown);
        }
        let mut state = self.shared.lock();
        if !state.stop {
            state.next = first + batch.len();
        }
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Hands a file over when there is room; `false` if no more files are wanted.
    fn put(&self, number: usize, grown: GrownFile) -> bool {
        let mut state = self.shared.lock();
        state.waiting.insert(number, grown);
        state.next = number + 1;
        self.shared.changed.notify_all();
        while state.waiting.len() >= WAITING && !state.stop {
            state = self.shared.wait(state);
        }
        !state.stop
    }
}

struct Ended<'s>(&'s Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

/// Reads the end of a file; `None` if the file is another one.
fn grown(tail: &Tail, content: &mut dyn Read) -> io::Result<Option<GrownFile>> {
    let (from, length) = (tail.known.from(), tail.stat.length);
    let mut start = vec![0; tail.known.size().saturating_sub(from) as usize];
    content.read_exact(&mut start)?;
    if !tail.known.is(&start) {
        return Ok(None);
    }
    let mut scan = HeaderScan::starting_at(from);
    scan.put(&start);
    let mut end = if length.saturating_sub(from) <= IN_MEMORY {
        End::Memory(start)
    } else {
        let mut file = tempfile::tempfile()?;
        file.write_all(&start)?;
        End::File(file)
    };
    let mut left = length.saturating_sub(tail.known.size());
    let mut piece = vec![0; left.min(PIECE as u64) as usize];
    while left > 0 {
        let part = piece.get_mut(..left.min(PIECE as u64) as usize).unwrap_or_default();
        content.read_exact(part)?;
        scan.put(part);
        match &mut end {
            End::Memory(bytes) => bytes.extend_from_slice(part),
            End::File(file) => file.write_all(part)?,
        }
        left -= part.len() as u64;
    }
    let mtime = u64::try_from(tail.stat.changed / 1_000_000_000).unwrap_or(0);
    Ok(Some(GrownFile { from, length, mtime, end, scan }))
}

impl GrownFile {
    /// Time of its last change, in seconds since 1970.
    pub(super) fn mtime(&self) -> u64 {
        self.mtime
    }

    /// Looks at the headers in its end.
    pub(super) fn look<H>(
        &self,
        header: &impl Fn(&HeaderScan) -> Result<H, CouchFileError>,
    ) -> Result<H, CouchFileError> {
        header(&self.scan)
    }
}

impl ReadAt for GrownFile {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.length, buf.len(), offset)?;
        let Some(at) = offset.checked_sub(self.from) else {
            let text = "the beginning of a file that has grown was read, which is in the repository already";
            return Err(io::Error::other(text));
        };
        match &self.end {
            End::Memory(bytes) => bytes.read_exact_at(buf, at),
            End::File(file) => file.read_exact_at(buf, at),
        }
    }
}

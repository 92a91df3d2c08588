//! Files of nodes on other machines: their ends for all at once, the blocks that are needed one by one, or all of a file.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use contents::SMALL;
use couchfile::read_at::{FileBytes, ReadAt};
use node::{FileStat, NodeError, NodeFiles, NodeStreams, is_of_the_way};
use outcome::{Failure, Result};

use crate::file::{COMPACTED, COMPACTING, FileFailure};
use crate::remote::{Distant, PAUSES};

/// Bytes at the end of each file that are fetched with those of the others. CouchDB's empty databases are shorter.
const TAIL: u64 = 16 << 10;
/// The bytes of a file, wherever they are.
pub(crate) type Bytes = Box<dyn ReadAt>;

/// A file, or why there is none.
pub(crate) type Opened<T> = Result<T, FileFailure>;

/// Files whose ends are held at once, per node.
pub(crate) const BATCH: usize = 512;
/// Files up to this size are fetched completely: that is faster than to ask for single blocks.
const WHOLE: u64 = 128 << 10;
/// Bytes of ends that are asked for at once.
const HELD: u64 = 8 << 20;
/// Bytes that arrive at a time.
const PIECE: usize = 256 << 10;

/// The end of a file, or all of it.
#[derive(Clone)]
struct Tail {
    bytes: Vec<u8>,
    is_whole: bool,
}

/// Files below the data directory of one node.
#[derive(Clone, Copy)]
pub(crate) struct Far<'f> {
    files: &'f Arc<dyn NodeFiles>,
    folder: &'f Path,
}

impl<'f> Far<'f> {
    /// Those below the directory `folder`.
    pub(crate) fn new(files: &'f Arc<dyn NodeFiles>, folder: &'f Path) -> Self {
        Self { files, folder }
    }

    fn streams(&self) -> Result<&'f dyn NodeStreams> {
        self.files.streams().ok_or_else(|| Failure::bug("files of another machine without streams"))
    }

    /// Opens files, at most [`BATCH`], so that their last headers are at hand and other blocks are fetched when they are needed.
    /// If a shard is missing and the file of a finished compaction is there, that one is opened.
    pub(crate) fn open(&self, paths: &[String]) -> Result<Vec<Opened<Bytes>>> {
        let mut opened = self.open_as_named(paths)?;
        let missing: Vec<usize> =
            (0..paths.len()).filter(|&i| matches!(opened[i], Err(FileFailure::Missing))).collect();
        if missing.is_empty() {
            return Ok(opened);
        }
        let beside = |ending: &str| -> Vec<String> {
            missing.iter().map(|&i| format!("{}{ending}", paths[i])).collect()
        };
        let unfinished = beside(COMPACTING);
        let stats = self.patiently(|streams| streams.stats(self.folder, &unfinished))?;
        let finished = self.open_as_named(&beside(COMPACTED))?;
        for (((i, finished), name), stat) in missing.into_iter().zip(finished).zip(unfinished).zip(stats) {
            match (finished, stat) {
                (Ok(bytes), _) => opened[i] = Ok(bytes),
                (_, Some(FileStat { size, .. })) if size > 0 => {
                    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
                    opened[i] = Err(FileFailure::OnlyCompaction { name, bytes: size });
                }
                _ => {}
            }
        }
        Ok(opened)
    }

    fn open_as_named(&self, paths: &[String]) -> Result<Vec<Opened<Bytes>>> {
        let before = self.patiently(|streams| streams.stats(self.folder, paths))?;
        let is_small = |i: &usize| before[*i].is_some_and(|stat| (TAIL..WHOLE).contains(&stat.size));
        let (small, others): (Vec<usize>, Vec<usize>) = (0..paths.len()).partition(is_small);
        let mut tails = vec![None; paths.len()];
        for (which, bytes) in [(others, TAIL), (small, WHOLE)] {
            for which in which.chunks((HELD / bytes) as usize) {
                let paths: Vec<String> = which.iter().map(|&i| paths[i].clone()).collect();
                let fetched = self.patiently(|streams| streams.tails(self.folder, &paths, bytes))?;
                for (&i, tail) in which.iter().zip(fetched) {
                    tails[i] = tail.map(|tail| Tail { is_whole: (tail.len() as u64) < bytes, bytes: tail });
                }
            }
        }
        // Only of a file that does not grow in the meantime is it known where its end begins.
        let after = self.patiently(|streams| streams.stats(self.folder, paths))?;
        let files = paths.iter().zip(before).zip(tails.into_iter().zip(after));
        Ok(files.map(|((path, before), (tail, after))| self.opened(path, before, tail, after)).collect())
    }

    fn opened(
        &self,
        path: &str,
        before: Option<FileStat>,
        tail: Option<Tail>,
        after: Option<FileStat>,
    ) -> Opened<Bytes> {
        let Some(after) = after.or(before.filter(|_| tail.is_some())) else {
            return Err(FileFailure::Missing);
        };
        let Some(tail) = tail else {
            let why = format!("the user that runs commands on {} may not read it", self.files.node());
            return Err(FileFailure::Unreadable(io::Error::new(io::ErrorKind::PermissionDenied, why)));
        };
        if tail.is_whole {
            return Ok(Box::new(tail.bytes));
        }
        let distant = Distant::new(Arc::clone(self.files), self.folder.join(path), after.size);
        let is_still = before.is_some_and(|before| before.size == after.size);
        Ok(Box::new(if is_still { distant.with_end(&tail.bytes) } else { distant }))
    }

    /// Fetches files completely into memory, in one go, as far as they are small and together do not exceed `budget` bytes. Returns
    /// those that arrived.
    pub(crate) fn small(&self, paths: &[String], budget: u64) -> Result<Vec<(String, Bytes)>> {
        let stats = self.patiently(|streams| streams.stats(self.folder, paths))?;
        let mut left = budget;
        let mut wanted = Vec::new();
        for (path, stat) in paths.iter().zip(stats) {
            if let Some(FileStat { size, .. }) = stat
                && size <= SMALL
                && size <= left
            {
                left -= size;
                wanted.push(path.clone());
            }
        }
        let mut arrived: Vec<(String, Bytes)> = Vec::new();
        if wanted.is_empty() {
            return Ok(arrived);
        }
        self.patiently(|streams| {
            arrived.clear();
            streams.pack(self.folder, &wanted, &mut |found| {
                // One that has grown in the meantime is fetched on its own.
                if found.size > 2 * SMALL {
                    io::copy(found.content, &mut io::sink())?;
                    return Ok(true);
                }
                let mut bytes = Vec::with_capacity(found.size as usize);
                found.content.read_to_end(&mut bytes)?;
                arrived.push((found.path, Box::new(bytes)));
                Ok(true)
            })
        })?;
        Ok(arrived)
    }

    /// Fetches all of a file into a temporary file below `temporary`.
    pub(crate) fn spool(&self, path: &str, temporary: &Path) -> Result<Opened<Bytes>> {
        let cannot = |e| Failure::io("write a file in", temporary, e);
        let mut spooled = None;
        let mut failed = None;
        self.patiently(|streams| {
            spooled = None;
            streams.pack(self.folder, &[path.to_owned()], &mut |found| {
                let mut file = match tempfile::tempfile_in(temporary) {
                    Ok(file) => file,
                    Err(e) => {
                        failed = Some(e);
                        return Ok(false);
                    }
                };
                let mut buffer = vec![0; PIECE];
                loop {
                    let count = found.content.read(&mut buffer)?;
                    if count == 0 {
                        break;
                    }
                    if let Err(e) = file.write_all(&buffer[..count]) {
                        failed = Some(e);
                        return Ok(false);
                    }
                }
                spooled = Some(file);
                Ok(true)
            })
        })?;
        if let Some(e) = failed {
            return Err(cannot(e));
        }
        let Some(file) = spooled else {
            // It is missing, or may not be read.
            return Ok(self.open(&[path.to_owned()])?.pop().unwrap_or(Err(FileFailure::Missing)));
        };
        Ok(Ok(Box::new(FileBytes::new(file).map_err(cannot)?)))
    }

    /// Asks again if the connection breaks.
    fn patiently<T>(&self, mut ask: impl FnMut(&dyn NodeStreams) -> Result<T, NodeError>) -> Result<T> {
        let streams = self.streams()?;
        for pause in PAUSES {
            match ask(streams).map_err(Failure::from) {
                Err(failure) if is_of_the_way(&failure) => std::thread::sleep(pause),
                done => return done,
            }
        }
        Ok(ask(streams)?)
    }
}

//! Which of several copies of a shard is saved, if some of them cannot be opened on this machine.
//!
//! The ends of all copies are fetched in one go; they contain the last headers and so the number of documents of each copy. If
//! the numbers are equal, the checkpoints of internal replication decide, as for copies of this machine. For that a small copy is
//! fetched completely, of a large copy only the few necessary blocks.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use contents::{Choice, CopyRecord};
use couchfile::blocks::BLOCK;
use couchfile::data_dir::DataFile;
use couchfile::database::Database;
use couchfile::header::HeaderScan;
use couchfile::read_at::{FileBytes, ReadAt, check_range};
use node::NodeFiles;
use outcome::{Result, parallel};

use crate::copies::{judge, rank};
use crate::file;
use crate::folder::NodeFolder;
use crate::plan::PlannedShard;
use crate::security::Securities;

/// Bytes at every copy's end that are read: they hold its last header and what an unfinished write may have left after it.
const TAIL: u64 = 8 << 10;
/// Copies up to this size are fetched completely if they have as many documents as another copy.
const WHOLE: u64 = 64 << 10;
/// Bytes of file ends that are held at once, per node.
const BATCH: u64 = 8 << 20;
/// The most large copies that are read per node; each takes some round trips.
const LOOKED_INTO: usize = 2000;

/// The order of the copies of shards, and what is unknown about it.
pub(crate) struct Ordered {
    /// The copies of each shard, in the order of the shards.
    pub(crate) orders: Vec<Box<[u16]>>,
    /// The number of shards whose copies have equally many documents, so that it is not known which one is behind.
    pub(crate) undecided: u64,
    /// Copies that differ.
    pub(crate) choices: Vec<Choice>,
}

/// Sorts the copies of shards, the best one first; a copy that cannot be read comes last.
///
/// Copies that have equally many documents are compared by what they have to send to each other, whatever CouchDB reports: it
/// counts `internal_replication_jobs` only for a shard of which it has sent a hundred changes and more are left
/// (`mem3_sync:get_backlog/0`), not while a job waits or fails.
pub(crate) fn order_all(
    folders: &[NodeFolder],
    shards: &[&PlannedShard],
    threads: usize,
    securities: &Securities,
    advance: impl Fn(u64) + Sync,
) -> Result<Ordered> {
    let known = Known { copies: Mutex::default(), folders, shards };
    let all: Vec<usize> = (0..shards.len()).collect();
    let asked = AtomicU64::new(0);
    let step = || advance(asked.fetch_add(1, Ordering::Relaxed) + 1);
    known.fetch_tails(&all, TAIL, &step)?;
    known.count_local(threads)?;
    let ties: Vec<usize> = all.into_iter().filter(|&i| known.best(i).len() > 1).collect();
    let mut undecided = 0;
    let mut choices: Vec<Choice> = (0..shards.len()).filter_map(|i| known.choice(i)).collect();
    let mut unsent: Vec<Option<Vec<usize>>> = vec![None; shards.len()];
    if !ties.is_empty() {
        known.fetch_tails(&ties, WHOLE, &|| {})?;
        let looked_into: Vec<AtomicUsize> = folders.iter().map(|_| AtomicUsize::new(0)).collect();
        let found: Vec<Mutex<Option<Compared>>> = ties.iter().map(|_| Mutex::default()).collect();
        // Most of this is waiting.
        parallel::for_each(threads.max(8), &ties, |slot, &i| -> Result<()> {
            *found[slot].lock().unwrap_or_else(PoisonError::into_inner) = known.compare(i, &looked_into);
            Ok(())
        })?;
        for (&i, found) in ties.iter().zip(found) {
            let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
            undecided += u64::from(found.is_none());
            if let Some((order, choice)) = found {
                unsent[i] = Some(order);
                if let Some(choice) = choice {
                    choices
                        .retain(|known| (&known.database, &known.range) != (&choice.database, &choice.range));
                    choices.push(choice);
                }
            }
        }
    }
    let orders: Vec<Box<[u16]>> = (0..shards.len()).map(|i| known.order(i, unsent[i].as_deref())).collect();
    for (i, order) in orders.iter().enumerate() {
        known.note_securities(i, order, securities);
    }
    Ok(Ordered { orders, undecided, choices })
}

/// The order of the best copies of a shard, and the differences, if they are worth reporting.
type Compared = (Vec<usize>, Option<Choice>);

/// Blocks read at a time: a node of a tree may begin at the end of a block.
const AHEAD: u64 = 2;

/// The number of documents of each shard, including deleted ones, in its best copy; `None` if no copy can be read.
pub(crate) fn documents(
    folders: &[NodeFolder],
    shards: &[&PlannedShard],
    threads: usize,
) -> Result<Vec<Option<u64>>> {
    let known = Known { copies: Mutex::default(), folders, shards };
    let all: Vec<usize> = (0..shards.len()).collect();
    known.fetch_tails(&all, TAIL, &|| {})?;
    known.count_local(threads)?;
    let most = |(i, shard): (usize, &&PlannedShard)| {
        shard.folders.iter().filter_map(|&folder| known.copy(i, folder).documents()).max()
    };
    Ok(shards.iter().enumerate().map(most).collect())
}

/// What is known about a copy.
#[derive(Clone, Default)]
struct Copy {
    /// Existing documents, deleted documents, and purges; `None` if the copy cannot be read.
    counts: Option<(u64, u64, u64)>,
    /// The complete copy, if it is small.
    whole: Option<Vec<u8>>,
}

impl Copy {
    /// Documents, including deleted ones.
    fn documents(&self) -> Option<u64> {
        self.counts.map(|(live, deleted, _)| live + deleted)
    }

    /// A number that grows with everything that reaches the copy, writes and purges.
    fn heard(&self) -> Option<u64> {
        self.counts.map(|(live, deleted, purges)| live + deleted + purges)
    }
}

struct Known<'a> {
    /// The copies, by number of the shard and of the data directory.
    copies: Mutex<HashMap<(usize, u16), Copy>>,
    folders: &'a [NodeFolder],
    shards: &'a [&'a PlannedShard],
}

impl Known<'_> {
    fn note(&self, i: usize, folder: u16, copy: Copy) {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).insert((i, folder), copy);
    }

    fn copy(&self, i: usize, folder: u16) -> Copy {
        let copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        copies.get(&(i, folder)).cloned().unwrap_or_default()
    }

    /// Reads the ends of the remote copies of these shards, from all nodes at once.
    fn fetch_tails(&self, which: &[usize], bytes: u64, step: &(impl Fn() + Sync)) -> Result<()> {
        let of_node = |number: u16, folder: &NodeFolder, files: &Arc<dyn NodeFiles>| -> Result<()> {
            let Some(streams) = files.streams() else { return Ok(()) };
            let held: Vec<usize> =
                which.iter().copied().filter(|&i| self.shards[i].folders.contains(&number)).collect();
            for batch in held.chunks((BATCH / bytes) as usize) {
                let paths: Vec<String> = batch.iter().map(|&i| self.shards[i].path.clone()).collect();
                for (&i, tail) in batch.iter().zip(streams.tails(&folder.path, &paths, bytes)?) {
                    let copy = tail.map(|tail| copy_of(tail, bytes)).unwrap_or_default();
                    // A longer tail knows more; where it could not be had, what is known stays.
                    if copy.counts.is_some() || bytes == TAIL {
                        self.note(i, number, copy);
                    }
                    step();
                }
            }
            Ok(())
        };
        parallel::all_at_once(self.folders, |number, folder| match folder.origin.far() {
            Some(files) => of_node(number as u16, folder, files),
            None => Ok(()),
        })
        .into_iter()
        .collect()
    }

    /// Reads the copies on this machine.
    fn count_local(&self, threads: usize) -> Result<()> {
        parallel::for_each(threads, self.shards, |i, shard| -> Result<()> {
            for &number in &shard.folders {
                let folder = &self.folders[usize::from(number)];
                if folder.origin.is_local() {
                    let header = file::peek_shard(&folder.path.join(&shard.path), &folder.patience).ok();
                    let counts = header.map(|header| (header.docs, header.deleted, header.purges));
                    self.note(i, number, Copy { counts, whole: None });
                }
            }
            Ok(())
        })
    }

    /// The data directories of the copies with the greatest sum of documents and purges, in the order of the shard's. A copy that
    /// missed a purge has more documents than the others; if it misses something else too, it is not among these.
    fn best(&self, i: usize) -> Vec<u16> {
        let counted: Vec<(u16, u64)> = self.shards[i]
            .folders
            .iter()
            .filter_map(|&folder| Some((folder, self.copy(i, folder).heard()?)))
            .collect();
        let most = counted.iter().map(|(_, heard)| *heard).max();
        let best = counted.into_iter().filter(|(_, heard)| Some(*heard) == most);
        let mut best: Vec<u16> = best.map(|(folder, _)| folder).collect();
        best.sort_by_key(|&folder| Reverse(self.copy(i, folder).counts.map(|(_, _, purges)| purges)));
        best
    }

    /// The result of comparing the figures of a shard's copies, if they differ.
    fn choice(&self, i: usize) -> Option<Choice> {
        let copies: Vec<(u16, (u64, u64, u64))> = self
            .order(i, None)
            .iter()
            .filter_map(|&folder| Some((folder, self.copy(i, folder).counts?)))
            .collect();
        let differ = copies.windows(2).any(|pair| pair[0].1 != pair[1].1);
        let purges_differ = copies.windows(2).any(|pair| pair[0].1.2 != pair[1].1.2);
        let records = copies.iter().map(|&(folder, (documents, deleted, purges))| CopyRecord {
            node: self.folders[usize::from(folder)].node_display_name(),
            documents,
            deleted,
            purges,
            ..CopyRecord::default()
        });
        let choice = Choice::new(&self.shards[i].path, records.collect(), purges_differ, false)?;
        differ.then_some(choice)
    }

    /// Compares the best copies of a shard by the changes they have to send; returns their order. `None` if that is not known.
    fn compare(&self, i: usize, looked_into: &[AtomicUsize]) -> Option<Compared> {
        let best = self.best(i);
        let mut databases = Vec::new();
        for &folder in &best {
            databases.push(Database::open(self.open(i, folder, looked_into)?).ok()?);
        }
        let databases: Vec<&Database<Box<dyn ReadAt>>> = databases.iter().collect();
        // A copy without notes may have nothing to tell. One whose notes cannot be read must not count as one.
        for copy in &databases {
            for other in &databases {
                let uuid = other.header().uuid.as_deref().unwrap_or_default();
                couchfile::internal_replication::sent_to(copy, uuid).ok()?;
            }
        }
        let near = |&folder: &u16| {
            self.folders[usize::from(folder)].origin.is_local() || self.copy(i, folder).whole.is_some()
        };
        if best.iter().all(near) {
            let judged = judge(&databases);
            let order = judged.order.clone();
            return Some((order, judged.choice(self.folders, &self.shards[i].path, &best)));
        }
        // Reading all of distant copies would be a backup of each. Those that purged more stand in front.
        let purges = |&folder: &u16| self.copy(i, folder).counts.map(|(_, _, purges)| purges);
        if best.windows(2).any(|pair| purges(&pair[0]) != purges(&pair[1])) {
            return Some(((0..best.len()).collect(), None));
        }
        Some((rank(&databases), None))
    }

    /// Counts the security objects of the copies that will not be saved, as far as they are available.
    fn note_securities(&self, i: usize, order: &[u16], securities: &Securities) {
        let Some(DataFile::Shard(name)) = DataFile::parse(&self.shards[i].path) else { return };
        for &folder in order.iter().skip(1) {
            if let Some(whole) = self.copy(i, folder).whole
                && let Ok(database) = Database::open(whole)
            {
                securities.note_of(&name.db, &database);
            }
        }
    }

    fn open(&self, i: usize, number: u16, looked_into: &[AtomicUsize]) -> Option<Box<dyn ReadAt>> {
        let folder = &self.folders[usize::from(number)];
        let path = folder.path.join(&self.shards[i].path);
        let Some(files) = folder.origin.far() else {
            return Some(Box::new(FileBytes::new(std::fs::File::open(path).ok()?).ok()?));
        };
        if let Some(whole) = self.copy(i, number).whole {
            return Some(Box::new(whole));
        }
        if looked_into[usize::from(number)].fetch_add(1, Ordering::Relaxed) >= LOOKED_INTO {
            return None;
        }
        let len = files.streams()?.size(&path).ok().flatten()?;
        Some(Box::new(Distant::new(Arc::clone(files), path, len)))
    }

    /// All copies of a shard, the best one first. `unsent` is the order of the best copies, if one was found.
    fn order(&self, i: usize, unsent: Option<&[usize]>) -> Box<[u16]> {
        let best = self.best(i);
        let mut order: Vec<u16> = match unsent {
            Some(unsent) => unsent.iter().filter_map(|&at| best.get(at).copied()).collect(),
            None => best,
        };
        let mut others: Vec<u16> =
            self.shards[i].folders.iter().copied().filter(|folder| !order.contains(folder)).collect();
        others.sort_by_key(|&folder| Reverse(self.copy(i, folder).heard()));
        order.extend(others);
        order.into_boxed_slice()
    }
}

/// The facts in the end of a copy, and the complete copy if it is shorter than the requested bytes.
fn copy_of(tail: Vec<u8>, asked: u64) -> Copy {
    let is_whole = (tail.len() as u64) < asked;
    if is_whole {
        let counts = Database::open(tail.as_slice()).and_then(|database| {
            let (live, deleted) = database.counts()?;
            Ok((live, deleted, database.header().least_purge_seq(database.header_offset())?))
        });
        return Copy { counts: counts.ok(), whole: Some(tail) };
    }
    // Where blocks begin in it is not known; a header is found by its checksum. It begins at one, so that what lies before it
    // does not matter.
    for at in (0..tail.len()).rev() {
        if tail[at] == couchfile::blocks::HEADER_PREFIX {
            let mut scan = HeaderScan::default();
            scan.put(&tail[at..]);
            if let Some((live, deleted)) = scan.first_counts() {
                return Copy { counts: Some((live, deleted, scan.first_purges().unwrap_or(0))), whole: None };
            }
        }
    }
    Copy::default()
}

/// A file of a node, read block by block. Each read opens the file again: if it was replaced in the meantime, the data makes no
/// sense, which readers have to expect.
pub(crate) struct Distant {
    files: Arc<dyn NodeFiles>,
    path: PathBuf,
    len: u64,
    /// Blocks that were read.
    read: Mutex<HashMap<u64, Vec<u8>>>,
}

impl Distant {
    /// The file of this length at this path.
    pub(crate) fn new(files: Arc<dyn NodeFiles>, path: PathBuf, len: u64) -> Self {
        Self { files, path, len, read: Mutex::default() }
    }

    /// The same file, of which the end is at hand: its last bytes.
    pub(crate) fn with_end(self, end: &[u8]) -> Self {
        let start = self.len.saturating_sub(end.len() as u64);
        let first = start.div_ceil(BLOCK);
        let whole = end.get((first * BLOCK - start) as usize..).unwrap_or_default();
        {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            for (i, block) in whole.chunks(BLOCK as usize).enumerate() {
                read.insert(first + i as u64, block.to_vec());
            }
        }
        self
    }

    fn block(&self, number: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Ok(block.clone());
        }
        let streams = self.files.streams().ok_or_else(|| io::Error::other("no streams"))?;
        let bytes = streams.blocks(&self.path, number, AHEAD).map_err(io::Error::other)?;
        // Some of them may have been lost on the way.
        let expected = self.len.saturating_sub(number * BLOCK).min(AHEAD * BLOCK);
        if (bytes.len() as u64) < expected {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        for (i, block) in bytes.chunks(BLOCK as usize).enumerate() {
            read.insert(number + i as u64, block.to_vec());
        }
        Ok(read.get(&number).cloned().unwrap_or_default())
    }
}

impl ReadAt for Distant {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len, buf.len(), offset)?;
        // Whoever wants so much at once is lost in a file that was replaced.
        if buf.len() as u64 > 64 * BLOCK {
            return Err(io::Error::other("more than is read from a remote file"));
        }
        let mut filled = 0;
        while filled < buf.len() {
            let at = offset + filled as u64;
            let block = self.block(at / BLOCK)?;
            let from = block.get((at % BLOCK) as usize..).filter(|from| !from.is_empty());
            let from = from.ok_or(io::ErrorKind::UnexpectedEof)?;
            let count = from.len().min(buf.len() - filled);
            buf[filled..filled + count].copy_from_slice(&from[..count]);
            filled += count;
        }
        Ok(())
    }
}

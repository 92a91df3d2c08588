//! Reads the files of a backup.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use archive::{EntryInfo, LargeSink, Visitor};
use couchfile::read_at::{ReadAt, check_range};
use outcome::{Failure, Lock as _, parallel};

use crate::PIECE;
use crate::error::{RepositoryError, Result};
use crate::large::LargeFile;
use crate::manifest::{Listed, Manifest, PackTable};
use crate::names::SnapshotName;
use crate::pack::PackReader;
use crate::record::{FileRecord, Slice};
use crate::repository::Repository;
use crate::selector::Selector;
use crate::snapshot::Snapshot;

/// Pieces of a large file that a thread takes at a time.
const TOGETHER: usize = 8;

/// A backup in a repository that is open for reading. Clones are the same one.
#[derive(Clone)]
pub struct OpenSnapshot {
    name: SnapshotName,
    snapshot: Arc<Snapshot>,
    place: Arc<str>,
    manifest: Manifest,
    packs: Arc<PackReader>,
}

impl OpenSnapshot {
    /// Opens the backup that is meant.
    pub fn open(repository: &Repository, selector: &Selector) -> Result<Self> {
        let (name, snapshot) = repository.select(selector)?;
        Self::of(repository, name, snapshot)
    }

    /// Opens a backup.
    pub fn of(repository: &Repository, name: SnapshotName, snapshot: Snapshot) -> Result<Self> {
        let manifest = Manifest::open(repository, &snapshot)?;
        let table: Arc<PackTable> = Arc::new(manifest.packs().clone());
        let packs = Arc::new(PackReader::new(repository, table));
        let place = format!("{}::{name}", repository.name()).into();
        Ok(Self { name, snapshot: Arc::new(snapshot), place, manifest, packs })
    }

    /// What messages call it: `REPO::ID`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Its name.
    pub fn name(&self) -> SnapshotName {
        self.name
    }

    /// What the repository records of it.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The record of the backup run.
    pub fn record(&self) -> &serde_json::Value {
        self.manifest.summary()
    }

    /// All files in order. Ends after the first error.
    pub fn files(&self) -> impl Iterator<Item = Result<FileRecord>> + Send + use<> {
        self.manifest.records().filter_map(|record| match record {
            Ok(Listed::File(record)) => Some(Ok(record.file)),
            Ok(Listed::Gone(_)) => None,
            Err(failure) => Some(Err(failure)),
        })
    }

    /// The file of this name.
    pub fn find(&self, name: &str) -> Result<Option<FileRecord>> {
        self.manifest.find(name)
    }

    /// Opens a file to read it at any offset.
    pub fn open_file(&self, file: FileRecord) -> Result<OpenRecord> {
        let content = if file.is_small() {
            Some(self.with_small(&file, |content| Ok(content.to_vec()))?)
        } else {
            None
        };
        let seen = (0..file.pieces()).map(|_| AtomicBool::new(false)).collect();
        Ok(OpenRecord {
            large: LargeFile::new(file),
            content,
            packs: Arc::clone(&self.packs),
            seen,
            failed: AtomicBool::new(false),
            verified: AtomicU64::new(0),
            recent: Mutex::default(),
        })
    }

    /// The content of a file of at most `limit` bytes.
    pub fn read(&self, file: FileRecord, limit: u64) -> Result<Vec<u8>> {
        let (name, size) = (file.name.clone(), file.size);
        if size > limit {
            let problem = format!("{name} has {size} bytes, more than the {limit} that may be read at once");
            return Err(RepositoryError::damaged(self.place(), problem).into());
        }
        let open = self.open_file(file)?;
        let mut content = vec![0; size as usize];
        open.read_exact_at(&mut content, 0).map_err(|error| match error.downcast::<Failure>() {
            Ok(failure) => failure,
            Err(error) => Failure::io("read", name, error),
        })?;
        Ok(content)
    }

    /// Calls `take` with the content of a small file, whose hash was compared.
    fn with_small<T>(&self, file: &FileRecord, take: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        let mut slices = file.slices();
        let Some(first) = slices.next() else {
            return Err(RepositoryError::Bug("a large file was read at once").into());
        };
        let piece = self.packs.shared_piece(first.piece, u64::from(first.content))?;
        let mut bytes = Cow::Borrowed(part_of(&piece, first));
        for slice in slices {
            let piece = self.packs.shared_piece(slice.piece, u64::from(slice.content))?;
            bytes.to_mut().extend_from_slice(part_of(&piece, slice));
        }
        if bytes.len() as u64 != file.size || blake3::hash(&bytes) != file.blake3 {
            let problem = format!("the bytes of {} are not those that were saved", file.name);
            let mut packs: Vec<_> = file.slices().map(|slice| self.packs.name_of(slice.piece.pack)).collect();
            packs.dedup();
            return Err(RepositoryError::damaged(packs.join(" or "), problem).into());
        }
        take(&bytes)
    }

    /// Gives all files that are `wanted` to a visitor, on `threads` threads (0: the number of cores). What is given was compared
    /// with its hash.
    pub fn visit(
        &self,
        threads: usize,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &dyn Visitor,
    ) -> Result<()> {
        // Requests to a store are waited for, most of the time.
        let threads = parallel::threads(threads).max(if self.packs.is_local() { 1 } else { 8 });
        let failed: Mutex<Option<Failure>> = Mutex::default();
        let (sender, receiver) = sync_channel::<Unit<'_>>(threads * 2);
        let receiver = Mutex::new(receiver);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let ended = self.work(&receiver, visitor, &failed);
                    if let Err(failure) = ended {
                        failed.locked().get_or_insert(failure);
                    }
                });
            }
            let ended = self.hand_out(&sender, wanted, visitor, &failed);
            // The others see that nothing more comes.
            drop(sender);
            if let Err(failure) = ended {
                failed.locked().get_or_insert(failure);
            }
        });
        failed.into_content().map_or(Ok(()), Err)
    }

    /// Cuts all files into units of work.
    fn hand_out<'v>(
        &self,
        sender: &SyncSender<Unit<'v>>,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &'v dyn Visitor,
        failed: &Mutex<Option<Failure>>,
    ) -> Result<()> {
        // Small files of the same piece, one after the other.
        let mut small: Vec<FileRecord> = Vec::new();
        let piece_of = |file: &FileRecord| file.slices().next().map(|slice| slice.piece);
        for file in self.files() {
            if failed.locked().is_some() {
                return Ok(());
            }
            let file = file?;
            if !wanted(&file.name) {
                continue;
            }
            let piece = piece_of(&file);
            if small.first().is_some_and(|first| piece_of(first) != piece)
                && sender.send(Unit::Small(std::mem::take(&mut small))).is_err()
            {
                return Ok(());
            }
            if piece.is_some() {
                small.push(file);
                continue;
            }
            let info = info(&file);
            let Some(sink) = visitor.large(&info)? else { continue };
            let units = file.pieces().div_ceil(TOGETHER);
            let large = Arc::new(Large { left: AtomicUsize::new(units), sink, source: LargeFile::new(file) });
            for number in 0..units {
                let first = (number * TOGETHER) as u64;
                if sender.send(Unit::Large(Arc::clone(&large), first)).is_err() {
                    return Ok(());
                }
            }
        }
        if !small.is_empty() {
            let _ = sender.send(Unit::Small(small));
        }
        Ok(())
    }

    fn work(
        &self,
        receiver: &Mutex<Receiver<Unit<'_>>>,
        visitor: &dyn Visitor,
        failed: &Mutex<Option<Failure>>,
    ) -> Result<()> {
        loop {
            let next = receiver.locked().recv();
            let Ok(unit) = next else { return Ok(()) };
            // What was sent already is taken, so that the sender does not wait.
            if failed.locked().is_some() {
                continue;
            }
            let done = match unit {
                Unit::Small(files) => self.give_small(&files, visitor),
                Unit::Large(large, first) => self.give_large(&large, first),
            };
            if let Err(failure) = done {
                failed.locked().get_or_insert(failure);
            }
        }
    }

    fn give_small(&self, files: &[FileRecord], visitor: &dyn Visitor) -> Result<()> {
        for file in files {
            self.with_small(file, |content| visitor.small(&info(file), content))?;
        }
        Ok(())
    }

    fn give_large(&self, unit: &Large<'_>, first: u64) -> Result<()> {
        let pieces = first..(first + TOGETHER as u64).min(unit.source.file.pieces() as u64);
        unit.source
            .read(&self.packs, pieces, &mut |number, content| unit.sink.chunk(number * PIECE, &content))?;
        if unit.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            unit.sink.finish(&unit.source.file.blake3)?;
        }
        Ok(())
    }
}

/// The bytes of a part in the content of its piece.
fn part_of(piece: &[u8], slice: Slice) -> &[u8] {
    let start = slice.skip as usize;
    piece.get(start..start.saturating_add(slice.size as usize)).unwrap_or_default()
}

fn info(file: &FileRecord) -> EntryInfo<'_> {
    EntryInfo {
        name: &file.name,
        size: file.size,
        mtime: file.mtime,
        blake3: Some(file.blake3),
        facts: Some(&file.facts),
    }
}

/// What a thread does at a time.
enum Unit<'v> {
    /// Small files, of one piece.
    Small(Vec<FileRecord>),
    /// Some pieces of a large file, from this one on.
    Large(Arc<Large<'v>>, u64),
}

struct Large<'v> {
    /// Units that are not done.
    left: AtomicUsize,
    sink: Box<dyn LargeSink + 'v>,
    source: LargeFile,
}

/// An open file of a backup. What is read was compared with its hash.
pub struct OpenRecord {
    large: LargeFile,
    /// The content of a small file.
    content: Option<Vec<u8>>,
    packs: Arc<PackReader>,
    /// The pieces that were read and are as they were saved.
    seen: Vec<AtomicBool>,
    failed: AtomicBool,
    /// Bytes of pieces that were seen and not asked for by [`Self::take_verified`].
    verified: AtomicU64,
    recent: Mutex<Vec<(u64, Arc<Vec<u8>>)>>,
}

/// Pieces of a large file that are kept while it is open.
const RECENT: usize = 4;

impl OpenRecord {
    /// Bytes of memory that it takes.
    pub fn memory(&self) -> u64 {
        match &self.content {
            Some(content) => content.len() as u64,
            None => RECENT as u64 * PIECE + self.large.file.memory(),
        }
    }

    /// Bytes that were read for the first time, and are as they were saved, since this was asked last. For large files.
    pub fn take_verified(&self) -> u64 {
        self.verified.swap(0, Ordering::Relaxed)
    }

    fn piece(&self, number: u64) -> Result<Arc<Vec<u8>>> {
        if let Some((_, content)) = self.recent.locked().iter().find(|(kept, _)| *kept == number) {
            return Ok(Arc::clone(content));
        }
        let content = Arc::new(self.read_piece(number)?);
        let mut recent = self.recent.locked();
        if recent.len() >= RECENT {
            recent.remove(0);
        }
        recent.push((number, Arc::clone(&content)));
        Ok(content)
    }

    fn read_piece(&self, number: u64) -> Result<Vec<u8>> {
        let mut content = None;
        let read = self.large.read(&self.packs, number..number + 1, &mut |_, piece| {
            content = Some(piece);
            Ok(())
        });
        let read =
            read.and_then(|()| Ok(content.ok_or(RepositoryError::Bug("a piece beyond the end was read"))?));
        match (&read, self.seen.get(number as usize)) {
            (Ok(content), Some(seen)) => {
                if !seen.swap(true, Ordering::Relaxed) {
                    self.verified.fetch_add(content.len() as u64, Ordering::Relaxed);
                }
            }
            _ => self.failed.store(true, Ordering::Relaxed),
        }
        read
    }

    /// Reads what has not been read, and compares it with its hash. Fails also if that failed before.
    pub fn finish(&self, threads: usize) -> Result<()> {
        let left: Vec<u64> = (0..self.seen.len() as u64)
            .filter(|number| {
                !self.seen.get(*number as usize).is_some_and(|seen| seen.load(Ordering::Relaxed))
            })
            .collect();
        parallel::for_each_large(parallel::threads(threads), &left, |_, number| {
            self.read_piece(*number).map(|_| ())
        })?;
        if self.failed.load(Ordering::Relaxed) {
            let problem = format!("a part of {} could not be read", self.large.file.name);
            return Err(RepositoryError::damaged("a pack", problem).into());
        }
        Ok(())
    }
}

impl ReadAt for OpenRecord {
    fn len(&self) -> u64 {
        self.large.file.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if let Some(content) = &self.content {
            return content.read_exact_at(buf, offset);
        }
        check_range(self.large.file.size, buf.len(), offset)?;
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let content = self.piece(at / PIECE).map_err(io::Error::other)?;
            let from = content.get((at % PIECE) as usize..).unwrap_or_default();
            let length = from.len().min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(from.get(..length).unwrap_or_default());
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at += length as u64;
            rest = later;
        }
        Ok(())
    }
}

//! Random access to a large entry that verifies it on the way.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use couchfile::read_at::{ReadAt, check_range};
use outcome::Lock;

use super::chunks::Chunks;
use super::entry_reader::into_io;
use super::recent::Recent;
use super::shared::Shared;
use crate::entry::Entry;
use crate::error::{ArchiveError, Result};
use crate::hash::{ChunkHashes, hash_chunk};

/// Bytes of decompressed chunks that are kept. Trees of a database lead to and fro between the chunks of a region.
const KEPT: usize = 64 << 20;

/// Chunks' memory that is kept for others, at most: what one thread allocates and another frees comes back late.
const SPARE: usize = 4;

/// A large entry open for reading at any offset, on several threads at once, to be read completely.
///
/// A chunk is hashed when it is read for the first time. [`Self::finish`] reads the chunks that nobody has read and compares the
/// hash with the manifest's, so each chunk is decompressed once if reads that are close together in the file are close together
/// in time.
pub struct VerifyingReader<'p> {
    chunks: Chunks,
    blake3: blake3::Hash,
    kept: Mutex<Kept>,
    hashed: Mutex<Hashed>,
    /// The first error, which [`Self::finish`] returns.
    failure: Mutex<Option<ArchiveError>>,
    /// Called with the bytes of each chunk when it is hashed.
    progress: &'p (dyn Fn(u64) + Sync),
}

/// A chunk, once somebody has read it; `None` if that failed.
type Slot = Arc<OnceLock<Option<Arc<Vec<u8>>>>>;

struct Kept {
    slots: Recent<usize, Slot>,
    spare: Vec<Vec<u8>>,
}

struct Hashed {
    /// Whether each chunk is hashed, or about to be.
    begun: Vec<bool>,
    hashes: ChunkHashes,
}

impl<'p> VerifyingReader<'p> {
    pub(super) fn open(
        archive: &Arc<Shared>,
        entry: &Entry,
        progress: &'p (dyn Fn(u64) + Sync),
    ) -> Result<Self> {
        let chunks = Chunks::open(archive, entry)?;
        let begun = vec![false; chunks.count()];
        Ok(Self {
            chunks,
            blake3: entry.blake3,
            kept: Mutex::new(Kept { slots: Recent::new(KEPT), spare: Vec::new() }),
            hashed: Mutex::new(Hashed { begun, hashes: ChunkHashes::default() }),
            failure: Mutex::default(),
            progress,
        })
    }

    /// Reads the chunks that have not been read, on so many threads, and compares the hash of the entry with the manifest's.
    ///
    /// Fails if it differs, or if a chunk could not be read, now or before.
    pub fn finish(&self, threads: usize) -> Result<()> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut content = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= self.chunks.count() || self.failure.locked().is_some() {
                    return;
                }
                if self.begins(index)
                    && let Err(error) = self.read_and_hash(index, &mut content)
                {
                    self.failure.locked().get_or_insert(error);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        if let Some(error) = self.failure.locked().take() {
            return Err(error);
        }
        let hashes = std::mem::take(&mut self.hashed.locked().hashes);
        if hashes.finish(self.chunks.count() as u64) != Some(self.blake3) {
            return Err(self.chunks.wrong_hash());
        }
        Ok(())
    }

    /// Whether nobody has hashed this chunk; the caller does it now.
    fn begins(&self, index: usize) -> bool {
        let mut hashed = self.hashed.locked();
        hashed.begun.get_mut(index).is_some_and(|begun| !std::mem::replace(begun, true))
    }

    fn read_and_hash(&self, index: usize, content: &mut Vec<u8>) -> Result<()> {
        self.chunks.read(index, content)?;
        let offset = (index as u64).saturating_mul(self.chunks.chunk_size());
        let hash =
            hash_chunk(offset, content).ok_or_else(|| self.chunks.contradiction("it has an empty chunk"))?;
        self.hashed.locked().hashes.add(index as u64, hash);
        (self.progress)(content.len() as u64);
        Ok(())
    }

    fn chunk(&self, index: usize) -> Result<Arc<Vec<u8>>> {
        let slot = self.slot(index);
        let content = slot.get_or_init(|| match self.load(index) {
            Ok(content) => Some(Arc::new(content)),
            Err(error) => {
                self.failure.locked().get_or_insert(error);
                None
            }
        });
        content.clone().ok_or_else(|| self.chunks.contradiction("a chunk of it could not be read"))
    }

    fn load(&self, index: usize) -> Result<Vec<u8>> {
        let mut content = self.kept.locked().spare.pop().unwrap_or_default();
        if self.begins(index) {
            self.read_and_hash(index, &mut content)?;
        } else {
            self.chunks.read(index, &mut content)?;
        }
        Ok(content)
    }

    /// Where a chunk is kept, or will be as soon as it is read.
    fn slot(&self, index: usize) -> Slot {
        let mut kept = self.kept.locked();
        if let Some(slot) = kept.slots.get(&index) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        let gone = kept.slots.put(index, Arc::clone(&slot), self.chunks.chunk_size() as usize);
        for old in gone {
            let content = Arc::into_inner(old).and_then(OnceLock::into_inner).flatten();
            if let Some(content) = content.and_then(Arc::into_inner)
                && kept.spare.len() < SPARE
            {
                kept.spare.push(content);
            }
        }
        slot
    }
}

impl ReadAt for VerifyingReader<'_> {
    fn len(&self) -> u64 {
        self.chunks.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len(), buf.len(), offset)?;
        self.chunks.copy(buf, offset, |index| self.chunk(index)).map_err(into_io)
    }
}

//! Small files: they share pieces. Of one that has only grown, only the end is sent.

use archive::{Facts, Seen};

use super::pipeline::{Done, Pipeline};
use crate::PIECE;
use crate::error::Result;
use crate::names::PackName;
use crate::piece;
use crate::record::{FileRecord, Location, Piece, Slice};

/// A file that was opened.
pub(super) struct New {
    pub(super) name: String,
    pub(super) mtime: u64,
    pub(super) facts: Facts,
    pub(super) seen: Option<Seen>,
    pub(super) base: Option<Box<FileRecord>>,
}

impl New {
    pub(super) fn record(self, size: u64, blake3: archive::Hash, at: Location) -> FileRecord {
        let (stat, memo) = self.seen.map(|seen| (seen.stat, seen.memo)).unzip();
        FileRecord {
            name: self.name,
            size,
            blake3,
            mtime: self.mtime,
            facts: self.facts,
            stat,
            memo: memo.flatten(),
            at,
        }
    }
}

/// What has become of a batch so far.
pub(super) struct Batch<'p> {
    pipeline: &'p Pipeline,
    pub(super) done: Vec<Done>,
    /// The next piece.
    content: Vec<u8>,
    /// Small files in it.
    waiting: Vec<Waiting>,
}

/// A small file whose bytes, or its end, are in the next piece.
struct Waiting {
    /// Its position in `done`.
    position: usize,
    /// What was there before.
    kept: Vec<Slice>,
    /// Where the rest begins in the piece, and its bytes.
    skip: u32,
    size: u32,
}

impl<'p> Batch<'p> {
    pub(super) fn new(pipeline: &'p Pipeline) -> Self {
        Self { pipeline, done: Vec::new(), content: Vec::new(), waiting: Vec::new() }
    }

    pub(super) fn small(&mut self, mut new: New, old: Option<&FileRecord>, content: &[u8]) -> Result<()> {
        // What says what a backup is does not lie in an old pack, which may be lost.
        let old = old.filter(|old| old.name != archive::METADATA && !self.pipeline.rules.avoids(old));
        let (blake3, is_begun_by_old) = hash_of(content, old);
        let base = new.base.take();
        if let Some(old) = old.filter(|old| is_begun_by_old && old.size == content.len() as u64) {
            let file = new.record(old.size, blake3, old.at.clone());
            self.done.push(Done::New { file: Box::new(file), base, new_bytes: 0 });
            return Ok(());
        }
        let kept = old.filter(|old| is_begun_by_old && old.is_small());
        let kept = kept.map(|old| kept_slices(old, content.len() as u64)).unwrap_or_default();
        let from = kept.iter().map(|slice| slice.size as usize).sum();
        let rest = content.get(from..).unwrap_or_default();
        if self.content.len() + rest.len() > PIECE as usize {
            self.close()?;
        }
        let skip = self.content.len() as u32;
        self.content.extend_from_slice(rest);
        self.waiting.push(Waiting { position: self.done.len(), kept, skip, size: rest.len() as u32 });
        let piece = Piece { pack: PackName([0; 16]), offset: 0, length: 0 };
        let at = Location::Shared { piece, content: 0, skip };
        let file = new.record(content.len() as u64, blake3, at);
        self.done.push(Done::New { file: Box::new(file), base, new_bytes: rest.len() as u64 });
        Ok(())
    }

    /// Compresses the piece, and tells its files where it is.
    pub(super) fn close(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let encoded = piece::encode(&self.content, self.pipeline.level)?;
        let length = self.content.len() as u32;
        let piece = self.pipeline.packs.add(&encoded, u64::from(length))?;
        for Waiting { position, mut kept, skip, size } in self.waiting.drain(..) {
            let at = if kept.is_empty() {
                Location::Shared { piece, content: length, skip }
            } else {
                kept.push(Slice { piece, content: length, skip, size });
                Location::Slices(kept.into())
            };
            if let Some(Done::New { file, .. }) = self.done.get_mut(position) {
                file.at = at;
            }
        }
        self.content.clear();
        Ok(())
    }
}

/// The hash of a file, and whether it begins with what it was before.
fn hash_of(content: &[u8], old: Option<&FileRecord>) -> (archive::Hash, bool) {
    let length = old.and_then(|old| usize::try_from(old.size).ok());
    let Some((before, after)) = length.and_then(|length| content.split_at_checked(length)) else {
        return (blake3::hash(content), false);
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    let is_begun_by_old = old.is_some_and(|old| old.blake3 == hasher.finalize());
    (hasher.update(after).finalize(), is_begun_by_old)
}

/// The parts of a file that has grown to `size` bytes that stay where they are. A part at the end that is not longer than what comes
/// behind it is sent again with that: so a file has few parts, however often it grows, and no byte is sent often.
fn kept_slices(old: &FileRecord, size: u64) -> Vec<Slice> {
    let mut kept: Vec<Slice> = old.slices().collect();
    let mut rest = size.saturating_sub(old.size);
    while let Some(last) = kept.pop_if(|last| u64::from(last.size) <= rest) {
        rest += u64::from(last.size);
    }
    kept
}

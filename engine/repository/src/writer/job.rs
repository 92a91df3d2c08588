//! A large file whose pieces are read and compressed by several threads.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use archive::{Facts, Seen};
use couchfile::read_at::ReadAt;
use outcome::{Failure, Lock as _};

use crate::PIECE;
use crate::error::{RepositoryError, Result};
use crate::hash;
use crate::names::PackName;
use crate::pack::PackWriter;
use crate::piece;
use crate::record::{FileRecord, Location, OwnPiece, piece_size};

/// The most packs that a file may be scattered over; one more for every four pieces, of which a pack holds 16.
const SCATTERED: usize = 8;

/// A large file on its way.
pub(super) struct LargeJob {
    name: String,
    data: Arc<dyn ReadAt>,
    size: u64,
    /// Number of the next piece that nobody has begun.
    next: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

struct State {
    /// The pieces that are known.
    pieces: Vec<Option<OwnPiece>>,
    missing: usize,
    new_bytes: u64,
    failed: Option<Failure>,
}

impl LargeJob {
    /// A file whose pieces are all sent, except those that `kept` has.
    pub(super) fn new(name: String, data: Arc<dyn ReadAt>, kept: &[Option<OwnPiece>]) -> Self {
        let size = data.len();
        let count = size.div_ceil(PIECE) as usize;
        let mut pieces = kept.to_vec();
        pieces.resize(count, None);
        let missing = pieces.iter().filter(|piece| piece.is_none()).count();
        let state = State { pieces, missing, new_bytes: 0, failed: None };
        let next = AtomicU64::new(0);
        Self {
            name,
            data,
            size,
            next,
            state: Mutex::new(state),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        }
    }

    /// Sends one piece; `false` if all were begun.
    pub(super) fn work(&self, packs: &PackWriter, level: i32, buf: &mut Vec<u8>) -> bool {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number.saturating_mul(PIECE) >= self.size || self.stop.load(Ordering::Relaxed) {
                return false;
            }
            if self.state.locked().pieces.get(number as usize).is_some_and(Option::is_some) {
                continue;
            }
            let sent = self.send(number, packs, level, buf);
            let mut state = self.state.locked();
            match sent {
                Ok(piece) => {
                    if let Some(place) = state.pieces.get_mut(number as usize) {
                        *place = Some(piece);
                    }
                    state.new_bytes += piece_size(self.size, number);
                }
                Err(failure) => {
                    state.failed.get_or_insert(failure);
                    self.stop.store(true, Ordering::Relaxed);
                }
            }
            state.missing = state.missing.saturating_sub(1);
            drop(state);
            self.changed.notify_all();
            return true;
        }
    }

    fn send(&self, number: u64, packs: &PackWriter, level: i32, buf: &mut Vec<u8>) -> Result<OwnPiece> {
        buf.clear();
        buf.resize(piece_size(self.size, number) as usize, 0);
        read(&self.name, &*self.data, buf, number * PIECE)?;
        let value = hash::of_piece(number, buf);
        let encoded = piece::encode(buf, level)?;
        Ok(OwnPiece { piece: packs.add(&encoded, buf.len() as u64)?, value })
    }

    /// Waits for the pieces that others have begun. All pieces, and the bytes of those that were sent.
    pub(super) fn finish(&self) -> Result<(Vec<OwnPiece>, u64)> {
        let mut state = self.state.locked();
        loop {
            if let Some(failure) = state.failed.take() {
                return Err(failure);
            }
            if state.missing == 0 {
                let pieces: Option<Vec<OwnPiece>> = state.pieces.iter().copied().collect();
                let pieces = pieces.ok_or(RepositoryError::Bug("a piece of a file was not sent"))?;
                return Ok((pieces, state.new_bytes));
            }
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// Reads a part of a file. The failure names it.
pub(super) fn read(name: &str, data: &dyn ReadAt, buf: &mut [u8], offset: u64) -> Result<()> {
    data.read_exact_at(buf, offset).map_err(|source| {
        let doing = format!("read {} bytes at {offset} of what becomes {name:?}", buf.len());
        archive::ArchiveError::Io { archive: "the new backup".to_owned(), doing, source }.into()
    })
}

/// The pieces of a file as it was that are still those of the file as it is now, if it has only grown.
///
/// It is the same file if it has the inode and the uuid of the old one and is not shorter, and the last piece of the old one is
/// unchanged: it holds the old header, which names the places of all trees.
pub(super) fn kept(
    old: &FileRecord,
    data: &dyn ReadAt,
    facts: &Facts,
    seen: Option<&Seen>,
    avoid: &HashSet<PackName>,
) -> Result<Vec<Option<OwnPiece>>> {
    let Location::Own(pieces) = &old.at else { return Ok(Vec::new()) };
    let is_same_inode = match (old.stat, seen) {
        (Some(old), Some(seen)) => (old.device, old.inode) == (seen.stat.device, seen.stat.inode),
        _ => false,
    };
    if !is_same_inode || data.len() < old.size || !has_same_uuid(&old.facts, facts) || is_scattered(pieces) {
        return Ok(Vec::new());
    }
    let Some((last, number)) = pieces.last().zip((pieces.len() as u64).checked_sub(1)) else {
        return Ok(Vec::new());
    };
    let mut buf = vec![0; piece_size(old.size, number) as usize];
    read(&old.name, data, &mut buf, number * PIECE)?;
    if hash::of_piece(number, &buf) != last.value {
        return Ok(Vec::new());
    }
    // The last piece may have grown.
    let is_whole = old.size.is_multiple_of(PIECE) || old.size == data.len();
    let whole = if is_whole { pieces.len() } else { pieces.len() - 1 };
    let pieces = pieces.get(..whole).unwrap_or_default();
    Ok(pieces.iter().map(|own| (!avoid.contains(&own.piece.pack)).then_some(*own)).collect())
}

fn has_same_uuid(old: &Facts, new: &Facts) -> bool {
    match (old, new) {
        (Facts::Shard { uuid: old, .. }, Facts::Shard { uuid: new, .. })
        | (Facts::ShardMaps { uuid: old, .. }, Facts::ShardMaps { uuid: new, .. }) => old == new,
        // The name of a view index has its signature.
        (Facts::View { .. }, Facts::View { .. }) => true,
        _ => false,
    }
}

/// Whether reading the file takes many more requests than it would if it were sent again.
pub(super) fn is_scattered(pieces: &[OwnPiece]) -> bool {
    let packs: HashSet<PackName> = pieces.iter().map(|own| own.piece.pack).collect();
    packs.len() > SCATTERED + pieces.len() / 4
}

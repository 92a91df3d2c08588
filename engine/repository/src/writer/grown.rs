//! What is known of a file before it is opened: for files of other machines, of which only what is new should come over the network.

use std::collections::HashSet;

use archive::FileStat;

use super::plan::is_scattered;
use crate::PIECE;
use crate::hash::{self, Value};
use crate::names::PackName;
use crate::record::{FileRecord, piece_size};

/// What a new backup knows of a file before it is opened.
#[derive(Debug, Clone)]
pub enum Before {
    /// It is as it was in the backup that the new one builds on, and need not be opened.
    AsItWas,
    /// It may only have grown. If it has, only its end is read.
    Grown(KnownEnd),
    /// It has to be read completely.
    Unknown,
}

/// The end of a file as it was in the backup that the new one builds on.
#[derive(Debug, Clone)]
pub struct KnownEnd {
    number: u64,
    size: u64,
    value: Value,
}

impl KnownEnd {
    /// The offset from which the file is read, in bytes: everything before it is in the repository.
    pub fn from(&self) -> u64 {
        self.number * PIECE
    }

    /// Bytes of the file as it was. At most 1 MiB lies between [`Self::from`] and here.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether these are the bytes from [`Self::from`] to [`Self::size`]. They hold the last header, which names the places of all
    /// trees: then the file has only grown.
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.size.saturating_sub(self.from())
            && hash::of_piece(self.number, bytes) == self.value
    }
}

/// The end of a file, if the file may only have grown and all its pieces but the last one are kept then.
///
/// [`super::plan::Plan`] decides again when the end is there.
pub(super) fn known_end(old: &FileRecord, now: FileStat, avoid: &HashSet<PackName>) -> Option<KnownEnd> {
    let before = old.stat?;
    let is_same = (before.device, before.inode) == (now.device, now.inode) && now.length >= old.size;
    let number = (old.pieces() as u64).checked_sub(1)?;
    let is_kept = !is_scattered(old) && !old.uses().any(|(pack, _)| avoid.contains(&pack));
    if !is_same || !is_kept || piece_size(old.size, number) == 0 {
        return None;
    }
    Some(KnownEnd { number, size: old.size, value: *old.value(number)? })
}

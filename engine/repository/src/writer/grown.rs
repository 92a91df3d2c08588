//! What is known of a file before it is opened: for files of other machines, of which only what is new should come over the network.

use std::collections::HashSet;

use archive::FileStat;

use super::plan::is_scattered;
use super::unit::{UNIT, kept_units};
use crate::PIECE;
use crate::hash::{self, Value};
use crate::names::PackName;
use crate::record::{FileRecord, Location, piece_size};

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
    from: u64,
    size: u64,
    /// Number of the last piece.
    number: u64,
    /// Its hash.
    value: Value,
}

impl KnownEnd {
    /// The offset from which the file is read, in bytes: everything before it is in the repository.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Bytes of the file as it was. At most 2 MiB lie between [`Self::from`] and here.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether these are the bytes from [`Self::from`] to [`Self::size`]. The last piece of them holds the last header, which names the
    /// places of all trees: if that is as it was, the file has only grown.
    pub fn is(&self, bytes: &[u8]) -> bool {
        let last = (self.number * PIECE).saturating_sub(self.from);
        let is_complete = bytes.len() as u64 == self.size.saturating_sub(self.from);
        is_complete
            && bytes
                .get(last as usize..)
                .is_some_and(|piece| hash::of_piece(self.number, piece) == self.value)
    }
}

/// The end of a file, if the file may only have grown and all its parts but the last one are kept then.
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
    let last = number * PIECE;
    let from = match &old.at {
        Location::Cut(cut) if kept_units(cut, old.size, avoid).iter().all(Option::is_some) => {
            last.min(old.size / UNIT * UNIT)
        }
        Location::Cut(_) | Location::Shared { .. } => return None,
        Location::Own(_) => last,
    };
    Some(KnownEnd { from, size: old.size, number, value: *old.value(number)? })
}

//! How a large file is stored: in which kind of parts, and what is taken over from the old backup.

use std::collections::HashSet;

use archive::{Facts, Seen};
use couchfile::read_at::ReadAt;

use super::job::read;
use super::unit::{self, Cutter};
use crate::PIECE;
use crate::cut::Cut;
use crate::error::Result;
use crate::hash;
use crate::names::PackName;
use crate::record::{FileRecord, Location, OwnPiece, piece_size};

/// The most packs that a file may be scattered over; one more for every four pieces, of which a pack holds 16.
const SCATTERED: usize = 8;
/// The least bytes of a file for each document from which on it is cut into segments. Of documents of 400 bytes, a compaction leaves
/// next to none that would be found again.
const WORTH_CUTTING: u64 = 2048;

/// How a large file is stored.
pub(super) enum Plan {
    /// In pieces, of which these are known.
    Pieces(Vec<Option<OwnPiece>>),
    /// In segments, of whose units these are known.
    Units(Cutter, Vec<Option<Cut>>),
}

impl Plan {
    /// Plans how `data` is stored. `old` is the file as it was; `facts` are `None` if they are only known when everything was read.
    pub(super) fn of(
        name: &str,
        data: &dyn ReadAt,
        facts: Option<&Facts>,
        seen: Option<&Seen>,
        old: Option<FileRecord>,
        avoid: &HashSet<PackName>,
    ) -> Result<Self> {
        let is_cut = is_worth_cutting(name, data.len(), facts, old.as_ref());
        let old = old.filter(|old| !is_scattered(old));
        let grown_from = match (&old, facts) {
            (Some(old), Some(facts)) if has_only_grown(old, data, facts, seen)? => old.size,
            _ => 0,
        };
        match old.map(|old| old.at) {
            Some(Location::Own(pieces)) if grown_from > 0 => {
                // The last piece may have grown.
                let is_whole = grown_from.is_multiple_of(PIECE) || grown_from == data.len();
                let whole = if is_whole { pieces.len() } else { pieces.len().saturating_sub(1) };
                let pieces = pieces.get(..whole).unwrap_or_default();
                let is_kept = |own: &OwnPiece| (!avoid.contains(&own.piece.pack)).then_some(*own);
                Ok(Self::Pieces(pieces.iter().map(is_kept).collect()))
            }
            Some(Location::Cut(old)) if is_cut => {
                let kept = unit::kept_pieces(&old, grown_from, avoid);
                let cutter = Cutter::new(old.average, Some(old), avoid);
                Ok(Self::Units(if grown_from > 0 { cutter.for_growth() } else { cutter }, kept))
            }
            _ if is_cut => Ok(Self::Units(Cutter::new(unit::average(data.len()), None, avoid), Vec::new())),
            _ => Ok(Self::Pieces(Vec::new())),
        }
    }

    /// Bytes of a part.
    pub(super) fn part(&self) -> u64 {
        match self {
            Self::Pieces(_) => PIECE,
            Self::Units(cutter, _) => cutter.unit(),
        }
    }
}

/// Whether documents and attachments of a shard are so large that they are found again after a compaction.
fn is_worth_cutting(name: &str, size: u64, facts: Option<&Facts>, old: Option<&FileRecord>) -> bool {
    if let Some(Location::Cut(_)) = old.map(|old| &old.at) {
        return true;
    }
    match facts.or(old.map(|old| &old.facts)) {
        Some(Facts::Shard { docs, deleted, .. }) => size / (docs + deleted).max(1) >= WORTH_CUTTING,
        Some(_) => false,
        None => name.starts_with("data/shards/"),
    }
}

/// Whether a file that was read is the file as it was, and has only grown.
///
/// It is the same file if it has the inode and the uuid of the old one and is not shorter, and the last piece of the old one is
/// unchanged: it holds the old header, which names the places of all trees.
fn has_only_grown(old: &FileRecord, data: &dyn ReadAt, facts: &Facts, seen: Option<&Seen>) -> Result<bool> {
    let is_same_inode = match (old.stat, seen) {
        (Some(old), Some(seen)) => (old.device, old.inode) == (seen.stat.device, seen.stat.inode),
        _ => false,
    };
    if !is_same_inode || data.len() < old.size || !has_same_uuid(&old.facts, facts) {
        return Ok(false);
    }
    let Some(number) = (old.pieces() as u64).checked_sub(1) else { return Ok(false) };
    let mut buf = vec![0; piece_size(old.size, number) as usize];
    read(&old.name, data, &mut buf, number * PIECE)?;
    Ok(old.value(number) == Some(&hash::of_piece(number, &buf)))
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
pub(super) fn is_scattered(file: &FileRecord) -> bool {
    let packs: HashSet<PackName> = file.uses().map(|(pack, _)| pack).collect();
    packs.len() > SCATTERED + file.pieces() / 4
}

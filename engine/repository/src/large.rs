//! Reads the pieces of a large file, and compares each with its hash.

use std::ops::Range;

use crate::PIECE;
use crate::blocks::{self, BARE_PIECE};
use crate::cut::Cut;
use crate::error::{RepositoryError, Result};
use crate::hash;
use crate::names::PackName;
use crate::pack::PackReader;
use crate::record::{FileRecord, Location, OwnPiece, Piece, piece_size};

/// A large file that is read.
pub(crate) struct LargeFile {
    pub(crate) file: FileRecord,
    /// Of a file that is cut: where its pieces begin, see [`Cut::starts`].
    starts: Vec<(u32, u64)>,
}

impl LargeFile {
    pub(crate) fn new(file: FileRecord) -> Self {
        let starts = match &file.at {
            Location::Cut(cut) => cut.starts(),
            Location::Own(_) | Location::Shared { .. } | Location::Slices(_) => Vec::new(),
        };
        Self { file, starts }
    }

    /// Reads pieces that follow one another, each with its number, in any order. What `take` gets was compared with its hash.
    pub(crate) fn read(
        &self,
        packs: &PackReader,
        pieces: Range<u64>,
        take: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        match &self.file.at {
            Location::Shared { .. } | Location::Slices(_) => {
                Err(RepositoryError::Bug("a small file was read by its pieces").into())
            }
            Location::Own(own) => self.read_own(packs, own, pieces, take),
            Location::Cut(cut) => self.read_cut(packs, cut, pieces, take),
        }
    }

    fn read_own(
        &self,
        packs: &PackReader,
        own: &[OwnPiece],
        pieces: Range<u64>,
        take: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let own = own.get(pieces.start as usize..own.len().min(pieces.end as usize)).unwrap_or_default();
        let sized = |(number, own): (u64, &OwnPiece)| (own.piece, piece_size(self.file.size, number));
        let wanted: Vec<_> = (pieces.start..).zip(own).map(sized).collect();
        packs.pieces(&wanted, &mut |position, content| {
            let Some(own) = own.get(position) else { return Ok(()) };
            let number = pieces.start + position as u64;
            self.check(packs, own.piece.pack, number, &content)?;
            take(number, content)
        })
    }

    /// Frames come one after the other, so that none is decompressed twice and only what is wanted stays in memory.
    fn read_cut(
        &self,
        packs: &PackReader,
        cut: &Cut,
        pieces: Range<u64>,
        take: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let Some(start) = self.starts.get(pieces.start as usize) else { return Ok(()) };
        let from = pieces.start * BARE_PIECE;
        let to = (pieces.end * BARE_PIECE).min(blocks::bare_size(self.file.size));
        let mut copies: Vec<Copy> = Vec::new();
        for (offset, segment) in cut.overlapping(*start, from..to) {
            let first = offset.max(from);
            let last = (offset + u64::from(segment.length)).min(to);
            copies.push(Copy {
                frame: segment.frame,
                skip: segment.skip as usize + (first - offset) as usize,
                at: (first - from) as usize,
                length: (last - first) as usize,
            });
        }
        copies.sort_unstable_by_key(|copy| copy.frame);
        let by_frame: Vec<&[Copy]> = copies.chunk_by(|a, b| a.frame == b.frame).collect();
        let frame_of = |copies: &&[Copy]| copies.first().and_then(|copy| cut.frames.get(copy.frame as usize));
        let wanted: Vec<(Piece, u64)> = by_frame
            .iter()
            .filter_map(frame_of)
            .map(|frame| (frame.piece, u64::from(frame.content)))
            .collect();
        let mut bare = vec![0; to.saturating_sub(from) as usize];
        packs.pieces(&wanted, &mut |position, content| {
            for copy in by_frame.get(position).copied().unwrap_or_default() {
                let there = bare.get_mut(copy.at..copy.at + copy.length);
                if let Some((there, bytes)) = there.zip(content.get(copy.skip..copy.skip + copy.length)) {
                    there.copy_from_slice(bytes);
                }
            }
            Ok(())
        })?;
        for (number, bare) in pieces.zip(bare.chunks(BARE_PIECE as usize)) {
            let size = piece_size(self.file.size, number);
            let content = blocks::join(bare, blocks::first_of_piece(number), size, &cut.prefixes);
            let pack = self.starts.get(number as usize).and_then(|(segment, _)| {
                let segment = cut.segments.get(*segment as usize)?;
                Some(cut.frames.get(segment.frame as usize)?.piece.pack)
            });
            self.check(packs, pack.unwrap_or(PackName([0; 16])), number, &content)?;
            take(number, content)?;
        }
        Ok(())
    }

    fn check(&self, packs: &PackReader, pack: PackName, number: u64, content: &[u8]) -> Result<()> {
        if self.file.value(number) != Some(&hash::of_piece(number, content)) {
            let problem = format!(
                "the bytes of {} from {} on are not those that were saved",
                self.file.name,
                number * PIECE
            );
            return Err(RepositoryError::damaged(packs.name_of(pack), problem).into());
        }
        Ok(())
    }
}

/// Bytes that are copied from a frame to the pieces that are read.
struct Copy {
    frame: u32,
    /// Where they begin in the content of the frame.
    skip: usize,
    /// Where they come in the pieces.
    at: usize,
    length: usize,
}

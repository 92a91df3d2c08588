//! A large file that is cut where its content says, so that what a compaction moves is found again.
//!
//! The bytes of the file without the prefixes of its blocks are a sequence of *segments*. A segment lies in a *frame*, a piece of a
//! pack that holds the segments of one file that were new together. After a compaction, the segments of the new file lie in frames
//! of the old one, except those that are new. The file still has the hashes of its pieces of 1 MiB, as any large file.

use std::collections::HashMap;

use crate::PIECE;
use crate::blocks::{self, Prefix};
use crate::hash::Value;
use crate::names::PackName;
use crate::record::Piece;

/// The least and the most bytes of a segment that may be aimed at.
pub(crate) const AVERAGES: std::ops::RangeInclusive<u32> = (4 << 10)..=(1 << 20);

/// The first 16 bytes of a segment's BLAKE3.
pub(crate) type SegmentId = [u8; 16];

/// Where the bytes of a file are that is cut into segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Bytes of a segment that were aimed at. The next backup aims at the same, or it would find nothing.
    pub(crate) average: u32,
    /// The hashes of the pieces.
    pub(crate) values: Vec<Value>,
    /// The prefixes that are not 0, in order.
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) segments: Vec<Segment>,
}

/// A piece of a pack that holds segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) piece: Piece,
    /// Bytes of its content.
    pub(crate) content: u32,
}

/// Consecutive bytes of a file, without the prefixes of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    /// Number of its frame.
    pub(crate) frame: u32,
    /// Where it begins in the frame's content.
    pub(crate) skip: u32,
    /// Bytes.
    pub(crate) length: u32,
}

/// The id of a segment.
pub(crate) fn id_of(content: &[u8]) -> SegmentId {
    let hash = blake3::hash(content);
    *hash.as_bytes().first_chunk().unwrap_or(&[0; 16])
}

impl Cut {
    /// The packs that it needs, each with the bytes of content that lie there.
    ///
    /// Added up by frame: there are a hundred times as many segments, and every backup asks this of every file.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (PackName, u64)> + '_ {
        let mut used = vec![0; self.frames.len()];
        for segment in &self.segments {
            if let Some(used) = used.get_mut(segment.frame as usize) {
                *used += u64::from(segment.length);
            }
        }
        let packs = self.frames.iter().map(|frame| frame.piece.pack);
        packs.zip(used).filter(|(_, used)| *used > 0)
    }

    /// Says what cannot be true of where a file of `size` bytes is.
    pub(crate) fn check(&self, size: u64) -> Result<(), &'static str> {
        if !AVERAGES.contains(&self.average) || !self.average.is_power_of_two() {
            return Err("the segments of a file have an absurd average size");
        }
        for frame in &self.frames {
            if u64::from(frame.content) > 2 * PIECE {
                return Err("a frame claims an absurd length");
            }
            crate::record::check_length(&frame.piece, u64::from(frame.content))?;
        }
        let mut bytes: u64 = 0;
        for segment in &self.segments {
            let frame = self.frames.get(segment.frame as usize).ok_or("a segment lies in no frame")?;
            if segment.length == 0
                || u64::from(segment.skip) + u64::from(segment.length) > u64::from(frame.content)
            {
                return Err("a segment does not fit into its frame");
            }
            bytes = bytes.saturating_add(u64::from(segment.length));
        }
        if bytes != blocks::bare_size(size) {
            return Err("the segments of a file do not have its size");
        }
        let is_ordered = self.prefixes.is_sorted_by(|a, b| a.block < b.block);
        let is_within = self.prefixes.last().is_none_or(|last| u64::from(last.block) < blocks::count(size));
        if !is_ordered || !is_within || self.prefixes.iter().any(|prefix| prefix.byte == 0) {
            return Err("the prefixes of a file's blocks cannot be as they are recorded");
        }
        Ok(())
    }

    /// For each piece of the file the number of the first segment that has bytes of it, and the offset at which that segment begins.
    pub(crate) fn starts(&self) -> Vec<(u32, u64)> {
        let mut starts = Vec::with_capacity(self.values.len());
        let mut at = 0;
        for (number, segment) in self.segments.iter().enumerate() {
            let end = at + u64::from(segment.length);
            while starts.len() < self.values.len() && (starts.len() as u64) * blocks::BARE_PIECE < end {
                starts.push((number as u32, at));
            }
            at = end;
        }
        starts
    }

    /// The segments that have bytes in `range`, each with its offset; `start` is one of [`Self::starts`] that is not behind the range.
    pub(crate) fn overlapping(
        &self,
        start: (u32, u64),
        range: std::ops::Range<u64>,
    ) -> impl Iterator<Item = (u64, &Segment)> {
        let mut at = start.1;
        let behind = self.segments.get(start.0 as usize..).unwrap_or_default();
        behind
            .iter()
            .map(move |segment| {
                let offset = at;
                at += u64::from(segment.length);
                (offset, segment)
            })
            .skip_while(move |(offset, segment)| offset + u64::from(segment.length) <= range.start)
            .take_while(move |(offset, _)| *offset < range.end)
    }
}

/// Puts together where a file is, from its begin to its end.
#[derive(Debug)]
pub(crate) struct CutBuilder {
    cut: Cut,
    numbers: HashMap<Piece, u32>,
}

impl CutBuilder {
    pub(crate) fn new(average: u32) -> Self {
        let cut = Cut {
            average,
            values: Vec::new(),
            prefixes: Vec::new(),
            frames: Vec::new(),
            segments: Vec::new(),
        };
        Self { cut, numbers: HashMap::new() }
    }

    /// Adds the next segment. Its own number of a frame does not count. Two parts of one segment become that segment again.
    pub(crate) fn push(&mut self, frame: Frame, segment: Segment) {
        let frames = &mut self.cut.frames;
        let number = *self.numbers.entry(frame.piece).or_insert_with(|| {
            frames.push(frame);
            frames.len() as u32 - 1
        });
        match self.cut.segments.last_mut() {
            Some(last)
                if (last.id, last.frame) == (segment.id, number)
                    && last.skip.checked_add(last.length) == Some(segment.skip) =>
            {
                last.length = last.length.saturating_add(segment.length);
            }
            _ => self.cut.segments.push(Segment { frame: number, ..segment }),
        }
    }

    pub(crate) fn push_values(&mut self, values: &[Value]) {
        self.cut.values.extend_from_slice(values);
    }

    pub(crate) fn push_prefixes(&mut self, prefixes: &[Prefix]) {
        self.cut.prefixes.extend_from_slice(prefixes);
    }

    /// Adds the segments of `of` that have these numbers.
    pub(crate) fn push_segments(&mut self, of: &Cut, numbers: std::ops::Range<usize>) {
        for segment in of.segments.get(numbers).unwrap_or_default() {
            if let Some(frame) = of.frames.get(segment.frame as usize) {
                self.push(*frame, *segment);
            }
        }
    }

    /// Adds everything of the part that comes next.
    pub(crate) fn append(&mut self, next: &Cut) {
        self.push_segments(next, 0..next.segments.len());
        self.push_values(&next.values);
        self.push_prefixes(&next.prefixes);
    }

    pub(crate) fn finish(self) -> Cut {
        self.cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(offset: u64, content: u32) -> Frame {
        Frame { piece: Piece { pack: PackName([1; 16]), offset, length: 10 }, content }
    }

    fn segment(skip: u32, length: u32) -> Segment {
        Segment { id: [skip as u8; 16], frame: 9, skip, length }
    }

    #[test]
    fn parts_of_a_segment_become_it_again() {
        let mut builder = CutBuilder::new(4096);
        builder.push(frame(8, 1 << 20), segment(0, 100));
        builder.push(frame(8, 1 << 20), Segment { skip: 100, ..segment(0, 50) });
        builder.push(frame(8, 1 << 20), segment(150, 50));
        builder.push(frame(9, 1 << 20), segment(200, 50));
        let lengths: Vec<u32> = builder.finish().segments.iter().map(|segment| segment.length).collect();
        assert_eq!(lengths, [150, 50, 50]);
    }

    #[test]
    fn segments_are_found_by_piece() {
        let mut builder = CutBuilder::new(4096);
        let length = 700_000;
        for number in 0..3 {
            builder.push(frame(8 + number, 1 << 20), segment(0, length));
        }
        builder.push(frame(8, 1 << 20), segment(length, 40_000));
        builder.push_values(&[[0; 32]; 3]);
        let cut = builder.finish();
        assert_eq!((cut.frames.len(), cut.segments[3].frame), (3, 0));
        assert_eq!(cut.starts(), [(0, 0), (1, 700_000), (2, 1_400_000)]);
        let found = |piece: usize, range| {
            let found = cut.overlapping(cut.starts()[piece], range);
            found.map(|(offset, segment)| (offset, segment.frame)).collect::<Vec<_>>()
        };
        assert_eq!(found(0, 0..1), [(0, 0)]);
        assert_eq!(found(0, 700_000..1_500_000), [(700_000, 1), (1_400_000, 2)]);
        assert_eq!(found(1, 2_100_000..2_100_001), [(2_100_000, 0)]);
        assert_eq!(found(2, 5_000_000..6_000_000), []);
    }

    #[test]
    fn impossible_ones_are_refused() {
        let size = 2 * PIECE;
        let of = |change: &dyn Fn(&mut Cut)| {
            let mut builder = CutBuilder::new(4096);
            builder.push(frame(8, 2 << 20), segment(512, blocks::bare_size(size) as u32));
            builder.push_prefixes(&[Prefix { block: 3, byte: 1 }, Prefix { block: 511, byte: 1 }]);
            let mut cut = builder.finish();
            change(&mut cut);
            cut.check(size)
        };
        assert_eq!(of(&|_| {}), Ok(()));
        let changes: [&dyn Fn(&mut Cut); 11] = [
            &|cut| cut.average = 5000,
            &|cut| cut.average = 0,
            &|cut| cut.frames[0].content = u32::MAX,
            &|cut| cut.frames[0].piece.length = u32::MAX,
            &|cut| cut.segments[0].frame = 1,
            &|cut| cut.segments[0].skip = u32::MAX,
            &|cut| cut.segments[0].length -= 1,
            &|cut| cut.segments.push(segment(0, 0)),
            &|cut| cut.prefixes[0].block = 511,
            &|cut| cut.prefixes[1].block = 512,
            &|cut| cut.prefixes[1].byte = 0,
        ];
        for (number, change) in changes.iter().enumerate() {
            assert!(of(change).is_err(), "{number}");
        }
    }
}

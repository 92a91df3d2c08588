//! Where the segments of a file are, as a line of a manifest says it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::line::Keep;
use super::table::PackTable;
use crate::blocks::{self, Prefix};
use crate::cut::{Cut, CutBuilder, Frame, Segment};
use crate::names::PackName;
use crate::record::{Location, Piece};

/// How a block begins that has a header.
const HEADER: u8 = 1;

/// Frames that follow one another in a pack: its number, offset, and of each frame its length and the bytes of its content.
type FrameRun = (u32, u64, Vec<(u32, u32)>);

/// Segments that follow one another in a frame: its number, offset in its content, lengths.
type SegmentRun = (u32, u32, Vec<u32>);

#[derive(Serialize, Deserialize)]
pub(super) struct CutLine {
    #[serde(default, skip_serializing_if = "is_nothing")]
    keep: Keep,
    average: u32,
    /// Distances between the blocks that begin with [`HEADER`]; the first one from block 0.
    headers: Vec<u32>,
    /// Blocks that begin with another byte than 0 and [`HEADER`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<(u32, u8)>,
    frames: Vec<FrameRun>,
    segments: Vec<SegmentRun>,
    /// The ids of all segments.
    ids: String,
    /// The hashes of all pieces.
    values: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands references over
fn is_nothing(keep: &Keep) -> bool {
    *keep == Keep::default()
}

impl CutLine {
    pub(super) fn new(cut: &Cut, base: Option<&Location>, table: &mut PackTable) -> Self {
        let keep = match base {
            Some(Location::Cut(base)) => common(base, cut),
            _ => Keep::default(),
        };
        // Only the frames of the segments that are written, numbered as they come.
        let mut rest = CutBuilder::new(cut.average);
        rest.push_segments(cut, keep.segments as usize..cut.segments.len());
        let rest = rest.finish();
        let mut frames: Vec<FrameRun> = Vec::new();
        let mut end = None;
        for Frame { piece: Piece { pack, offset, length }, content } in &rest.frames {
            match frames.last_mut().filter(|_| end == Some((*pack, *offset))) {
                Some((_, _, lengths)) => lengths.push((*length, *content)),
                None => frames.push((table.number(*pack), *offset, vec![(*length, *content)])),
            }
            end = Some((*pack, offset.saturating_add(u64::from(*length))));
        }
        let mut segments: Vec<SegmentRun> = Vec::new();
        let mut ids = Vec::new();
        let mut end = None;
        for Segment { id, frame, skip, length } in &rest.segments {
            match segments.last_mut().filter(|_| end == Some((*frame, *skip))) {
                Some((_, _, lengths)) => lengths.push(*length),
                None => segments.push((*frame, *skip, vec![*length])),
            }
            end = Some((*frame, skip.saturating_add(*length)));
            ids.extend_from_slice(id);
        }
        let written = blocks::first_of_piece(keep.pieces.into());
        let (mut headers, mut others, mut last) = (Vec::new(), Vec::new(), 0);
        for prefix in cut.prefixes.iter().filter(|prefix| u64::from(prefix.block) >= written) {
            if prefix.byte == HEADER {
                headers.push(prefix.block - last);
                last = prefix.block;
            } else {
                others.push((prefix.block, prefix.byte));
            }
        }
        let values = cut.values.get(keep.pieces as usize..).unwrap_or_default().as_flattened();
        Self {
            keep,
            average: cut.average,
            headers,
            others,
            frames,
            segments,
            ids: STANDARD.encode(ids),
            values: STANDARD.encode(values),
        }
    }

    /// What the line says. The error says what is wrong.
    pub(super) fn read(self, pack: &dyn Fn(u32) -> Result<PackName, String>) -> Result<(Keep, Cut), String> {
        let mut frames = Vec::new();
        for (number, mut offset, lengths) in self.frames {
            let pack = pack(number)?;
            for (length, content) in lengths {
                frames.push(Frame { piece: Piece { pack, offset, length }, content });
                offset = offset.saturating_add(u64::from(length));
            }
        }
        let ids = STANDARD.decode(self.ids).map_err(|_| "the ids of its segments are not base64")?;
        let (ids, rest) = ids.as_chunks::<16>();
        let count: usize = self.segments.iter().map(|(_, _, lengths)| lengths.len()).sum();
        if !rest.is_empty() || ids.len() != count {
            return Err(format!("it has {count} segments and {} ids", ids.len()));
        }
        let mut segments = Vec::with_capacity(count);
        let mut ids = ids.iter();
        for (frame, mut skip, lengths) in self.segments {
            for (length, id) in lengths.into_iter().zip(&mut ids) {
                segments.push(Segment { id: *id, frame, skip, length });
                skip = skip.saturating_add(length);
            }
        }
        let values = STANDARD.decode(self.values).map_err(|_| "its hashes are not base64")?;
        let (values, rest) = values.as_chunks::<32>();
        if !rest.is_empty() {
            return Err("its hashes do not have their length".into());
        }
        let mut prefixes: Vec<Prefix> =
            self.others.into_iter().map(|(block, byte)| Prefix { block, byte }).collect();
        let mut block: u32 = 0;
        for distance in self.headers {
            block = block.checked_add(distance).ok_or("a header lies beyond all blocks")?;
            prefixes.push(Prefix { block, byte: HEADER });
        }
        prefixes.sort_by_key(|prefix| prefix.block);
        let cut = Cut { average: self.average, values: values.to_vec(), prefixes, frames, segments };
        Ok((self.keep, cut))
    }
}

/// What two records of a file have in common, from its begin.
fn common(base: &Cut, now: &Cut) -> Keep {
    if base.average != now.average {
        return Keep::default();
    }
    let is_same = |(before, now_segment): &(&Segment, &Segment)| {
        let frame = |cut: &Cut, segment: &Segment| cut.frames.get(segment.frame as usize).copied();
        let place = |segment: &Segment| (segment.id, segment.skip, segment.length);
        place(before) == place(now_segment) && frame(base, before) == frame(now, now_segment)
    };
    let segments = base.segments.iter().zip(&now.segments).take_while(is_same).count();
    let pieces = base.values.iter().zip(&now.values).take_while(|(before, now)| before == now).count();
    Keep { pieces: pieces as u32, segments: segments as u32 }
}

/// Adds to a record of the changes what it has in common with that of the base. `None` if that is not there.
pub(super) fn complete_cut(keep: Keep, base: &Cut, cut: &mut Cut) -> Option<()> {
    let (segments, pieces) = (keep.segments as usize, keep.pieces as usize);
    if base.segments.len() < segments || base.values.len() < pieces {
        return None;
    }
    let written = blocks::first_of_piece(keep.pieces.into());
    let mut complete = CutBuilder::new(cut.average);
    complete.push_segments(base, 0..segments);
    complete.push_values(base.values.get(..pieces)?);
    let before = base.prefixes.partition_point(|prefix| u64::from(prefix.block) < written);
    complete.push_prefixes(base.prefixes.get(..before)?);
    // A segment in no frame would be lost here.
    if cut.segments.iter().any(|segment| segment.frame as usize >= cut.frames.len()) {
        return None;
    }
    complete.append(cut);
    *cut = complete.finish();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PIECE;

    fn cut(places: &[(u8, u64, u32, u32)], values: &[u8]) -> Cut {
        let mut builder = CutBuilder::new(16 << 10);
        for (pack, offset, skip, length) in places {
            let piece = Piece { pack: PackName([*pack; 16]), offset: *offset, length: 100 };
            builder.push(
                Frame { piece, content: 1 << 20 },
                Segment { id: [*skip as u8; 16], frame: 0, skip: *skip, length: *length },
            );
        }
        builder.push_values(&values.iter().map(|value| [*value; 32]).collect::<Vec<_>>());
        builder.push_prefixes(&[
            Prefix { block: 0, byte: 1 },
            Prefix { block: 7, byte: 9 },
            Prefix { block: 255, byte: 1 },
            Prefix { block: 256, byte: 1 },
        ]);
        builder.finish()
    }

    fn round(cut: &Cut, base: Option<&Cut>) -> (Cut, usize) {
        let mut table = PackTable::default();
        let base = base.map(|base| Location::Cut(std::sync::Arc::new(base.clone())));
        let line = serde_json::to_vec(&CutLine::new(cut, base.as_ref(), &mut table)).unwrap();
        let read: CutLine = serde_json::from_slice(&line).unwrap();
        let (keep, mut read) =
            read.read(&|number| table.name(number).ok_or_else(|| "unknown".to_owned())).unwrap();
        if let Some(Location::Cut(base)) = &base {
            complete_cut(keep, base, &mut read).unwrap();
        }
        (read, line.len())
    }

    #[test]
    fn lines_are_read_as_they_are_written() {
        let before = cut(&[(1, 8, 0, 10), (1, 8, 10, 20), (1, 108, 0, 5), (2, 8, 3, 9)], &[1, 2, 3]);
        assert_eq!(round(&before, None).0, before);
        assert_eq!(round(&before, Some(&before)).0, before);
        for now in [
            cut(&[(1, 8, 0, 10), (1, 8, 10, 20), (3, 8, 0, 100)], &[1, 2, 4, 5]),
            cut(&[(3, 8, 0, 100), (1, 8, 10, 20)], &[1]),
            cut(&[(1, 8, 0, 10), (1, 8, 10, 20), (1, 108, 0, 5), (2, 8, 3, 9), (2, 8, 20, 1)], &[7, 8]),
        ] {
            assert_eq!(round(&now, None).0, now);
            assert_eq!(round(&now, Some(&before)).0, now);
        }
        let other = Cut { average: 4096, ..before.clone() };
        assert_eq!(round(&other, Some(&before)).0, other);
    }

    #[test]
    fn what_the_base_has_is_not_written_again() {
        let places: Vec<_> = (0..200).map(|number| (1, 8, number, 1)).collect();
        let base = cut(&places, &[1; 100]);
        let now = cut(&[&places[..], &[(2, 8, 0, 9)]].concat(), &[&[1; 100][..], &[2]].concat());
        let (read, short) = round(&now, Some(&base));
        assert_eq!(read, now);
        assert!(short * 10 < round(&now, None).1, "{short}");
        assert_eq!(blocks::first_of_piece(1), PIECE / 4096);
    }
}

//! A file as a line of a manifest.

use std::sync::Arc;

use archive::{Facts, FileStat};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::cut_line::{CutLine, complete_cut};
use super::table::PackTable;
use crate::names::PackName;
use crate::record::{FileRecord, Location, OwnPiece, Piece, Slice};

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // Nearly all lines are files.
pub(crate) enum Line {
    File(FileRecord),
    /// The file of this name, which `base` has, is not in the backup.
    Gone(String),
}

/// A line as it is in the manifest with the changes: the first pieces of a file may be those that `base` records.
pub(crate) enum Changed {
    Line(Line),
    /// A record that lacks its first pieces.
    Keeps(Keep, FileRecord),
}

/// How much of the base's record of a file is that of its record in the changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keep {
    pub(super) pieces: u32,
    /// Of a file that is cut.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) segments: u32,
}

#[derive(Serialize, Deserialize)]
struct GoneLine {
    gone: String,
}

#[derive(Serialize, Deserialize)]
struct FileLine {
    name: String,
    size: u64,
    blake3: String,
    mtime: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stat: Option<(u64, i64, u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
    at: At,
    #[serde(flatten)]
    facts: Facts,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum At {
    Shared {
        pack: u32,
        offset: u64,
        length: u32,
        content: u32,
        skip: u32,
    },
    Slices {
        slices: Vec<(u32, u64, u32, u32, u32, u32)>,
    },
    Own {
        #[serde(default, skip_serializing_if = "is_zero")]
        keep: u32,
        runs: Vec<(u32, u64, Vec<u32>)>,
        values: String,
    },
    Cut(CutLine),
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands references over
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Line {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::File(file) => &file.name,
            Self::Gone(name) => name,
        }
    }

    /// Appends the line. Of a file that has its first pieces as in `base`, only the others are written.
    pub(crate) fn write(
        &self,
        table: &mut PackTable,
        base: Option<&FileRecord>,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        match self {
            Self::Gone(name) => serde_json::to_writer(&mut *out, &GoneLine { gone: name.clone() })?,
            Self::File(file) => {
                let at = match &file.at {
                    Location::Shared { piece, content, skip } => At::Shared {
                        pack: table.number(piece.pack),
                        offset: piece.offset,
                        length: piece.length,
                        content: *content,
                        skip: *skip,
                    },
                    Location::Slices(slices) => {
                        let mut line = |slice: &Slice| {
                            let Slice { piece: Piece { pack, offset, length }, content, skip, size } = *slice;
                            (table.number(pack), offset, length, content, skip, size)
                        };
                        At::Slices { slices: slices.iter().map(&mut line).collect() }
                    }
                    Location::Own(pieces) => own(pieces, base.map(|base| &base.at), table),
                    Location::Cut(cut) => At::Cut(CutLine::new(cut, base.map(|base| &base.at), table)),
                };
                let stat = file.stat.map(|stat| (stat.length, stat.changed, stat.device, stat.inode));
                let line = FileLine {
                    name: file.name.clone(),
                    size: file.size,
                    blake3: file.blake3.to_hex().to_string(),
                    mtime: file.mtime,
                    stat,
                    memo: file.memo.as_ref().map(|memo| STANDARD.encode(memo)),
                    at,
                    facts: file.facts.clone(),
                };
                serde_json::to_writer(&mut *out, &line)?;
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

fn own(pieces: &[OwnPiece], base: Option<&Location>, table: &mut PackTable) -> At {
    let keep = match base {
        Some(Location::Own(before)) => {
            before.iter().zip(pieces).take_while(|(before, now)| before == now).count()
        }
        _ => 0,
    };
    let mut runs: Vec<(u32, u64, Vec<u32>)> = Vec::new();
    let mut values = Vec::new();
    let mut end = None;
    for own in pieces.get(keep..).unwrap_or_default() {
        let Piece { pack, offset, length } = own.piece;
        match runs.last_mut().filter(|_| end == Some((pack, offset))) {
            Some((_, _, lengths)) => lengths.push(length),
            None => runs.push((table.number(pack), offset, vec![length])),
        }
        end = Some((pack, offset.saturating_add(u64::from(length))));
        values.extend_from_slice(&own.value);
    }
    At::Own { keep: keep as u32, runs, values: STANDARD.encode(values) }
}

impl Changed {
    /// Reads a line. The error says what is wrong.
    pub(crate) fn parse(line: &[u8], packs: &dyn Fn(u32) -> Option<PackName>) -> Result<Self, String> {
        if line.starts_with(b"{\"gone\":") {
            let gone: GoneLine = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            return Ok(Self::Line(Line::Gone(gone.gone)));
        }
        let line: FileLine = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let FileLine { name, size, blake3, mtime, stat, memo, at, facts } = line;
        let pack = |number| packs(number).ok_or_else(|| format!("{name}: pack {number} is not in the table"));
        let (keep, at) = match at {
            At::Shared { pack: number, offset, length, content, skip } => (
                Keep::default(),
                Location::Shared { piece: Piece { pack: pack(number)?, offset, length }, content, skip },
            ),
            At::Slices { slices } => {
                let slice = |(number, offset, length, content, skip, size)| {
                    let piece = Piece { pack: pack(number)?, offset, length };
                    Ok(Slice { piece, content, skip, size })
                };
                let slices: Result<_, String> = slices.into_iter().map(slice).collect();
                (Keep::default(), Location::Slices(slices?))
            }
            At::Own { keep, runs, values } => {
                let values =
                    STANDARD.decode(values).map_err(|_| format!("{name}: its hashes are not base64"))?;
                let (values, rest) = values.as_chunks::<32>();
                let count: usize = runs.iter().map(|(_, _, lengths)| lengths.len()).sum();
                if !rest.is_empty() || values.len() != count {
                    return Err(format!("{name}: it has {count} pieces and {} hashes", values.len()));
                }
                let mut pieces = Vec::with_capacity(count);
                let mut values = values.iter();
                for (number, mut offset, lengths) in runs {
                    let pack = pack(number)?;
                    for (length, value) in lengths.into_iter().zip(&mut values) {
                        pieces.push(OwnPiece { piece: Piece { pack, offset, length }, value: *value });
                        offset = offset.saturating_add(u64::from(length));
                    }
                }
                (Keep { pieces: keep, segments: 0 }, Location::Own(pieces))
            }
            At::Cut(line) => {
                let (keep, cut) = line.read(&pack).map_err(|problem| format!("{name}: {problem}"))?;
                (keep, Location::Cut(Arc::new(cut)))
            }
        };
        let blake3 = blake3::Hash::from_hex(blake3).map_err(|_| format!("{name}: its hash is malformed"))?;
        let memo = memo
            .map(|memo| STANDARD.decode(memo))
            .transpose()
            .map_err(|_| format!("{name}: its memo is not base64"))?;
        let stat = stat.map(|(length, changed, device, inode)| FileStat { length, changed, device, inode });
        let file =
            FileRecord { name, size, blake3, mtime, facts, stat, memo: memo.map(Vec::into_boxed_slice), at };
        Ok(if keep == Keep::default() { Self::Line(Line::File(file)) } else { Self::Keeps(keep, file) })
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Line(line) => line.name(),
            Self::Keeps(_, file) => &file.name,
        }
    }

    /// The complete line, with what `base` records of the file.
    pub(crate) fn complete(self, base: Option<&FileRecord>) -> Result<Line, String> {
        let line = match self {
            Self::Line(line) => line,
            Self::Keeps(keep, mut file) => {
                let done = match (base.map(|base| &base.at), &mut file.at) {
                    (Some(Location::Own(before)), Location::Own(pieces)) => {
                        let kept = before.get(..keep.pieces as usize);
                        kept.map(|kept| pieces.splice(..0, kept.iter().copied()).for_each(drop))
                    }
                    (Some(Location::Cut(before)), Location::Cut(cut)) => {
                        complete_cut(keep, before, Arc::make_mut(cut))
                    }
                    _ => None,
                };
                done.ok_or_else(|| format!("{}: the pieces that it keeps are not there", file.name))?;
                Line::File(file)
            }
        };
        if let Line::File(file) = &line {
            file.check().map_err(|problem| format!("{}: {problem}", file.name))?;
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PIECE;
    use crate::hash;

    fn large(pack: u8, contents: &[u8]) -> FileRecord {
        let size = PIECE * contents.len() as u64;
        let mut offset = 8;
        let pieces: Vec<OwnPiece> = contents
            .iter()
            .enumerate()
            .map(|(number, byte)| {
                let value = hash::of_piece(number as u64, &vec![*byte; PIECE as usize]);
                let piece = Piece { pack: PackName([pack; 16]), offset, length: 100 + number as u32 };
                offset += u64::from(piece.length);
                OwnPiece { piece, value }
            })
            .collect();
        let values: Vec<_> = pieces.iter().map(|own| own.value).collect();
        FileRecord {
            name: "data/shards/x.couch".into(),
            size,
            blake3: hash::of_file(size, &values).unwrap(),
            mtime: 7,
            facts: Facts::Other,
            stat: Some(FileStat { length: size, changed: -1, device: 2, inode: 3 }),
            memo: Some(vec![1, 2].into()),
            at: Location::Own(pieces),
        }
    }

    fn round(line: &Line, base: Option<&FileRecord>) -> (Line, usize) {
        let (mut table, mut text) = (PackTable::default(), Vec::new());
        line.write(&mut table, base, &mut text).unwrap();
        let read = Changed::parse(text.trim_ascii_end(), &|number| table.name(number)).unwrap();
        assert_eq!(read.name(), line.name());
        (read.complete(base).unwrap(), text.len())
    }

    #[test]
    fn lines_are_read_as_they_are_written() {
        let file = large(1, &[1, 2, 3]);
        let shared = FileRecord {
            size: 5,
            at: Location::Shared {
                piece: Piece { pack: PackName([2; 16]), offset: 8, length: 9 },
                content: 20,
                skip: 15,
            },
            stat: None,
            memo: None,
            ..file.clone()
        };
        let piece = Piece { pack: PackName([3; 16]), offset: 9, length: 10 };
        let slice = Slice { piece, content: 30, skip: 1, size: 2 };
        let slices = [slice, Slice { skip: 7, size: 3, ..slice }];
        let grown = FileRecord { at: Location::Slices(slices.into()), ..shared.clone() };
        for line in
            [Line::File(file.clone()), Line::File(shared), Line::File(grown), Line::Gone("data/x\"y".into())]
        {
            assert_eq!(round(&line, None).0, line);
            assert_eq!(round(&line, Some(&file)).0, line);
        }
    }

    #[test]
    fn what_the_base_has_is_not_written_again() {
        let base = large(1, &[1; 40]);
        let mut now = large(1, &[1; 40]);
        if let (Location::Own(pieces), Location::Own(other)) = (&mut now.at, &large(2, &[1; 40]).at) {
            pieces[39] = other[39];
        }
        let line = Line::File(now);
        let (read, short) = round(&line, Some(&base));
        assert_eq!(read, line);
        assert!(short * 4 < round(&line, None).1);
        // Without its base it is refused.
        let (mut table, mut text) = (PackTable::default(), Vec::new());
        line.write(&mut table, Some(&base), &mut text).unwrap();
        let read = Changed::parse(text.trim_ascii_end(), &|number| table.name(number)).unwrap();
        assert!(read.complete(None).is_err());
    }

    #[test]
    fn impossible_parts_of_small_files_are_refused() {
        let piece = Piece { pack: PackName([3; 16]), offset: 9, length: 10 };
        let slice = Slice { piece, content: 30, skip: 27, size: 3 };
        let at = |slices: &[Slice]| Location::Slices(slices.into());
        let file = FileRecord { size: 6, at: at(&[slice, slice]), ..large(1, &[1, 2]) };
        assert_eq!(file.check(), Ok(()));
        let long = Slice { piece: Piece { length: 32, ..piece }, ..slice };
        for slices in
            [vec![], vec![slice], vec![slice; 3], vec![slice, Slice { skip: 28, ..slice }], vec![slice, long]]
        {
            assert!(FileRecord { at: at(&slices), ..file.clone() }.check().is_err(), "{slices:?}");
        }
    }

    #[test]
    fn impossible_lines_are_refused() {
        let file = large(1, &[1, 2, 3]);
        let (mut table, mut text) = (PackTable::default(), Vec::new());
        Line::File(file).write(&mut table, None, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for (from, to) in [
            ("\"runs\":[[0,", "\"runs\":[[1,"),
            ("\"size\":3145728", "\"size\":3145729"),
            ("\"size\":3145728", "\"size\":4194304"),
            ("[100,", "[4294967295,"),
            ("[100,", "[0,"),
            ("[100,", "["),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{from}");
            let read = Changed::parse(other.trim_end().as_bytes(), &|number| table.name(number));
            assert!(read.and_then(|line| line.complete(None)).is_err(), "{to}");
        }
        let flipped = text.replacen("\"values\":\"", "\"values\":\"AAAA", 1);
        assert!(Changed::parse(flipped.trim_end().as_bytes(), &|number| table.name(number)).is_err());
    }
}

//! A file of a backup, and where its bytes are.

use std::sync::Arc;

use archive::Facts;
use archive::{FileStat, Hash};

use crate::PIECE;
use crate::cut::Cut;
use crate::hash::{self, Value};
use crate::names::PackName;

/// A file of a backup.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRecord {
    /// Name in the backup, as in an archive: `data/` and the path below the data directory.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of its content.
    pub blake3: Hash,
    /// Time of its last change, in seconds since 1970.
    pub mtime: u64,
    /// What it is.
    pub facts: Facts,
    /// The file's stat when it was read; `None` if the next backup has to open it.
    pub(crate) stat: Option<FileStat>,
    /// What its source wants to be told if the file is as it was.
    pub(crate) memo: Option<Box<[u8]>>,
    /// Where its bytes are.
    pub(crate) at: Location,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// In a piece that it may share with others: files of at most [`PIECE`] bytes.
    Shared {
        piece: Piece,
        /// Bytes of the piece's content.
        content: u32,
        /// Where the file begins in it.
        skip: u32,
    },
    /// In parts of several pieces, which it may share with others: files of at most [`PIECE`] bytes that have grown.
    Slices(Box<[Slice]>),
    /// In pieces of its own, of [`PIECE`] bytes each but the last.
    Own(Vec<OwnPiece>),
    /// In segments.
    Cut(Arc<Cut>),
}

/// A part of a small file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) piece: Piece,
    /// Bytes of the piece's content.
    pub(crate) content: u32,
    /// Where the part begins in it.
    pub(crate) skip: u32,
    /// Bytes of the part.
    pub(crate) size: u32,
}

/// A piece in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Piece {
    pub(crate) pack: PackName,
    /// Offset in the pack, in bytes.
    pub(crate) offset: u64,
    /// Bytes in the pack.
    pub(crate) length: u32,
}

/// A piece that belongs to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnPiece {
    pub(crate) piece: Piece,
    pub(crate) value: Value,
}

impl FileRecord {
    /// The packs that it needs, each with the bytes of content that lie there.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (PackName, u64)> + '_ {
        let (own, cut) = match &self.at {
            Location::Shared { .. } | Location::Slices(_) => (&[][..], None),
            Location::Own(pieces) => (pieces.as_slice(), None),
            Location::Cut(cut) => (&[][..], Some(cut)),
        };
        let slices = self.slices().map(|slice| (slice.piece.pack, u64::from(slice.size)));
        let own = own
            .iter()
            .enumerate()
            .map(|(number, own)| (own.piece.pack, piece_size(self.size, number as u64)));
        slices.chain(own).chain(cut.into_iter().flat_map(|cut| cut.uses()))
    }

    /// The parts of a small file, in order; none for a large one.
    pub(crate) fn slices(&self) -> impl Iterator<Item = Slice> + '_ {
        let (one, several) = match &self.at {
            Location::Shared { piece, content, skip } => {
                let size = u32::try_from(self.size).unwrap_or(u32::MAX);
                (Some(Slice { piece: *piece, content: *content, skip: *skip, size }), &[][..])
            }
            Location::Slices(slices) => (None, &**slices),
            Location::Own(_) | Location::Cut(_) => (None, &[][..]),
        };
        one.into_iter().chain(several.iter().copied())
    }

    /// Whether it has no pieces of its own.
    pub(crate) fn is_small(&self) -> bool {
        matches!(self.at, Location::Shared { .. } | Location::Slices(_))
    }

    /// The hash of the piece of this number of a large file.
    pub(crate) fn value(&self, number: u64) -> Option<&Value> {
        let number = usize::try_from(number).ok()?;
        match &self.at {
            Location::Shared { .. } | Location::Slices(_) => None,
            Location::Own(pieces) => pieces.get(number).map(|own| &own.value),
            Location::Cut(cut) => cut.values.get(number),
        }
    }

    /// The parts that have to be read for it.
    pub fn parts(&self) -> usize {
        self.pieces() + self.slices().count()
    }

    /// Bytes of memory that say where it is, more or less.
    pub(crate) fn memory(&self) -> u64 {
        let bytes = match &self.at {
            Location::Shared { .. } => 0,
            Location::Slices(slices) => size_of_val(&**slices),
            Location::Own(pieces) => size_of_val(pieces.as_slice()),
            Location::Cut(cut) => {
                size_of_val(cut.segments.as_slice())
                    + size_of_val(cut.frames.as_slice())
                    + size_of_val(cut.values.as_slice())
                    + size_of_val(cut.prefixes.as_slice())
            }
        };
        bytes as u64
    }

    /// Pieces of a large file; 0 for a small one.
    pub(crate) fn pieces(&self) -> usize {
        match &self.at {
            Location::Shared { .. } | Location::Slices(_) => 0,
            Location::Own(pieces) => pieces.len(),
            Location::Cut(cut) => cut.values.len(),
        }
    }

    /// Says what cannot be true of it.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match &self.at {
            Location::Shared { .. } | Location::Slices(_) => {
                let mut size = 0;
                for slice in self.slices() {
                    let end = u64::from(slice.skip).saturating_add(u64::from(slice.size));
                    let content = u64::from(slice.content);
                    if content > 2 * PIECE || end > content {
                        return Err("a file does not fit into its piece");
                    }
                    check_length(&slice.piece, content)?;
                    size += u64::from(slice.size);
                }
                if self.size > PIECE || size != self.size {
                    return Err("the parts of a small file do not fit its size");
                }
                Ok(())
            }
            Location::Own(pieces) => {
                for (number, own) in pieces.iter().enumerate() {
                    check_length(&own.piece, piece_size(self.size, number as u64))?;
                }
                let values: Vec<Value> = pieces.iter().map(|own| own.value).collect();
                self.check_values(&values)
            }
            Location::Cut(cut) => {
                cut.check(self.size)?;
                self.check_values(&cut.values)
            }
        }
    }

    fn check_values(&self, values: &[Value]) -> Result<(), &'static str> {
        if self.size <= PIECE || values.len() as u64 != self.size.div_ceil(PIECE) {
            return Err("the number of a file's pieces does not fit its size");
        }
        match hash::of_file(self.size, values) {
            Some(hash) if hash == self.blake3 => Ok(()),
            _ => Err("the hashes of a file's pieces do not give its hash"),
        }
    }
}

pub(crate) fn check_length(piece: &Piece, content: u64) -> Result<(), &'static str> {
    if u64::from(piece.length) > crate::piece::longest(content) || piece.length == 0 {
        return Err("a piece claims an absurd length");
    }
    Ok(())
}

/// Bytes of the piece with this number of a file of `size` bytes.
pub(crate) fn piece_size(size: u64, number: u64) -> u64 {
    size.saturating_sub(number.saturating_mul(PIECE)).min(PIECE)
}

//! What a tree's nodes say of everything below them.
//!
//! Source: `couch_bt_engine.erl` (`id_tree_reduce/2` and its kin).

use crate::error::TermError;
use crate::term::{Decoder, Encoder, Token};

/// Sizes of document bodies and attachments, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// On disk.
    pub active: u64,
    /// As JSON, estimated.
    pub external: u64,
}

impl Sizes {
    /// Reads `{Active, External}`, an integer (files before CouchDB 2) or an atom (not known).
    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, TermError> {
        match decoder.token()? {
            Token::Tuple(2) => Ok(Self { active: decoder.uint()?, external: decoder.uint()? }),
            Token::Int(n) => Ok(Self { active: u64::try_from(n).unwrap_or(0), external: 0 }),
            Token::Atom(_) | Token::Nil => Ok(Self::default()),
            _ => Err(decoder.error("no sizes")),
        }
    }

    /// Writes `{Active, External}`.
    pub(crate) fn encode(self, encoder: &mut Encoder) {
        encoder.tuple(2).uint(self.active).uint(self.external);
    }

    /// Adds without overflow: the numbers may come from a damaged file.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            active: self.active.saturating_add(other.active),
            external: self.external.saturating_add(other.external),
        }
    }
}

/// Which of a database's trees it is; says what keys, values and reductions look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// Document id to `{Seq, Deleted, Sizes, RevTree}`.
    Id,
    /// Sequence to `{Id, Deleted, Sizes, RevTree}`.
    Seq,
    /// Local document id to `{Rev, Body}`.
    Local,
    /// Purge uuid to `{PurgeSeq, Id, Revs}`.
    Purge,
    /// Purge sequence to `{Uuid, Id, Revs}`.
    PurgeSeq,
}

impl TreeKind {
    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id tree",
            Self::Seq => "seq tree",
            Self::Local => "local tree",
            Self::Purge => "purge tree",
            Self::PurgeSeq => "purge seq tree",
        }
    }
}

/// The reduction of a tree or a part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reduction {
    /// Entries; in the id tree those that are not deleted.
    pub count: u64,
    /// Deleted documents, in the id tree only.
    pub deleted: u64,
    /// Sums of the documents' sizes, in the id tree only.
    pub sizes: Sizes,
}

impl Reduction {
    /// The reduction of one entry.
    pub fn of_entry(kind: TreeKind, value: &[u8]) -> Result<Self, TermError> {
        if kind != TreeKind::Id {
            return Ok(Self { count: 1, ..Self::default() });
        }
        let mut decoder = Decoder::new(value);
        let size = decoder.tuple()?;
        decoder.skip()?;
        let deleted = flag(&mut decoder)?;
        let sizes = if size >= 4 { Sizes::decode(&mut decoder)? } else { Sizes::default() };
        Ok(Self { count: u64::from(!deleted), deleted: u64::from(deleted), sizes })
    }

    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            deleted: self.deleted.saturating_add(other.deleted),
            sizes: self.sizes.plus(other.sizes),
        }
    }

    /// Reads a stored reduction. The flag shows whether it holds the sizes (files before CouchDB 2 do not).
    pub fn decode(kind: TreeKind, raw: &[u8]) -> Result<(Self, bool), TermError> {
        let mut decoder = Decoder::new(raw);
        match kind {
            TreeKind::Local => {
                decoder.skip()?;
                Ok((Self::default(), false))
            }
            TreeKind::Seq | TreeKind::Purge | TreeKind::PurgeSeq => {
                Ok((Self { count: decoder.uint()?, ..Self::default() }, false))
            }
            TreeKind::Id => {
                let size = decoder.tuple()?;
                let count = decoder.uint()?;
                let deleted = decoder.uint()?;
                if size == 3 && matches!(decoder.peek()?, Token::Tuple(3)) {
                    decoder.tuple()?;
                    decoder.atom()?;
                    let sizes = Sizes { active: decoder.uint()?, external: decoder.uint()? };
                    return Ok((Self { count, deleted, sizes }, true));
                }
                Ok((Self { count, deleted, sizes: Sizes::default() }, false))
            }
        }
    }

    /// The encoded form that CouchDB 2 and later write.
    pub fn encode(&self, kind: TreeKind) -> Vec<u8> {
        let mut encoder = Encoder::new();
        match kind {
            TreeKind::Local => encoder.nil(),
            TreeKind::Seq | TreeKind::Purge | TreeKind::PurgeSeq => encoder.uint(self.count),
            TreeKind::Id => encoder
                .tuple(3)
                .uint(self.count)
                .uint(self.deleted)
                .tuple(3)
                .atom(b"size_info")
                .uint(self.sizes.active)
                .uint(self.sizes.external),
        };
        encoder.finish()
    }
}

/// Reads a deleted flag: 0, 1, `true` or `false`.
pub(crate) fn flag(decoder: &mut Decoder<'_>) -> Result<bool, TermError> {
    match decoder.token()? {
        Token::Int(0) | Token::Atom(b"false") => Ok(false),
        Token::Int(1) | Token::Atom(b"true") => Ok(true),
        _ => Err(decoder.error("no deleted flag")),
    }
}

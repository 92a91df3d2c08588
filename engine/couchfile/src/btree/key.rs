//! Keys: binaries in document, local and purge trees, integers in sequence trees.

use std::cmp::Ordering;

use crate::error::TermError;
use crate::term::{Decoder, Encoder, Token};

/// A key of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// A document id, a local document id or a purge uuid.
    Bytes(&'a [u8]),
    /// A sequence.
    Seq(u64),
}

impl<'a> Key<'a> {
    /// Reads a key from its encoded term.
    pub fn decode(raw: &'a [u8]) -> Result<Self, TermError> {
        match Decoder::new(raw).token()? {
            Token::Binary(bytes) => Ok(Self::Bytes(bytes)),
            Token::Int(value) => {
                u64::try_from(value).map(Self::Seq).map_err(|_| TermError { at: 0, what: "negative key" })
            }
            _ => Err(TermError { at: 0, what: "key is neither binary nor integer" }),
        }
    }

    /// The key's term, without version byte.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        match self {
            Self::Bytes(bytes) => encoder.binary(bytes),
            Self::Seq(seq) => encoder.uint(*seq),
        };
        encoder.finish()
    }

    /// Erlang's order: integers before binaries, binaries bytewise with a prefix first.
    pub fn order(&self, other: &Key<'_>) -> Ordering {
        match (self, other) {
            (Self::Bytes(a), Key::Bytes(b)) => a.cmp(b),
            (Self::Seq(a), Key::Seq(b)) => a.cmp(b),
            (Self::Seq(_), Key::Bytes(_)) => Ordering::Less,
            (Self::Bytes(_), Key::Seq(_)) => Ordering::Greater,
        }
    }
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "\"{}\"", String::from_utf8_lossy(bytes)),
            Self::Seq(seq) => write!(f, "{seq}"),
        }
    }
}

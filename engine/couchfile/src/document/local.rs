//! Local documents and purges.
//!
//! Source: `couch_bt_engine.erl` (`local_tree_join/2`, `purge_tree_join/2`, `purge_seq_tree_join/2`).

use crate::btree::{Entry, Key};
use crate::error::TermError;
use crate::revtree::RevId;
use crate::term::{Decoder, Token};

/// A document that is not replicated: a checkpoint of a replication, a purge or a client.
#[derive(Debug, Clone, Copy)]
pub struct LocalDocument<'a> {
    /// Its id, with `_local/` in front.
    pub id: &'a [u8],
    /// The number after `0-` in its revision.
    pub revision: u64,
    /// Its body, an encoded term.
    pub body: &'a [u8],
}

impl<'a> LocalDocument<'a> {
    /// Reads an entry of the local tree: `{Rev, Body}`.
    pub fn from_entry(entry: &Entry<'a>) -> Result<Self, TermError> {
        let Key::Bytes(id) = entry.key else {
            return Err(TermError { at: 0, what: "an id that is not a binary" });
        };
        let mut decoder = Decoder::new(entry.value);
        decoder.tuple_of(2)?;
        let revision = match decoder.token()? {
            Token::Int(revision) => u64::try_from(revision).unwrap_or(0),
            Token::Binary(text) => std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).unwrap_or(0),
            _ => return Err(decoder.error("no local revision")),
        };
        let body = decoder.raw()?;
        decoder.end()?;
        Ok(Self { id, revision, body })
    }
}

/// Revisions that were purged.
#[derive(Debug, Clone)]
pub struct Purge<'a> {
    /// When, in the order of purges.
    pub seq: u64,
    /// Identifies the purge in all copies.
    pub uuid: &'a [u8],
    /// The document.
    pub id: &'a [u8],
    /// Generation and id of each purged revision.
    pub revisions: Vec<(u64, RevId<'a>)>,
}

impl<'a> Purge<'a> {
    /// Reads an entry of the purge tree (`{PurgeSeq, Id, Revs}`) or the purge sequence tree (`{Uuid, Id, Revs}`).
    pub fn from_entry(entry: &Entry<'a>) -> Result<Self, TermError> {
        let mut decoder = Decoder::new(entry.value);
        decoder.tuple_of(3)?;
        let (seq, uuid) = match entry.key {
            Key::Bytes(uuid) => (decoder.uint()?, uuid),
            Key::Seq(seq) => (seq, decoder.binary()?),
        };
        let id = decoder.binary()?;
        let mut revisions = Vec::new();
        decoder.list_items(|d| -> Result<(), TermError> {
            d.tuple_of(2)?;
            revisions.push((d.uint()?, RevId(d.binary()?)));
            Ok(())
        })?;
        decoder.end()?;
        Ok(Self { seq, uuid, id, revisions })
    }
}

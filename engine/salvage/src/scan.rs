//! Goes through a complete file once: every header, every node of every generation.

use couchfile::blocks::{BLOCK, Blocks, HEADER_PREFIX};
use couchfile::btree::{Key, LooseNode};
use couchfile::compression;
use couchfile::document::DocInfo;
use couchfile::error::Result;
use couchfile::header::{DbHeader, RawHeader, read_header};
use couchfile::read_at::ReadAt;
use couchfile::term::{Decoder, Encoder};

use crate::found::{By, Found};
use crate::search::{self, Hit, MAX_NODE};

/// How many of the newest headers are kept.
const KEPT: usize = 8;
/// Longest chunk with a checksum that is read, in bytes.
const MAX_SUMMARY: u64 = 32 << 20;

/// A header of a database, wherever it lies.
#[derive(Debug, Clone)]
pub(crate) struct FoundHeader {
    pub(crate) offset: u64,
    pub(crate) end: u64,
    pub(crate) header: DbHeader,
}

/// What a pass over a file found besides entries.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The headers with the highest update sequences, the highest first.
    pub(crate) headers: Vec<FoundHeader>,
    /// Number of valid headers.
    pub(crate) header_count: u64,
    /// Number of nodes that were read.
    pub(crate) nodes: u64,
    /// Number of times that the order of the chunks was lost.
    pub(crate) breaks: u64,
}

/// Goes through the file and hands over every entry of a document. `passed` is called with the offset that is reached.
///
/// Chunks lie one behind the other, from the end of each header on. As long as each of them is one that CouchDB writes, they lead to
/// each other, and a node among them is framed. Behind anything else (damage, but an attachment as well, of which only its
/// document knows how it ends), nodes are searched for.
pub(crate) fn scan<R: ReadAt, E: From<couchfile::error::CouchFileError>>(
    blocks: &Blocks<R>,
    copy: u16,
    mut passed: impl FnMut(u64),
    found: &mut dyn FnMut(Found) -> Result<(), E>,
) -> Result<Scan, E> {
    let mut scan = Scan::default();
    let mut at = 0;
    let mut framed = true;
    while at < blocks.end() {
        passed(at);
        match next_chunk(blocks, at)? {
            Chunk::Header(raw) => {
                at = raw.end;
                framed = true;
                scan.header(&raw);
            }
            Chunk::Node(node, end) => {
                scan.nodes += 1;
                entries(&node, copy, at, framed, found)?;
                framed &= node.is_complete();
                at = end;
            }
            Chunk::Other(end) => at = end,
            Chunk::Unknown => {
                scan.breaks += u64::from(framed);
                framed = false;
                match search::next(blocks, at)? {
                    None => break,
                    Some(Hit::Header(raw)) => at = raw.offset,
                    Some(Hit::Node { start, end, node }) => {
                        scan.nodes += 1;
                        entries(&node, copy, start, false, found)?;
                        at = end;
                    }
                }
            }
        }
    }
    Ok(scan)
}

impl Scan {
    fn header(&mut self, raw: &RawHeader) {
        self.header_count += 1;
        let Some(header) = database_header(raw) else { return };
        self.headers.push(FoundHeader { offset: raw.offset, end: raw.end, header });
        self.headers.sort_by_key(|h| std::cmp::Reverse((h.header.update_seq, h.offset)));
        self.headers.truncate(KEPT);
    }
}

/// The header of a database, also that inside the header of a compaction: `{comp_header, DbHeader, MetaState}`.
fn database_header(raw: &RawHeader) -> Option<DbHeader> {
    let mut decoder = Decoder::versioned(&raw.term).ok()?;
    decoder.tuple().ok()?;
    match decoder.atom().ok()? {
        b"db_header" => DbHeader::decode(&raw.term, raw.offset).ok(),
        b"comp_header" => {
            let mut term = Encoder::versioned();
            term.raw(decoder.raw().ok()?);
            DbHeader::decode(term.as_bytes(), raw.offset).ok()
        }
        _ => None,
    }
}

enum Chunk {
    Header(RawHeader),
    Node(LooseNode, u64),
    /// A summary with a right checksum, a security object, padding: what ends where it says.
    Other(u64),
    Unknown,
}

fn next_chunk<R: ReadAt>(blocks: &Blocks<R>, at: u64) -> Result<Chunk> {
    if at.is_multiple_of(BLOCK) && blocks.read_raw(at, 1)?.first() == Some(&HEADER_PREFIX) {
        return Ok(read_header(blocks, at)?.map_or(Chunk::Unknown, Chunk::Header));
    }
    let Some(word) = search::word(blocks, at)? else { return padding(blocks, at) };
    let length = u64::from(word & !(1 << 31));
    if word & (1 << 31) != 0 {
        if length > MAX_SUMMARY {
            return Ok(Chunk::Unknown);
        }
        return Ok(blocks.read_chunk(at, "summary").map_or(Chunk::Unknown, |chunk| Chunk::Other(chunk.end)));
    }
    if word == 0 {
        return padding(blocks, at);
    }
    if length > MAX_NODE {
        return Ok(Chunk::Unknown);
    }
    let Ok(chunk) = blocks.read_chunk(at, "chunk") else { return Ok(Chunk::Unknown) };
    if let Some(node) = LooseNode::decode(&chunk.payload) {
        return Ok(Chunk::Node(node, chunk.end));
    }
    let is_term = compression::unpack(&chunk.payload).is_ok_and(|term| {
        let mut decoder = term.decoder();
        decoder.skip().and_then(|()| decoder.end()).is_ok()
    });
    Ok(if is_term { Chunk::Other(chunk.end) } else { Chunk::Unknown })
}

/// Zeros up to the next block, which a header follows.
fn padding<R: ReadAt>(blocks: &Blocks<R>, at: u64) -> Result<Chunk> {
    let end = (at / BLOCK + 1) * BLOCK;
    if end >= blocks.end() {
        return Ok(Chunk::Unknown);
    }
    let rest = blocks.read_raw(at, end + 1 - at)?;
    let is_padding = rest
        .split_last()
        .is_some_and(|(prefix, zeros)| *prefix == HEADER_PREFIX && zeros.iter().all(|&byte| byte == 0));
    Ok(if is_padding { Chunk::Other(end) } else { Chunk::Unknown })
}

/// Hands over the documents in a leaf of one of the two main trees.
fn entries<E>(
    node: &LooseNode,
    copy: u16,
    offset: u64,
    framed: bool,
    found: &mut dyn FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    if !node.is_leaf() {
        return Ok(());
    }
    for entry in node.entries() {
        let (info, by) = match entry.key {
            Key::Bytes(id) if id.starts_with(b"_local/") => continue,
            Key::Bytes(_) => (DocInfo::from_id_tree(&entry), By::Id),
            Key::Seq(_) => (DocInfo::from_seq_tree(&entry), By::Seq),
        };
        let Ok(info) = info else { continue };
        if !is_plausible(&info) {
            continue;
        }
        found(Found {
            id: info.id.to_vec(),
            seq: info.seq,
            copy,
            by,
            value: entry.value.to_vec(),
            node: offset,
            current: false,
            framed,
        })?;
    }
    Ok(())
}

/// Whether an entry can be one that CouchDB writes: ids are text, and revisions begin with 1.
pub(crate) fn is_plausible(info: &DocInfo<'_>) -> bool {
    !info.id.is_empty()
        && std::str::from_utf8(info.id).is_ok()
        && info.revisions.as_ref().is_some_and(|tree| {
            tree.revisions().iter().all(|revision| revision.generation > 0 && !revision.id.0.is_empty())
        })
}

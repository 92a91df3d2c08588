//! A file as CouchDB before 3.4 reads it: with MD5 where it has checksums that those versions do not know.
//!
//! Both checksums have 16 bytes and nothing in a file says which one a chunk carries, so that a checksum is replaced where it
//! stands: no pointer, no length and no reduction changes. Checksums are carried by headers and by document summaries; tree
//! nodes, security objects, properties and attachments have none. Only the last header counts, since nothing behind it is kept.
//!
//! Source: `couch_file.erl` of 3.1 to 3.5 (`assemble_file_chunk_and_checksum/1`, `write_header/2`, and `verify_md5/4`, which
//! is all that 3.1 to 3.3 have) and its callers.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::blocks::{self, BLOCK, Blocks, DATA_PREFIX};
use crate::checksum::{self, Checksum};
use crate::database::Database;
use crate::error::Result;
use crate::read_at::ReadAt;
use crate::revtree::RevTree;
use crate::view::ViewIndex;

/// Bytes that a chunk's length word and its checksum take at most, with the prefix bytes of block starts among them.
const HEAD: u64 = 4 + checksum::LEN as u64 + 2;

/// A source with MD5 in the place of all other checksums. Of a database's summaries it keeps the offsets, 8 bytes for each
/// revision whose body is in the file; what has to stand there is computed when it is read.
#[derive(Debug)]
pub struct Md5Sums<R> {
    blocks: Blocks<R>,
    /// Offsets of the chunks that may carry another checksum, ascending.
    chunks: Vec<u64>,
    /// The last header, if it is to be replaced: its offset and its new bytes.
    header: Option<(u64, Vec<u8>)>,
    replaced: AtomicU64,
}

impl<R: ReadAt> Md5Sums<R> {
    /// A database file, in all of whose revisions' summaries the checksum is MD5; and in its last header.
    ///
    /// Fails if it cannot be opened, or its documents cannot be listed.
    pub fn of_database(source: R) -> Result<Self> {
        let database = Database::open(source)?;
        let mut chunks = Vec::new();
        database.for_each_document(|doc| -> Result<()> {
            let revisions = doc.revisions.iter().flat_map(RevTree::revisions);
            // Offset 0 is what a compaction leaves of a revision whose body it drops.
            chunks.extend(revisions.filter_map(|revision| revision.stored?.summary).filter(|&ptr| ptr > 0));
            Ok(())
        })?;
        chunks.sort_unstable();
        chunks.dedup();
        let (header_offset, end) = (database.header_offset(), database.header_end());
        let blocks = Blocks::new(database.into_source());
        let header = replaced_header(&blocks, header_offset)?;
        Ok(Self { blocks: blocks.up_to(end), chunks, header, replaced: AtomicU64::new(0) })
    }

    /// A view index, in whose last header the checksum is MD5. It has no other.
    ///
    /// Fails if it cannot be opened.
    pub fn of_view(source: R) -> Result<Self> {
        let index = ViewIndex::open(&source)?;
        let blocks = Blocks::new(source);
        let header = replaced_header(&blocks, index.header_offset)?;
        Ok(Self {
            blocks: blocks.up_to(index.header_end),
            chunks: Vec::new(),
            header,
            replaced: AtomicU64::new(0),
        })
    }

    /// How many checksums have been replaced in what was read so far; those that were read twice count twice.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Everything that changes: an offset, and the bytes that stand there instead. Nothing overlaps, and the header comes last.
    pub fn changes(&self) -> impl Iterator<Item = Result<(u64, Vec<u8>)>> + '_ {
        let summaries =
            self.chunks.iter().filter_map(|&ptr| replacement(&self.blocks, ptr, Checksum::Md5).transpose());
        summaries.chain(self.header.iter().cloned().map(Ok))
    }
}

impl<R: ReadAt> ReadAt for Md5Sums<R> {
    fn len(&self) -> u64 {
        self.blocks.source().len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.blocks.source().read_exact_at(buf, offset)?;
        let end = offset + buf.len() as u64;
        let first = self.chunks.partition_point(|&ptr| ptr + HEAD <= offset);
        for &ptr in self.chunks[first..].iter().take_while(|&&ptr| ptr < end) {
            let change = replacement(&self.blocks, ptr, Checksum::Md5).map_err(io::Error::other)?;
            if let Some((at, bytes)) = change {
                lay_over(buf, offset, &bytes, at);
                self.replaced.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some((at, bytes)) = self.header.as_ref().filter(|(at, _)| *at < end) {
            lay_over(buf, offset, bytes, *at);
            self.replaced.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The bytes of a header with MD5; `None` if it has that already.
fn replaced_header<R: ReadAt>(blocks: &Blocks<R>, offset: u64) -> Result<Option<(u64, Vec<u8>)>> {
    let header = crate::header::read_header(blocks, offset)?;
    let other = header.filter(|header| header.checksum != Checksum::Md5);
    Ok(other.map(|header| (offset, crate::header::encode(&header.term))))
}

/// What has to stand where a chunk's checksum is, prefix bytes included, and its offset; `None` if it is the wanted one
/// already, or no checksum is there, or the chunk is damaged: then it stays so.
fn replacement<R: ReadAt>(blocks: &Blocks<R>, ptr: u64, wanted: Checksum) -> Result<Option<(u64, Vec<u8>)>> {
    let chunk = match blocks.read_chunk(ptr, "document summary") {
        Ok(chunk) => chunk,
        Err(e) if e.is_io() => return Err(e),
        Err(_) => return Ok(None),
    };
    let sum = match chunk.checksum {
        Some((found, _)) if found != wanted => wanted.of(&chunk.payload),
        _ => return Ok(None),
    };
    let at = ptr + blocks::physical_len(ptr, 4);
    let mut bytes = Vec::with_capacity(checksum::LEN + 1);
    for byte in sum {
        if (at + bytes.len() as u64).is_multiple_of(BLOCK) {
            bytes.push(DATA_PREFIX);
        }
        bytes.push(byte);
    }
    Ok(Some((at, bytes)))
}

/// Puts `bytes`, which belong at `at`, into a window that begins at `offset`, as far as they lie in it.
fn lay_over(window: &mut [u8], offset: u64, bytes: &[u8], at: u64) {
    let end = offset + window.len() as u64;
    let (from, to) = (at.max(offset), (at + bytes.len() as u64).min(end));
    if from < to {
        let (part, into) = ((from - at) as usize, (from - offset) as usize);
        let n = (to - from) as usize;
        window[into..into + n].copy_from_slice(&bytes[part..part + n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::encode_json;
    use crate::header;
    use crate::writer::{DatabaseWriter, NewBody, NewDocument, Settings};

    /// A file as our writer makes it (all MD5), and as CouchDB 3.5 would (all XXH3).
    fn pair() -> (Vec<u8>, Vec<u8>) {
        let settings = Settings::new("00000000000000000000000000000001".into(), "a@b");
        let mut writer = DatabaseWriter::new(Vec::new(), settings).unwrap();
        // Lengths that shift the chunks over the blocks, so that checksums cross their boundaries everywhere.
        for i in 0..3000usize {
            let json = serde_json::json!({"i": i, "text": "é".repeat(i * 7 % 331)});
            let body = NewBody { term: encode_json(&json).unwrap(), deleted: false, attachments: Vec::new() };
            writer.add(&NewDocument::first(format!("{i:04}").as_bytes(), body)).unwrap();
        }
        let md5 = writer.finish().unwrap();
        let mut xxh3 = md5.clone();
        let sums = Md5Sums::of_database(md5.as_slice()).unwrap();
        assert_eq!(sums.chunks.len(), 3000);
        let mut crossing = 0;
        for &ptr in &sums.chunks {
            let (at, bytes) = replacement(&sums.blocks, ptr, Checksum::Xxh3).unwrap().unwrap();
            crossing += usize::from(bytes.len() > checksum::LEN);
            lay_over(&mut xxh3, 0, &bytes, at);
        }
        assert!(crossing > 1, "a checksum crosses a block's start");
        let blocks = Blocks::new(md5.as_slice());
        let last = header::find_last(&blocks).unwrap().unwrap();
        let sum = checksum::xxh3(&last.term);
        // The header is shorter than a block.
        let at = last.offset as usize + 5;
        xxh3[at..at + checksum::LEN].copy_from_slice(&sum);
        assert_eq!(
            header::find_last(&Blocks::new(xxh3.as_slice())).unwrap().unwrap().checksum,
            Checksum::Xxh3
        );
        (md5, xxh3)
    }

    #[test]
    fn a_file_of_newer_checksums_becomes_the_same_file_with_md5() {
        let (md5, xxh3) = pair();
        assert!(md5 != xxh3);
        let source = Md5Sums::of_database(xxh3.as_slice()).unwrap();
        let mut read = vec![0; md5.len()];
        source.read_exact_at(&mut read, 0).unwrap();
        assert!(read == md5);
        assert_eq!(source.replaced(), 3001, "the summaries and the header");

        let mut changed = xxh3.clone();
        for change in source.changes() {
            let (at, bytes) = change.unwrap();
            changed[at as usize..at as usize + bytes.len()].copy_from_slice(&bytes);
        }
        assert!(changed == md5);
    }

    #[test]
    fn every_window_is_what_all_of_it_is() {
        let (md5, xxh3) = pair();
        let source = Md5Sums::of_database(xxh3.as_slice()).unwrap();
        for size in [1usize, 7, 16, 23, 4096, 5000] {
            let mut offset = 0;
            // With the small ones a part will do.
            let end = if size < 4096 { md5.len().min(20_000) } else { md5.len() };
            while offset < end {
                let mut window = vec![0; size.min(md5.len() - offset)];
                source.read_exact_at(&mut window, offset as u64).unwrap();
                assert!(window == md5[offset..offset + window.len()], "{size} at {offset}");
                offset += window.len();
            }
        }
    }

    #[test]
    fn what_has_md5_already_or_is_damaged_stays_as_it_is() {
        let (md5, mut xxh3) = pair();
        let source = Md5Sums::of_database(md5.as_slice()).unwrap();
        assert_eq!(source.changes().count(), 0);

        let ptr = source.chunks[1500];
        let at = (ptr + blocks::physical_len(ptr, 30)) as usize;
        let at = if at.is_multiple_of(BLOCK as usize) { at + 1 } else { at };
        xxh3[at] ^= 1;
        let damaged = Md5Sums::of_database(xxh3.as_slice()).unwrap();
        assert!(damaged.changes().all(|change| change.is_ok()));
        assert_eq!(damaged.changes().count(), 3000, "all other summaries and the header");
    }
}

//! The end of a file that is read in pieces.

use std::io;

use couchfile::read_at::{ReadAt, check_range};

/// Bytes of a file's end that are kept: they hold a header and what an unfinished write left after it.
const KEPT: usize = 1 << 20;
/// Bytes of a file's beginning that are kept: CouchDB and its compaction write the properties there.
const HEAD: usize = 64 << 10;

/// The last bytes of a file of known length, and the first ones. Reads of others fail.
#[derive(Debug)]
pub(super) struct Tail {
    len: u64,
    start: u64,
    bytes: Vec<u8>,
    head: Vec<u8>,
}

impl Tail {
    /// The end of a file of `len` bytes.
    pub(super) fn new(len: u64) -> Self {
        let kept = len.min(KEPT as u64);
        Self {
            len,
            start: len - kept,
            bytes: vec![0; kept as usize],
            head: vec![0; len.min(HEAD as u64) as usize],
        }
    }

    /// Adds the bytes at `offset`.
    pub(super) fn put(&mut self, offset: u64, bytes: &[u8]) {
        if let Some(head) = self.head.get_mut(usize::try_from(offset).unwrap_or(usize::MAX)..) {
            let count = head.len().min(bytes.len());
            head[..count].copy_from_slice(&bytes[..count]);
        }
        let end = offset + bytes.len() as u64;
        if end <= self.start {
            return;
        }
        let skip = self.start.saturating_sub(offset) as usize;
        let at = (offset.max(self.start) - self.start) as usize;
        let bytes = &bytes[skip..];
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

impl ReadAt for Tail {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len, buf.len(), offset)?;
        let end = usize::try_from(offset).ok().and_then(|at| at.checked_add(buf.len()));
        if let Some(head) = end.and_then(|end| self.head.get(offset as usize..end)) {
            buf.copy_from_slice(head);
            return Ok(());
        }
        let Some(at) = offset.checked_sub(self.start) else {
            return Err(io::Error::other("this part of the file was not kept"));
        };
        buf.copy_from_slice(&self.bytes[at as usize..at as usize + buf.len()]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_of_what_passes() {
        let content: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        let mut tail = Tail::new(content.len() as u64);
        for (i, piece) in content.chunks(70_001).enumerate() {
            tail.put(i as u64 * 70_001, piece);
        }
        let mut buf = vec![0; 1000];
        tail.read_exact_at(&mut buf, 2_999_000).unwrap();
        assert_eq!(buf, content[2_999_000..]);
        assert!(tail.read_exact_at(&mut buf, 100_000).is_err());
        tail.read_exact_at(&mut buf, 64).unwrap();
        assert_eq!(buf, content[64..1064]);
    }
}

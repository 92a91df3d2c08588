//! Reads an encrypted archive by ranges.

use std::sync::Arc;
use std::{fmt, io};

use couchfile::read_at::{ReadAt, check_range};

use crate::cache::ChunkCache;
use crate::chunk::{ChunkKey, PLAIN, SEALED};
use crate::error::{EncryptionError, Result};
use crate::header::{self, Header, HeaderProblem};
use crate::identities::Identities;
use crate::layout::Layout;
use crate::payload_key::{NONCE_LEN, payload_key};

/// Number of bytes that are read first: most headers have less than 1 KiB.
const FIRST_READ: u64 = 64 * 1024;

/// The plaintext of an encrypted archive.
///
/// Offsets and lengths are those of the plaintext, in bytes. Any number of threads reads at once; none waits for another one's
/// decryption.
///
/// A read asks the source for one range: the chunks of 64 KiB that it touches. Chunks that a read uses in part are kept, up to 64
/// of them (4 MiB), so that small reads next to each other ask once. A read needs memory for the range that it asks for.
///
/// Every byte that is returned is authentic. A read that fails has an [`io::Error`] that carries a [`Failure`](outcome::Failure)
/// with the offset of the damage in the encrypted file, or is the source's own error.
pub struct DecryptedSource {
    source: Arc<dyn ReadAt>,
    archive: String,
    key: ChunkKey,
    layout: Layout,
    cache: ChunkCache,
}

impl DecryptedSource {
    /// Opens an encrypted archive. `archive` names it in messages.
    ///
    /// Reads the header (one read of up to 64 KiB, more only if the header is larger) and the last chunk (one read, none if the
    /// file is small). Fails if no key opens the archive, if the header is not authentic, and if the file is cut off anywhere:
    /// only the complete archive ends with a chunk that is marked as the last.
    pub fn open(source: Arc<dyn ReadAt>, archive: &str, identities: &Identities) -> Result<Self> {
        let file_len = source.len();
        let mut start = Vec::new();
        read_up_to(&*source, archive, &mut start, FIRST_READ)?;
        let header = match Header::parse(&start) {
            Err(HeaderProblem::Incomplete) if (start.len() as u64) < file_len => {
                read_up_to(&*source, archive, &mut start, header::MOST as u64)?;
                Header::parse(&start)
            }
            parsed => parsed,
        };
        let header = header.map_err(|problem| EncryptionError::unreadable(archive, file_len, problem))?;
        let layout = Layout::new(file_len, header.len as u64)
            .map_err(|_| EncryptionError::truncated(archive, file_len, "where no archive can end"))?;
        let file_key = identities.unlock(archive, &header)?;

        let mut nonce = [0; NONCE_LEN];
        read(&*source, archive, &start, &mut nonce, header.len as u64)?;
        let key = payload_key(&file_key, &nonce)
            .and_then(|key| ChunkKey::new(&key))
            .ok_or(EncryptionError::Bug("a file key gives no key"))?;

        let end = layout.chunks - 1;
        let mut chunk = vec![0; layout.last];
        read(&*source, archive, &start, &mut chunk, layout.offset(end))?;
        let plain = key
            .open_end(end, &mut chunk)
            .map_err(|problem| EncryptionError::end(archive, layout.offset(end), layout.last, problem))?;
        let cache = ChunkCache::new();
        cache.put(end, plain.into());
        Ok(Self { source, archive: archive.to_owned(), key, layout, cache })
    }

    /// Opens an encrypted file whose beginning is known, as [`head`] returns it. Nothing is read.
    ///
    /// A file that is cut off is recognised only where it is read. Whoever calls this compares the length and the content of the
    /// file with what is recorded elsewhere.
    pub fn with_head(
        source: Arc<dyn ReadAt>,
        archive: &str,
        identities: &Identities,
        head: &[u8],
    ) -> Result<Self> {
        let header = Header::parse(head)
            .map_err(|problem| EncryptionError::unreadable(archive, source.len(), problem))?;
        let layout = Layout::new(source.len(), header.len as u64)
            .map_err(|_| EncryptionError::truncated(archive, source.len(), "where no archive can end"))?;
        let file_key = identities.unlock(archive, &header)?;
        let nonce = head.get(header.len..).and_then(|rest| rest.first_chunk::<NONCE_LEN>());
        let key = nonce
            .and_then(|nonce| payload_key(&file_key, nonce))
            .and_then(|key| ChunkKey::new(&key))
            .ok_or_else(|| EncryptionError::truncated(archive, head.len() as u64, "in the nonce"))?;
        Ok(Self { source, archive: archive.to_owned(), key, layout, cache: ChunkCache::new() })
    }

    /// Length of the encrypted file in bytes.
    pub fn encrypted_len(&self) -> u64 {
        self.source.len()
    }
}

impl ReadAt for DecryptedSource {
    fn len(&self) -> u64 {
        self.layout.plain_len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len(), buf.len(), offset)?;
        if buf.is_empty() {
            return Ok(());
        }
        let mut begin = offset / PLAIN as u64;
        let mut end = (offset + buf.len() as u64).div_ceil(PLAIN as u64);
        // What is known at both ends need not be asked for. A known chunk in between would cost a second request.
        while let Some(plain) = (begin < end).then(|| self.cache.get(begin)).flatten() {
            copy(begin, &plain, buf, offset);
            begin += 1;
        }
        while let Some(plain) = (begin < end).then(|| self.cache.get(end - 1)).flatten() {
            copy(end - 1, &plain, buf, offset);
            end -= 1;
        }
        if begin == end {
            return Ok(());
        }
        let from = self.layout.offset(begin);
        let to = self.layout.offset(end - 1) + self.layout.sealed_len(end - 1) as u64;
        let mut sealed = vec![0; (to - from) as usize];
        self.source.read_exact_at(&mut sealed, from)?;
        for (number, chunk) in (begin..end).zip(sealed.chunks_mut(SEALED)) {
            let len = chunk.len();
            let plain = self
                .key
                .open(number, self.layout.is_last(number), chunk)
                .map_err(|_| EncryptionError::damaged(&self.archive, self.layout.offset(number), len))?;
            if copy(number, plain, buf, offset) < plain.len() {
                self.cache.put(number, plain.into());
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DecryptedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptedSource")
            .field("archive", &self.archive)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

/// The beginning of an encrypted file up to its payload: header and nonce. `None` if it is not an encrypted file.
pub fn head(file: &[u8]) -> Option<&[u8]> {
    let header = Header::parse(file).ok()?;
    file.get(..header.len.checked_add(NONCE_LEN)?)
}

/// Copies what a chunk and a read from `offset` have in common. Returns the number of bytes.
fn copy(chunk: u64, plain: &[u8], buf: &mut [u8], offset: u64) -> usize {
    let start = chunk * PLAIN as u64;
    let from = offset.max(start);
    let to = (offset + buf.len() as u64).min(start + plain.len() as u64);
    if from >= to {
        return 0;
    }
    let len = (to - from) as usize;
    let (into, out_of) = ((from - offset) as usize, (from - start) as usize);
    buf[into..into + len].copy_from_slice(&plain[out_of..out_of + len]);
    len
}

/// Reads on until `start` holds the first `len` bytes of the source, or all.
fn read_up_to(source: &dyn ReadAt, archive: &str, start: &mut Vec<u8>, len: u64) -> Result<()> {
    let known = start.len();
    start.resize(source.len().min(len) as usize, 0);
    source
        .read_exact_at(&mut start[known..], known as u64)
        .map_err(|e| EncryptionError::io(archive, "read the header", e))
}

/// Fills `buf` from `offset` on, from the beginning of the source if that is long enough.
fn read(source: &dyn ReadAt, archive: &str, start: &[u8], buf: &mut [u8], offset: u64) -> Result<()> {
    if start.read_exact_at(buf, offset).is_ok() {
        return Ok(());
    }
    source.read_exact_at(buf, offset).map_err(|e| EncryptionError::io(archive, "read it", e))
}

#[cfg(test)]
mod tests;

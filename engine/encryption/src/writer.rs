//! Encrypts a stream.

use std::fmt;
use std::io::{self, Write};

use crate::chunk::{ChunkKey, PLAIN, SEALED};
use crate::error::{EncryptionError, Result};

/// Encrypts what is written to it, and writes the encrypted archive to `W`.
///
/// `W` gets the archive in pieces of 64 KiB and 16 bytes. [`Write::flush`] only flushes `W`: a chunk that is not full stays here.
///
/// An archive is complete only after [`EncryptingWriter::finish`]. Without it, every reader reports the archive as cut off.
#[must_use = "an archive is incomplete until it is finished"]
pub struct EncryptingWriter<W: Write> {
    archive: String,
    key: ChunkKey,
    out: W,
    /// Plaintext of the chunk with this number. A full chunk is written when more follows: only then is it not the last one.
    chunk: Vec<u8>,
    number: u64,
    failed: bool,
}

impl<W: Write> EncryptingWriter<W> {
    pub(crate) fn new(archive: String, key: ChunkKey, out: W) -> Self {
        Self { archive, key, out, chunk: Vec::with_capacity(SEALED), number: 0, failed: false }
    }

    /// Writes the last chunk, flushes `W` and returns it.
    pub fn finish(mut self) -> Result<W> {
        self.check()?;
        self.write_chunk(true)
            .and_then(|()| self.out.flush())
            .map_err(|e| EncryptionError::io(&self.archive, "write it", e))?;
        Ok(self.out)
    }

    fn check(&self) -> Result<()> {
        if self.failed {
            return Err(EncryptionError::Abandoned { archive: self.archive.clone() });
        }
        Ok(())
    }

    fn write_chunk(&mut self, last: bool) -> io::Result<()> {
        // Until it has succeeded: nobody knows how much of a chunk was written, and no nonce may be used twice.
        self.failed = true;
        self.key
            .seal(self.number, last, &mut self.chunk)
            .map_err(|_| EncryptionError::Bug("a chunk cannot be encrypted"))?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number =
            self.number.checked_add(1).ok_or(EncryptionError::Bug("an archive has too many chunks"))?;
        self.failed = false;
        Ok(())
    }
}

impl<W: Write> Write for EncryptingWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.check()?;
        if data.is_empty() {
            return Ok(0);
        }
        if self.chunk.len() == PLAIN {
            self.write_chunk(false)?;
        }
        let taken = data.len().min(PLAIN - self.chunk.len());
        self.chunk.extend_from_slice(&data[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        self.out.flush()
    }
}

impl<W: Write> fmt::Debug for EncryptingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptingWriter")
            .field("archive", &self.archive)
            .field("chunk", &self.number)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{age_pair, code_in, code_of, for_key};

    /// An output that accepts this many bytes.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            if data.len() > self.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= data.len();
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_a_failed_write_nothing_is_written() {
        let recipients = for_key(&age_pair()[0]);
        assert_eq!(code_of(&recipients.encrypt("a", Full(10)).unwrap_err()), "CC-K01");
        let mut writer = recipients.encrypt("a", Full(1000 + SEALED)).unwrap();
        let error = writer.write_all(&vec![0; 3 * PLAIN]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(code_in(&writer.write(b"x").unwrap_err()), "CC-K20");
        assert_eq!(code_in(&writer.flush().unwrap_err()), "CC-K20");
        assert_eq!(code_of(&writer.finish().err().unwrap()), "CC-K20");
    }

    #[test]
    fn only_the_last_chunk_is_held_back() {
        let mut writer = for_key(&age_pair()[0]).encrypt("a", Vec::new()).unwrap();
        let header = writer.out.len();
        writer.write_all(&vec![0; 2 * PLAIN]).unwrap();
        assert_eq!(writer.out.len(), header + SEALED);
        writer.write_all(b"x").unwrap();
        assert_eq!(writer.out.len(), header + 2 * SEALED);
        assert_eq!(writer.finish().unwrap().len(), header + 2 * SEALED + 17);
    }
}

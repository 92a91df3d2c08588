//! The decompressed stream, with what is needed to distinguish one kind of bad end from another.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use couchfile::read_at::ReadAt;
use flate2::bufread::MultiGzDecoder;

use crate::error::{ArchiveError, Result};

/// The first bytes of every gzip file.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

const BUFFER: usize = 256 << 10;

/// A tar stream, decompressed if it is compressed.
pub(super) struct Input<'a> {
    reader: Box<dyn Read + Send>,
    name: &'a str,
    /// Bytes read of the compressed file.
    consumed: Arc<AtomicU64>,
    /// Bytes given out.
    pub(super) position: u64,
}

impl<'a> Input<'a> {
    /// Looks at the first bytes to see whether the stream is compressed.
    pub(super) fn new(reader: Box<dyn Read + Send>, name: &'a str) -> Result<Self> {
        let consumed = Arc::new(AtomicU64::new(0));
        let mut start = [0; GZIP_MAGIC.len()];
        let mut counted = Counted { reader, consumed: Arc::clone(&consumed) };
        let mut length = 0;
        while let Some(free) = start.get_mut(length..).filter(|free| !free.is_empty()) {
            match counted.read(free) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::io(name, "read its first bytes", error)),
            }
        }
        if length == 0 {
            return Err(ArchiveError::truncated(name, "before its first byte"));
        }
        let read = io::Cursor::new(start.get(..length).unwrap_or_default().to_vec());
        let whole = BufReader::with_capacity(BUFFER, read.chain(counted));
        let reader: Box<dyn Read + Send> =
            if start == GZIP_MAGIC { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        Ok(Self { reader, name, consumed, position: 0 })
    }

    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    /// Fills `buf` as far as the stream goes; gives the number of bytes.
    pub(super) fn read_up_to(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut length = 0;
        while let Some(free) = buf.get_mut(length..).filter(|free| !free.is_empty()) {
            match self.reader.read(free) {
                Ok(0) => break,
                Ok(read) => {
                    length += read;
                    self.position = self.position.saturating_add(read as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.tell(error)),
            }
        }
        Ok(length)
    }

    fn tell(&self, error: io::Error) -> ArchiveError {
        let near = self.consumed.load(Ordering::Relaxed);
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ArchiveError::truncated(self.name, "in the middle of its gzip data")
            }
            // What the decompressor says of the data, and nothing that the system says, has no code.
            _ if error.raw_os_error().is_none() => {
                ArchiveError::member(self.name, near, format!("{error}, at or before this byte"))
            }
            _ => ArchiveError::io(self.name, format!("read it near byte {near}"), error),
        }
    }
}

/// Counts what is read.
struct Counted {
    reader: Box<dyn Read + Send>,
    consumed: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buf)?;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Reads a source from its beginning.
pub(super) struct SourceReader {
    source: Arc<dyn ReadAt>,
    position: u64,
}

impl SourceReader {
    pub(super) fn new(source: Arc<dyn ReadAt>) -> Self {
        Self { source, position: 0 }
    }
}

impl Read for SourceReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.source.len().saturating_sub(self.position);
        let length = rest.min(buf.len() as u64) as usize;
        let (buf, _) = buf.split_at_mut(length);
        self.source.read_exact_at(buf, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

//! Positional reads from a file, a byte slice or a member of an archive.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of a known length that can be read at any offset by several threads at once.
///
/// The length is fixed when the source is made: a `.couch` file only ever grows, and every prefix of it
/// is a database of its own, so what is appended later does not count.
pub trait ReadAt: Send + Sync {
    /// Number of bytes that can be read.
    fn len(&self) -> u64;

    /// Fills `buf` from `offset` on.
    ///
    /// Fails with [`io::ErrorKind::UnexpectedEof`] if `offset + buf.len()` is beyond [`ReadAt::len`].
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// The end of the hole that `offset` lies in: all bytes from `offset` to that end are zeros and take no space in the file.
    /// `offset` itself if it does not lie in a hole, or if holes are not known.
    fn hole_end(&self, offset: u64) -> u64 {
        offset
    }

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An open file, as long as it was when it was opened.
#[derive(Debug)]
pub struct FileBytes {
    file: File,
    len: u64,
}

impl FileBytes {
    /// A source with the length that the file has now.
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }

    /// The open descriptor.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl ReadAt for FileBytes {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len, buf.len(), offset)?;
        self.file.read_exact_at(buf, offset)
    }

    fn hole_end(&self, offset: u64) -> u64 {
        // Every read says where it reads, so the place that this moves means nothing to anybody.
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(data) => data.min(self.len),
            // No data behind it: a hole up to the end.
            Err(rustix::io::Errno::NXIO) => self.len.max(offset),
            // A file system that does not know of holes.
            Err(_) => offset,
        }
    }
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(ReadAt::len(self), buf.len(), offset)?;
        let start = offset as usize;
        buf.copy_from_slice(&self[start..start + buf.len()]);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        ReadAt::len(self.as_slice())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }
}

macro_rules! read_through {
    ($($pointer:ty),*) => {$(
        impl<T: ReadAt + ?Sized> ReadAt for $pointer {
            fn len(&self) -> u64 {
                (**self).len()
            }

            fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
                (**self).read_exact_at(buf, offset)
            }

            fn hole_end(&self, offset: u64) -> u64 {
                (**self).hole_end(offset)
            }
        }
    )*};
}

read_through!(&T, Arc<T>, Box<T>);

/// The first `len` bytes of another source.
#[derive(Debug, Clone)]
pub struct Prefix<R> {
    inner: R,
    len: u64,
}

impl<R: ReadAt> Prefix<R> {
    /// A source of `len` bytes, or as long as `inner` if that is shorter.
    pub fn new(inner: R, len: u64) -> Self {
        let len = len.min(inner.len());
        Self { inner, len }
    }
}

impl<R: ReadAt> ReadAt for Prefix<R> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len, buf.len(), offset)?;
        self.inner.read_exact_at(buf, offset)
    }

    fn hole_end(&self, offset: u64) -> u64 {
        self.inner.hole_end(offset).clamp(offset, self.len.max(offset))
    }
}

/// Fails if `wanted` bytes at `offset` are not all inside `len`.
pub fn check_range(len: u64, wanted: usize, offset: u64) -> io::Result<()> {
    match offset.checked_add(wanted as u64) {
        Some(end) if end <= len => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

//! Reads what the system does not read: a sector that fails is zeros, and the rest of the file goes on.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use contents::AnySource;
use couchfile::blocks::BLOCK;
use couchfile::read_at::{ReadAt, check_range};

/// Bytes that are read ahead: chunks lie one behind the other.
const WINDOW: u64 = 256 << 10;

/// A file of which nothing fails to be read. Bytes that the system does not give are zeros, in units of 4096 bytes.
pub(crate) struct Lenient {
    inner: AnySource,
    window: Mutex<Window>,
    unreadable: AtomicU64,
}

#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Lenient {
    pub(crate) fn new(inner: AnySource) -> Self {
        Self { inner, window: Mutex::default(), unreadable: AtomicU64::new(0) }
    }

    /// Bytes that could not be read so far. A part that was wanted twice counts twice.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    fn fill(&self, buf: &mut [u8], offset: u64) {
        if self.inner.read_exact_at(buf, offset).is_ok() {
            return;
        }
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let here = ((BLOCK - at % BLOCK) as usize).min(rest.len());
            let (part, behind) = rest.split_at_mut(here);
            if self.inner.read_exact_at(part, at).is_err() {
                part.fill(0);
                self.unreadable.fetch_add(here as u64, Ordering::Relaxed);
            }
            at += here as u64;
            rest = behind;
        }
    }
}

impl ReadAt for Lenient {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(self.len(), buf.len(), offset)?;
        let wanted = buf.len() as u64;
        if wanted > WINDOW / 4 {
            self.fill(buf, offset);
            return Ok(());
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if offset < window.start || offset + wanted > window.start + window.bytes.len() as u64 {
            // Forward in the file much is wanted, anywhere else one chunk.
            let follows = offset.wrapping_sub(window.start) <= WINDOW;
            let length = if follows { WINDOW } else { wanted.max(BLOCK) }.min(self.len() - offset);
            let mut bytes = std::mem::take(&mut window.bytes);
            bytes.resize(length as usize, 0);
            self.fill(&mut bytes, offset);
            (window.start, window.bytes) = (offset, bytes);
        }
        let from = (offset - window.start) as usize;
        match window.bytes.get(from..from + buf.len()) {
            Some(bytes) => buf.copy_from_slice(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn hole_end(&self, offset: u64) -> u64 {
        self.inner.hole_end(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with a bad sector.
    struct Bad(Vec<u8>, u64);

    impl ReadAt for Bad {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            if offset / BLOCK <= self.1 && (offset + buf.len() as u64 - 1) / BLOCK >= self.1 {
                return Err(io::Error::other("bad sector"));
            }
            self.0.read_exact_at(buf, offset)
        }
    }

    #[test]
    fn a_bad_sector_is_zeros_and_nothing_else_is() {
        let bytes: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 250) as u8 + 1).collect();
        let lenient = Lenient::new(Box::new(Bad(bytes.clone(), 7)));
        for (offset, len) in [(0, 100), (6 * 4096, 3 * 4096), (0, 1 << 20), (9 * 4096, 10), (28_000, 5000)] {
            let mut read = vec![9; len];
            lenient.read_exact_at(&mut read, offset).unwrap();
            for (i, byte) in read.iter().enumerate() {
                let at = offset as usize + i;
                let right = if at / 4096 == 7 { 0 } else { bytes[at] };
                assert_eq!(*byte, right, "{offset} {at}");
            }
        }
        assert!(lenient.unreadable() > 0);
        assert!(lenient.read_exact_at(&mut [0; 2], (1 << 20) - 1).is_err());
    }
}

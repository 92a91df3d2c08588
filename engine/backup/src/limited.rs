//! Reads at most so many bytes a second.

mod files;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use couchfile::read_at::ReadAt;
use store::Limiter;

pub(crate) use files::LimitedFiles;

/// Bytes that are read no faster than all readers with the same limiter together may.
#[derive(Debug)]
pub(crate) struct Limited<R> {
    inner: R,
    limiter: Option<Arc<Limiter>>,
}

impl<R> Limited<R> {
    /// Without a limiter, as fast as can be.
    pub(crate) fn new(inner: R, limiter: Option<Arc<Limiter>>) -> Self {
        Self { inner, limiter }
    }
}

/// Waits until so many bytes more may be read.
pub(crate) fn wait_for(limiter: Option<&Limiter>, bytes: usize) {
    if let Some(limiter) = limiter {
        std::thread::sleep(limiter.delay(bytes as f64, Instant::now()));
    }
}

impl<R: ReadAt> ReadAt for Limited<R> {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        wait_for(self.limiter.as_deref(), buf.len());
        self.inner.read_exact_at(buf, offset)
    }

    fn hole_end(&self, offset: u64) -> u64 {
        self.inner.hole_end(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_the_same_and_takes_its_time() {
        let limiter = Arc::new(Limiter::new(1000.0));
        let limited = Limited::new(vec![7u8; 100], Some(Arc::clone(&limiter)));
        let mut buf = [0; 20];
        limited.read_exact_at(&mut buf, 10).unwrap();
        assert_eq!((buf, limited.len()), ([7; 20], 100));
        // Twenty bytes more have to wait until those before have had their time.
        let now = Instant::now();
        assert!(limiter.delay(20.0, now) <= std::time::Duration::from_millis(20));
        assert!(limiter.delay(20.0, now) >= std::time::Duration::from_millis(20));
        assert!(limited.read_exact_at(&mut buf, 90).is_err());
    }
}

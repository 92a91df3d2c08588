//! The chunks that were read last and not completely used.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

/// Number of chunks that are kept: 4 MiB.
const MOST: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Decrypted chunks by their numbers. Used by several threads; the lock is held for a look-up only.
pub(crate) struct ChunkCache(Mutex<LruCache<u64, Arc<[u8]>>>);

impl ChunkCache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }

    pub(crate) fn get(&self, chunk: u64) -> Option<Arc<[u8]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&chunk).cloned()
    }

    pub(crate) fn put(&self, chunk: u64, plain: Arc<[u8]>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(chunk, plain);
    }
}

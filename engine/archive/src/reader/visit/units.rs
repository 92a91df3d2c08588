//! What a visit hands from the threads that read the manifest to those that decompress.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use outcome::Lock;

use crate::entry::Entry;
use crate::error::{ArchiveError, Result};
use crate::hash::ChunkHashes;
use crate::visitor::LargeSink;

/// Work for one thread.
pub(super) enum Unit<'v> {
    Packed(PackedUnit),
    Chunk { large: Arc<LargeUnit<'v>>, index: u64, offset: u64, length: u64 },
}

/// A packed member with all its entries, wanted or not.
pub(super) struct PackedUnit {
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Size of the content.
    pub(super) size: u64,
    pub(super) entries: Vec<(Entry, bool)>,
}

/// A large entry on its way to a sink.
pub(super) struct LargeUnit<'v> {
    pub(super) entry: Entry,
    pub(super) sink: Box<dyn LargeSink + 'v>,
    pub(super) state: Mutex<LargeState>,
}

pub(super) struct LargeState {
    pub(super) hashes: ChunkHashes,
    /// Chunks still to come.
    pub(super) missing: u64,
}

/// The first error, and whether there is one.
#[derive(Default)]
pub(super) struct Failure {
    failed: AtomicBool,
    error: Mutex<Option<ArchiveError>>,
}

impl Failure {
    pub(super) fn is_there(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, error: ArchiveError) {
        self.error.locked().get_or_insert(error);
        self.stop();
    }

    /// Makes all others stop, without an error.
    pub(super) fn stop(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(super) fn into_result(self) -> Result<()> {
        self.error.into_content().map_or(Ok(()), Err)
    }
}

//! How long files are waited for that may be about to appear or to be completed.

use std::sync::atomic::{AtomicU32, Ordering};

/// After so many files that stayed bad, the others are believed sooner.
const BAD_FILES_WAITED_FOR: u32 = 20;

/// The patience of one backup with the files of one node.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    waited_in_vain: AtomicU32,
}

impl Patience {
    /// A file stayed bad however long it was waited for.
    pub(crate) fn note(&self) {
        self.waited_in_vain.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether so many files stayed bad that waiting for more of them would take too long.
    pub(crate) fn is_worn_out(&self) -> bool {
        self.waited_in_vain.load(Ordering::Relaxed) > BAD_FILES_WAITED_FOR
    }
}

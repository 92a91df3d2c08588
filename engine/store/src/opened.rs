//! Something that is open for reading.

use std::sync::Arc;

use couchfile::read_at::ReadAt;

/// Something that is open for reading, at any offset, by several threads.
pub struct Opened {
    /// The bytes.
    pub source: Arc<dyn ReadAt>,
    /// A text that distinguishes this content from any other at the same place. Empty for a pipe.
    pub identity: String,
}

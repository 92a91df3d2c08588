//! Something that is open for reading.

use std::io::Read;
use std::sync::Arc;

use couchfile::read_at::ReadAt;

/// Something that is open for reading.
pub enum Opened {
    /// It can be read at any offset, by several threads.
    Ranges {
        /// The bytes.
        source: Arc<dyn ReadAt>,
        /// A text that distinguishes this content from any other at the same place.
        identity: String,
    },
    /// It can be read once, from beginning to end.
    Stream(Box<dyn Read + Send>),
}

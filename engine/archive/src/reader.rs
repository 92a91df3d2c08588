//! Opens an archive, and reads one that has a table of contents.

mod cache;
mod chunks;
mod entries;
mod entry_reader;
mod index;
mod indexed;
pub(crate) mod members;
mod recent;
mod shared;
mod verifying;
mod visit;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use couchfile::read_at::{FileBytes, ReadAt};

use crate::error::{ArchiveError, Result};
use crate::sequential::SequentialArchive;

pub use entries::Entries;
pub use entry_reader::EntryReader;
pub use indexed::IndexedArchive;
pub use verifying::VerifyingReader;

/// An open archive.
pub enum Archive {
    /// An archive with a table of contents: any entry can be read on its own, and all entries in parallel.
    Indexed(IndexedArchive),
    /// An archive without a table of contents: it is read from the beginning to the end.
    Sequential(SequentialArchive),
}

/// Opens an archive.
///
/// A file without a (valid) footer is sequential, and so is anything that is not a regular file, for example a pipe.
/// Fails if the file cannot be read, is neither a gzip nor a tar file, or has a newer format; also if it has a footer and
/// its table of contents is damaged.
pub fn open(path: &Path) -> Result<Archive> {
    let name = path.display().to_string();
    let io = |doing: &str| {
        let (name, doing) = (name.clone(), doing.to_owned());
        move |error| ArchiveError::Io { archive: name, doing, source: error }
    };
    let file = File::open(path).map_err(io("open it"))?;
    if !file.metadata().map_err(io("look at it"))?.is_file() {
        return Ok(Archive::Sequential(SequentialArchive::from_reader(Box::new(file), &name)));
    }
    open_source(Arc::new(FileBytes::new(file).map_err(io("look at it"))?), &name)
}

/// Opens the archive that is in `source`, as [`open`] does; `name` is what errors call it.
pub fn open_source(source: Arc<dyn ReadAt>, name: &str) -> Result<Archive> {
    if let Some(indexed) = IndexedArchive::from_source(Arc::clone(&source), name)? {
        return Ok(Archive::Indexed(indexed));
    }
    let sequential = SequentialArchive::from_source(source, name);
    sequential.check_start()?;
    Ok(Archive::Sequential(sequential))
}

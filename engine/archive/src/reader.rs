//! Opens an archive, and reads one that has a table of contents.

mod cache;
mod entries;
mod entry_reader;
mod index;
mod indexed;
pub(crate) mod members;
mod recent;
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

/// An open archive.
pub enum Archive {
    /// One with a table of contents: any entry can be read on its own, all of them in parallel.
    Indexed(IndexedArchive),
    /// One without: it is read from the beginning to the end.
    Sequential(SequentialArchive),
}

/// Opens an archive.
///
/// A file without a (valid) footer is sequential, and so is what is no regular file, a pipe for example.
/// Fails where the file cannot be read, is no gzip and no tar file, is of a newer format, or where its footer
/// is there and its table of contents damaged.
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
    let source: Arc<dyn ReadAt> = Arc::new(FileBytes::new(file).map_err(io("look at it"))?);
    if let Some(indexed) = IndexedArchive::from_source(Arc::clone(&source), &name)? {
        return Ok(Archive::Indexed(indexed));
    }
    let sequential = SequentialArchive::from_source(source, &name);
    sequential.check_start()?;
    Ok(Archive::Sequential(sequential))
}

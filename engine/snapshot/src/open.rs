//! Where the files of an archive come from, whichever kind of archive it is.

use archive::IndexedArchive;
use couchfile::data_dir::late_path;
use couchfile::read_at::ReadAt;

use crate::error::Result;
use crate::spooled::Spooled;

/// A source of bytes of any kind.
pub(crate) type AnySource = Box<dyn ReadAt>;

/// The files of an archive.
pub(crate) enum Files {
    /// Read out of the archive where they are asked for.
    Indexed(IndexedArchive),
    /// Read once, kept in a temporary file.
    Spooled(Spooled),
}

/// So often a backup looks for shards that were split off meanwhile, at most; see [`late_path`].
const LATE_ROUNDS: u8 = 9;

/// What an open file takes beside its content, in bytes.
const OPEN_FILE: u64 = 2 << 10;

impl Files {
    /// Opens the file with this path below the data folder; gives it and how many bytes of memory it takes while it is open.
    /// `None` where there is no such file.
    pub(crate) fn open(&self, path: &str) -> Result<Option<(AnySource, u64)>> {
        match self {
            Self::Indexed(archive) => {
                let mut found = archive.open(&format!("data/{path}"))?;
                let mut round = 0;
                while found.is_none() && round < LATE_ROUNDS {
                    round += 1;
                    found = archive.open(&format!("data/{}", late_path(path, round)))?;
                }
                Ok(found.map(|file| {
                    let held = OPEN_FILE.saturating_add(file.bytes_in_memory());
                    (Box::new(file) as AnySource, held)
                }))
            }
            Self::Spooled(spooled) => {
                Ok(spooled.open(path).map(|part| (Box::new(part) as AnySource, OPEN_FILE)))
            }
        }
    }
}

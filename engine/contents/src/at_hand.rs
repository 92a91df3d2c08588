//! The files of a backup, opened by their names, for any kind of backup.

use couchfile::data_dir::{DataFile, late_path};
use outcome::Result;
use outcome::report::Reporter;

use crate::source::{Files, OpenFile, Source};
use crate::spooled::SpooledFiles;

/// The most rounds in which a backup looks for shards that were split off while it ran; see [`late_path`].
const LATE_ROUNDS: u8 = 9;

/// The files of a backup. A backup that can only be read from beginning to end is read once.
pub struct FilesAtHand {
    name: String,
    identity: String,
    files: Box<dyn Files>,
    is_spooled: bool,
}

impl FilesAtHand {
    /// Takes a backup whose files can be opened by their names. Any other is read once, and its wanted files are kept in a
    /// temporary file (`TMPDIR`).
    pub fn of(
        source: Box<dyn Source>,
        threads: usize,
        wanted: &(dyn Fn(&DataFile) -> bool + Sync),
        reporter: &dyn Reporter,
    ) -> Result<Self> {
        let (name, identity) = (source.name().to_owned(), source.identity().to_owned());
        let (files, is_spooled) = match source.into_files() {
            Ok(files) => (files, false),
            Err(source) => {
                let folder = std::env::temp_dir();
                let spooled = SpooledFiles::read(&*source, threads, &folder, wanted, reporter)?;
                (Box::new(spooled) as Box<dyn Files>, true)
            }
        };
        Ok(Self { name, identity, files, is_spooled })
    }

    /// What messages call the backup.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A text that distinguishes this backup's content from any other.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether the backup had to be read from beginning to end.
    pub fn is_spooled(&self) -> bool {
        self.is_spooled
    }

    /// What the backup records about itself.
    pub fn record(&self) -> &serde_json::Value {
        self.files.record()
    }

    /// The content of a file of at most `limit` bytes, by its name in the backup.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.files.read(name, limit)
    }

    /// Opens the file with this path below the data directory; `None` if there is no such file.
    pub fn open(&self, path: &str) -> Result<Option<OpenFile>> {
        let root = self.files.root();
        let mut found = self.files.open(&format!("{root}{path}"))?;
        let mut round = 0;
        while found.is_none() && round < LATE_ROUNDS && !self.is_spooled {
            round += 1;
            found = self.files.open(&format!("{root}{}", late_path(path, round)))?;
        }
        Ok(found)
    }
}

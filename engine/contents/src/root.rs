//! The data directory inside a backup.

use couchfile::data_dir::{DataFile, locate};
use outcome::{Code, Failure, Result};

/// The directory in a backup that holds the data directory, known after its first file. There must be only one.
#[derive(Debug, Default)]
pub(crate) struct Root(Option<String>);

impl Root {
    /// The file of the data directory with this name; `None` if a backup does not need it.
    ///
    /// Fails if the file is in another data directory than those before it.
    pub(crate) fn file(&mut self, backup: &str, name: &str) -> Result<Option<DataFile>> {
        let Some((root, file)) = locate(name) else { return Ok(None) };
        match &self.0 {
            Some(other) if other != root => Err(Failure::refused(
                Code::new("CC-C03"),
                format!("{backup} holds several data directories: {other} and {root}"),
                "Unpack it and back up the directories as the nodes of one cluster: couchcopy backup localhost,DIR1 \
                 localhost,DIR2 NEW_ARCHIVE.",
            )),
            Some(_) => Ok(Some(file)),
            None => {
                self.0 = Some(root.to_owned());
                Ok(Some(file))
            }
        }
    }

    /// The directory with its `/`; empty if the backup is the data directory itself.
    pub(crate) fn into_name(self) -> String {
        self.0.unwrap_or_default()
    }
}

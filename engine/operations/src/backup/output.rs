//! The file that becomes the archive: written under another name, named rightly when it is whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{OperationError, Result};

/// An archive in the making. Dropped without [`Output::commit`], it leaves nothing.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    partial: PathBuf,
    committed: bool,
}

impl Output {
    /// Refuses a path that names something already, unless it may be overwritten.
    pub(super) fn create(path: &Path, overwrite: bool) -> Result<Self> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if !overwrite || !found.is_file() => {
                return Err(OperationError::refused(
                    format!("{} exists already", path.display()),
                    "Name another archive, or give --overwrite to replace it when the new one is whole.",
                ));
            }
            _ => {}
        }
        let name = path.file_name().ok_or_else(|| {
            OperationError::refused(
                format!("{} names no file", path.display()),
                "Give the archive's path last, e.g. backup.tar.gz.",
            )
        })?;
        let mut partial = name.to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        Ok(Self { path: path.to_owned(), partial: path.with_file_name(partial), committed: false })
    }

    /// The file to write to. Only its owner can read it: it holds everything, password hashes included.
    pub(super) fn writer(&self) -> Result<BufWriter<File>> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.partial)
            .map_err(|e| OperationError::io("create", &self.partial, e))?;
        Ok(BufWriter::with_capacity(1 << 20, file))
    }

    /// Makes the archive durable and gives it its name.
    pub(super) fn commit(mut self, mut out: BufWriter<File>) -> Result<()> {
        let failed = |e| OperationError::io("write", &self.partial, e);
        out.flush().map_err(failed)?;
        out.get_ref().sync_all().map_err(failed)?;
        std::fs::rename(&self.partial, &self.path)
            .map_err(|e| OperationError::io("give its name to", &self.path, e))?;
        self.committed = true;
        let parent = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| OperationError::io("make durable", parent, e))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.committed {
            // It is not there where nothing was written yet.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

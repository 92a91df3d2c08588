//! The file that becomes the archive: it is written under another name and renamed when it is complete.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use outcome::{Code, Failure, Result};

/// Bytes that may wait in memory before the system is told to write them to disk.
const WRITE_BACK: u64 = 8 << 20;

/// A file that goes to disk while it is being written, so that making it durable at the end is quick. The archive does not stay
/// in the page cache either: the files of the data directories are more useful there.
#[derive(Debug)]
pub struct EarlyWriteBack {
    file: File,
    path: PathBuf,
    written: u64,
    started: u64,
}

impl Write for EarlyWriteBack {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(bytes).map_err(|e| {
            let text = format!("{} has {} bytes so far: {e}", self.path.display(), self.written);
            std::io::Error::new(e.kind(), text)
        })?;
        self.written += n as u64;
        if self.written - self.started >= WRITE_BACK {
            // An advice only: whether it helps changes nothing about the result.
            let length = std::num::NonZero::new(self.written);
            let _ = rustix::fs::fadvise(&self.file, 0, length, rustix::fs::Advice::DontNeed);
            self.started = self.written;
        }
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An archive that is being written. If it is dropped without [`PartialFile::commit`], the file is removed.
#[derive(Debug)]
pub struct PartialFile {
    path: PathBuf,
    partial: PathBuf,
    committed: bool,
}

impl PartialFile {
    /// Refuses a path that exists already, unless it is that of a file which may be overwritten.
    pub fn create(path: &Path, overwrite: bool) -> Result<Self> {
        if let Ok(found) = std::fs::symlink_metadata(path) {
            let shown = path.display();
            let refused = |problem, remedy: String| Failure::refused(Code::new("CC-A14"), problem, remedy);
            if found.is_dir() {
                let remedy = format!(
                    "Name a file, e.g. {shown}/backup.tar.gz. To save into a repository, use `--repo {shown}`."
                );
                return Err(refused(format!("{shown} is a directory"), remedy));
            }
            if !found.is_file() {
                return Err(refused(
                    format!("{shown} is not a regular file"),
                    "Choose another archive path.".into(),
                ));
            }
            if !overwrite {
                let remedy = "Choose another archive path, or give --overwrite to replace the archive when the new one is complete.";
                return Err(refused(format!("{shown} exists already"), remedy.into()));
            }
        }
        let name = path.file_name().ok_or_else(|| {
            Failure::refused(
                Code::new("CC-A15"),
                format!("{} is not a file name", path.display()),
                "Give the archive's path last, e.g. backup.tar.gz.",
            )
        })?;
        // In a container, one that was killed may have had our number.
        let partial = (0..u32::MAX).map(|i| {
            let mut partial = name.to_owned();
            partial.push(match i {
                0 => format!(".{}.partial", std::process::id()),
                _ => format!(".{}-{i}.partial", std::process::id()),
            });
            path.with_file_name(partial)
        });
        let free = |partial: &PathBuf| std::fs::symlink_metadata(partial).is_err();
        let partial = { partial }.find(free).unwrap_or_else(|| path.with_extension("partial"));
        Ok(Self { path: path.to_owned(), partial, committed: false })
    }

    /// The file to write to. Only its owner can read it, because it holds everything, including password hashes.
    pub fn writer(&self) -> Result<BufWriter<EarlyWriteBack>> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.partial)
            .map_err(|e| Failure::io("create", &self.partial, e))?;
        Ok(BufWriter::with_capacity(
            1 << 20,
            EarlyWriteBack { file, path: self.partial.clone(), written: 0, started: 0 },
        ))
    }

    /// Makes the archive durable and renames it to its final name.
    pub fn commit(mut self, mut out: BufWriter<EarlyWriteBack>) -> Result<()> {
        let failed = |e| Failure::io("write", &self.partial, e);
        out.flush().map_err(failed)?;
        out.get_ref().file.sync_all().map_err(failed)?;
        std::fs::rename(&self.partial, &self.path)
            .map_err(|e| Failure::io("give its name to", &self.path, e))?;
        self.committed = true;
        let parent = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        outcome::sync_folder(parent).map_err(|e| Failure::io("make durable", parent, e))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.committed {
            // It is not there where nothing was written yet.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

//! The folder that a loaded CouchDB lives in, and that goes with it.

use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use outcome::{Code, Failure, Result};
use rustix::fs::FlockOperation;

/// What every such folder is called, with a random end.
pub(super) const PREFIX: &str = "couchcopy-load-";
/// Held as long as couchcopy runs.
pub(super) const LOCK: &str = "lock";
/// There where the folder is to stay.
pub(super) const KEPT: &str = "kept";
/// Tells of CouchDB's process.
pub(super) const PROCESS: &str = "process.json";
/// Bytes of the log's end that are worth telling.
const LOG_END: u64 = 4000;

/// A folder that is removed when this goes out of scope.
#[derive(Debug)]
pub(super) struct PrivateFolder {
    path: PathBuf,
    keep: bool,
    removed: bool,
    _lock: File,
}

impl PrivateFolder {
    /// Makes one below `within`. Only its owner can look into it.
    ///
    /// Fails where its path is none that CouchDB can be told.
    pub(super) fn create(within: &Path, keep: bool) -> Result<Self> {
        let within = within.canonicalize().map_err(|e| Failure::io("find the folder", within, e))?;
        check_path(&within)?;
        loop {
            let path = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(&within)
                .map_err(|e| Failure::io("create a folder in", &within, e))?
                .keep();
            // Whoever cleans up may have taken it for a leftover in this moment; then another one is made.
            if let Some(lock) = lock(&path)? {
                let folder = Self { path, keep, removed: false, _lock: lock };
                if keep {
                    File::create(folder.path.join(KEPT))
                        .map_err(|e| Failure::io("create a file in", &folder.path, e))?;
                }
                return Ok(folder);
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// CouchDB's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// CouchDB's log.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("couchdb.log")
    }

    /// The end of CouchDB's log.
    pub(super) fn log_end(&self) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(self.log())?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(LOG_END)))?;
            let mut end = Vec::new();
            file.read_to_end(&mut end)?;
            let text = String::from_utf8_lossy(&end).into_owned();
            // Begin with a whole line.
            Ok(match text.split_once('\n') {
                Some((_, rest)) if len > LOG_END => rest.to_owned(),
                _ => text,
            })
        };
        read().unwrap_or_else(|e| format!("(it cannot be read: {e})"))
    }

    /// The port that CouchDB has taken; `None` as long as it has not told.
    pub(super) fn port(&self) -> Option<u16> {
        let text = std::fs::read_to_string(self.path.join(super::settings::URI)).ok()?;
        port_of(&text)
    }

    /// Whether CouchDB has told where it listens, and named no port, as CouchDB up to 3.1 does.
    pub(super) fn tells_no_port(&self) -> bool {
        std::fs::metadata(self.path.join(super::settings::URI)).is_ok_and(|told| told.len() == 0)
    }

    /// Removes the folder, unless it is to stay.
    pub(super) fn remove(mut self) -> Result<()> {
        self.removed = true;
        if self.keep {
            return Ok(());
        }
        std::fs::remove_dir_all(&self.path).map_err(|e| Failure::io("remove", &self.path, e))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if !self.removed && !self.keep {
            // Something else has failed by now. What is left of it, the next one removes.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Takes the lock of a folder; it ends with the process. `None` where somebody else has it, or the folder is gone.
pub(super) fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    let opened = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Failure::io("create", &path, e)),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(Failure::io("lock", path, e.into())),
    }
}

/// Fails where a path cannot stand in CouchDB's configuration: it would take another folder for its own, and be empty.
fn check_path(path: &Path) -> Result<()> {
    let fine = path
        .to_str()
        .is_some_and(|text| text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && !text.contains(" ;"));
    if fine {
        return Ok(());
    }
    Err(Failure::refused(
        Code::new("CC-L01"),
        format!("CouchDB cannot be told the path {}", path.display()),
        "Name a folder with --tmp-dir whose path has nothing but ASCII letters, digits and signs in it.",
    ))
}

/// The port in the file in which CouchDB tells where it listens.
fn port_of(text: &str) -> Option<u16> {
    // Whole once the line is.
    let line = text.lines().next().filter(|_| text.contains('\n'))?;
    line.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_private_and_goes_unless_it_is_kept() {
        let within = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::create(within.path(), false).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(lock(&path).unwrap().is_none(), "it is locked");
        drop(folder);
        assert!(!path.exists());
        let kept = PrivateFolder::create(within.path(), true).unwrap();
        let path = kept.path().to_owned();
        kept.remove().unwrap();
        assert!(path.join(KEPT).exists());
        assert!(lock(&path).unwrap().is_some());
    }

    #[test]
    fn paths_that_would_mean_others_are_refused() {
        for path in ["/tmp/ä", "/tmp/a\nb", "/tmp/a ;b"] {
            assert!(check_path(Path::new(path)).is_err(), "{path}");
        }
        assert!(check_path(Path::new("/tmp/with space;x=y")).is_ok());
    }

    #[test]
    fn the_port_is_read_when_it_is_there() {
        assert_eq!(port_of("http://127.0.0.1:41263/\n"), Some(41263));
        for text in ["", "http://127.0.0.1:412", "http://127.0.0.1:412/", "nonsense\n"] {
            assert_eq!(port_of(text), None, "{text}");
        }
    }
}

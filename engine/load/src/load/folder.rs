//! The private directory of a loaded CouchDB, which is removed with it.

use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use outcome::{Code, Failure, Result};
use rustix::fs::FlockOperation;

/// The beginning of the name of every private directory; a random part follows.
pub(super) const PREFIX: &str = "couchcopy-load-";
/// The lock file, held as long as couchcopy runs.
pub(super) const LOCK: &str = "lock";
/// Exists if the directory is to be kept.
pub(super) const KEPT: &str = "kept";
/// Records CouchDB's process.
pub(super) const PROCESS: &str = "process.json";
/// Bytes of the log's end that are shown.
const LOG_END: u64 = 4000;

/// A directory that is removed when this value is dropped.
#[derive(Debug)]
pub(super) struct PrivateFolder {
    path: PathBuf,
    keep: bool,
    removed: bool,
    _lock: File,
}

impl PrivateFolder {
    /// Creates a private directory below `within`. Only its owner can read it.
    ///
    /// Fails if CouchDB's configuration cannot hold its path.
    pub(super) fn create(within: &Path, keep: bool) -> Result<Self> {
        let within = within.canonicalize().map_err(|e| Failure::io("find the directory", within, e))?;
        check_path(&within)?;
        loop {
            let path = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(&within)
                .map_err(|e| Failure::io("create a directory in", &within, e))?
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

    /// CouchDB's data directory.
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

    /// The port that CouchDB listens on; `None` as long as CouchDB has not reported it.
    pub(super) fn port(&self) -> Option<u16> {
        let text = std::fs::read_to_string(self.path.join(super::settings::URI)).ok()?;
        port_of(&text)
    }

    /// Whether CouchDB has reported its address without a port, as CouchDB up to 3.1 does.
    pub(super) fn tells_no_port(&self) -> bool {
        std::fs::metadata(self.path.join(super::settings::URI)).is_ok_and(|told| told.len() == 0)
    }

    /// Removes the directory, unless it is to be kept.
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

/// Takes the lock of a directory; it ends with the process. `None` if another process has it, or the directory does not exist.
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

/// Fails if CouchDB's configuration cannot hold a path: CouchDB would use another directory, and be empty.
fn check_path(path: &Path) -> Result<()> {
    let fine = path
        .to_str()
        .is_some_and(|text| text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && !text.contains(" ;"));
    if fine {
        return Ok(());
    }
    Err(Failure::refused(
        Code::new("CC-L01"),
        format!("CouchDB's configuration cannot hold the path {}", path.display()),
        "Choose a directory with --tmp-dir whose path contains only ASCII letters, digits and punctuation.",
    ))
}

/// The port in the file in which CouchDB records its address.
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

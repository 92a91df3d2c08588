//! Reads one file of a running node so that it is a consistent database.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use archive::FileStat;
use contents::{IndexHeader, SMALL, ShardHeader, index_header, shard_header};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::{FileBytes, Prefix, ReadAt};
use store::Limiter;

use crate::limited::{Limited, wait_for};
use crate::patience::Patience;

/// How long a file may be absent, or without a header, before that is believed. CouchDB's swap after a compaction leaves a
/// gap of some hundred microseconds; a new file has no header for about as long.
const PATIENCE: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
];
/// How long to wait for a missing file without `X.couch.compact`: a swap takes long only with it.
const PATIENCE_FOR_GONE: usize = 4;
/// How the name of a finished compaction's file ends, behind the shard's name.
pub(super) const COMPACTED: &str = ".compact";
/// The end of the name of a running compaction's file.
pub(super) const COMPACTING: &str = ".compact.data";

/// Why a file could not be had.
#[derive(Debug)]
pub(super) enum FileFailure {
    /// The file does not exist.
    Missing,
    /// The file does not exist, but the file of an unfinished compaction does.
    OnlyCompaction {
        /// Name of the compaction's file.
        name: String,
        /// Length of the compaction's file.
        bytes: u64,
    },
    /// The file exists, but is not a complete database.
    Damaged(CouchFileError),
    /// The operating system refused to read it.
    Unreadable(std::io::Error),
}

impl std::fmt::Display for FileFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("the file is missing"),
            Self::OnlyCompaction { name, bytes } => write!(
                f,
                "the file is missing, but {name} ({bytes} bytes) is next to it and holds what a compaction had copied. CouchDB \
                 deletes it when it creates the shard again: copy it to a safe place first"
            ),
            Self::Damaged(e) => write!(f, "{e}"),
            Self::Unreadable(e) => write!(f, "it cannot be read: {e}"),
        }
    }
}

impl FileFailure {
    /// Whether the file does not exist.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing | Self::OnlyCompaction { .. })
    }
}

/// The content of a file up to its last header.
#[derive(Debug)]
pub(super) struct Content<H> {
    /// The facts in its header.
    pub(super) header: H,
    /// Last change, in seconds since 1970.
    pub(super) mtime: u64,
    /// Its stat, if it is a file of this machine.
    pub(super) stat: Option<FileStat>,
    /// The open file, if it is large; the bytes of a small file are in the caller's buffer.
    pub(super) large: Option<Limited<Prefix<FileBytes>>>,
}

/// Reads a shard up to its last header. Patient with CouchDB's swap after a compaction and with files made this moment.
pub(super) fn read_shard(
    path: &Path,
    patience: &Patience,
    limiter: Option<&Arc<Limiter>>,
    buf: &mut Vec<u8>,
) -> Result<Content<ShardHeader>, FileFailure> {
    patiently(path, patience, |path| read(path, limiter, buf, shard_header))
}

/// Reads a shard up to its last header, from a file that only couchcopy changes.
pub(super) fn read_settled_shard(
    path: &Path,
    buf: &mut Vec<u8>,
) -> Result<Content<ShardHeader>, FileFailure> {
    read(path, None, buf, shard_header)
}

/// Reads only a shard's header.
pub(super) fn peek_shard(path: &Path, patience: &Patience) -> Result<ShardHeader, FileFailure> {
    patiently(path, patience, |path| {
        let (file, _, _) = open(path)?;
        shard_header(&file).map(|(header, _)| header).map_err(failure)
    })
}

/// Opens a shard, to look something up in it.
pub(super) fn open_shard(path: &Path, patience: &Patience) -> Result<Database<FileBytes>, FileFailure> {
    open_shard_through(path, patience, |file| file)
}

/// Opens a shard, to be read through `wrap`.
pub(super) fn open_shard_through<R: ReadAt>(
    path: &Path,
    patience: &Patience,
    wrap: impl Fn(FileBytes) -> R,
) -> Result<Database<R>, FileFailure> {
    patiently(path, patience, |path| {
        let (file, _, _) = open(path)?;
        Database::open(wrap(file)).map_err(failure)
    })
}

/// The same without patience, for whoever looks again later. If only the file of a finished compaction exists, that one is
/// opened.
pub(super) fn open_shard_at_once<R: ReadAt>(
    path: &Path,
    wrap: impl Fn(FileBytes) -> R,
) -> Result<Database<R>, FileFailure> {
    let attempt =
        |path: &Path| open(path).and_then(|(file, _, _)| Database::open(wrap(file)).map_err(failure));
    match attempt(path) {
        Err(FileFailure::Missing) => match attempt(&compacted(path)) {
            Err(_) => Err(missing(path)),
            opened => opened,
        },
        opened => opened,
    }
}

/// Opens a file as it is, without patience.
pub(super) fn open_bytes(path: &Path) -> Result<FileBytes, FileFailure> {
    open(path).map(|(file, _, _)| file)
}

/// Reads a view index up to its last header. Does not wait, because CouchDB can rebuild the index.
pub(super) fn read_view(
    path: &Path,
    limiter: Option<&Arc<Limiter>>,
    buf: &mut Vec<u8>,
) -> Result<Content<IndexHeader>, FileFailure> {
    read(path, limiter, buf, index_header)
}

fn open(path: &Path) -> Result<(FileBytes, u64, FileStat), FileFailure> {
    let opened = File::open(path).and_then(|file| {
        // Before its length is taken: what is appended in between makes the next backup open it again.
        let facts = file.metadata()?;
        let mtime = unix_seconds(facts.modified()?);
        Ok((FileBytes::new(file)?, mtime, FileStat::of(&facts)))
    });
    opened.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => FileFailure::Missing,
        _ => FileFailure::Unreadable(e),
    })
}

/// What an error means for the file.
pub(super) fn failure(error: CouchFileError) -> FileFailure {
    match error {
        CouchFileError::Io { source, .. } if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            FileFailure::Unreadable(source)
        }
        other => FileFailure::Damaged(other),
    }
}

/// Reads a file once: a small file into `buf`, of a large file only the header. Everything comes from one descriptor, and data
/// that was appended after opening is ignored.
fn read<H>(
    path: &Path,
    limiter: Option<&Arc<Limiter>>,
    buf: &mut Vec<u8>,
    header: impl Fn(&dyn ReadAt) -> Result<(H, u64), CouchFileError>,
) -> Result<Content<H>, FileFailure> {
    let (file, mtime, stat) = open(path)?;
    let stat = Some(stat);
    if file.len() > SMALL {
        let (header, len) = header(&file).map_err(failure)?;
        let large = Limited::new(Prefix::new(file, len), limiter.cloned());
        return Ok(Content { header, mtime, stat, large: Some(large) });
    }
    wait_for(limiter.map(|limiter| &**limiter), file.len() as usize);
    buf.resize(file.len() as usize, 0);
    file.read_exact_at(buf, 0).map_err(FileFailure::Unreadable)?;
    let (header, len) = header(buf).map_err(failure)?;
    buf.truncate(len as usize);
    Ok(Content { header, mtime, stat, large: None })
}

/// Tries again while a file is missing or has no header, as long as CouchDB may change that. If only `X.couch.compact` exists at
/// the end (CouchDB was killed in the middle of a swap), that file is the database.
fn patiently<T>(
    path: &Path,
    patience: &Patience,
    mut attempt: impl FnMut(&Path) -> Result<T, FileFailure>,
) -> Result<T, FileFailure> {
    let compacted = compacted(path);
    let mut tried = 0;
    loop {
        let failure = match attempt(path) {
            // No waiting makes it an older one.
            Err(failure @ FileFailure::Damaged(CouchFileError::Newer { .. })) => return Err(failure),
            Err(failure @ (FileFailure::Missing | FileFailure::Damaged(_))) => failure,
            done => return done,
        };
        let swapping = matches!(failure, FileFailure::Missing) && compacted.exists();
        let missing_for_good = matches!(failure, FileFailure::Missing) && !swapping;
        let most =
            if missing_for_good || patience.is_worn_out() { PATIENCE_FOR_GONE } else { PATIENCE.len() };
        if tried >= most {
            if swapping {
                return attempt(&compacted);
            }
            patience.note();
            return Err(if matches!(failure, FileFailure::Missing) { missing(path) } else { failure });
        }
        std::thread::sleep(PATIENCE[tried]);
        tried += 1;
    }
}

/// `X.couch.compact`: a finished compaction, about to be renamed.
fn compacted(path: &Path) -> PathBuf {
    beside(path, COMPACTED)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The failure for a file that does not exist.
fn missing(path: &Path) -> FileFailure {
    let unfinished = beside(path, COMPACTING);
    match std::fs::symlink_metadata(&unfinished) {
        Ok(found) if found.is_file() && found.len() > 0 => {
            let name = unfinished.file_name().unwrap_or_default().to_string_lossy().into_owned();
            FileFailure::OnlyCompaction { name, bytes: found.len() }
        }
        _ => FileFailure::Missing,
    }
}

/// Seconds since 1970; 0 for anything before.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use couchfile::writer::{DatabaseWriter, Settings};

    fn database() -> Vec<u8> {
        DatabaseWriter::new(Vec::new(), Settings::new("a".repeat(32), "n@h")).unwrap().finish().unwrap()
    }

    #[test]
    fn what_a_compaction_left_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.couch");
        std::fs::write(folder.path().join("x.couch.compact.data"), [7; 5000]).unwrap();
        let failure = read_shard(&path, &Patience::default(), None, &mut Vec::new()).unwrap_err();
        assert!(failure.is_missing());
        assert!(failure.to_string().contains("x.couch.compact.data (5000 bytes)"), "{failure}");
    }

    #[test]
    fn a_file_that_comes_back_after_a_swap_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.couch");
        std::fs::write(compacted(&path), database()).unwrap();
        let later = path.clone();
        let swap = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            std::fs::rename(compacted(&later), &later).unwrap();
        });
        let mut buf = Vec::new();
        read_shard(&path, &Patience::default(), None, &mut buf).unwrap();
        assert_eq!(buf, database());
        swap.join().unwrap();
    }

    #[test]
    fn an_abandoned_swap_leaves_the_compacted_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.couch");
        std::fs::write(compacted(&path), database()).unwrap();
        read_shard(&path, &Patience::default(), None, &mut Vec::new()).unwrap();
        std::fs::remove_file(compacted(&path)).unwrap();
        assert!(matches!(
            read_shard(&path, &Patience::default(), None, &mut Vec::new()),
            Err(FileFailure::Missing)
        ));
    }

    #[test]
    fn the_tail_after_the_last_header_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.couch");
        let mut torn = database();
        torn.extend_from_slice(&[1; 5000]);
        std::fs::write(&path, &torn).unwrap();
        let mut buf = Vec::new();
        read_shard(&path, &Patience::default(), None, &mut buf).unwrap();
        assert_eq!(buf, database());
        torn.truncate(4090);
        std::fs::write(&path, &torn).unwrap();
        assert!(matches!(
            read_shard(&path, &Patience::default(), None, &mut buf),
            Err(FileFailure::Damaged(_))
        ));
    }
}

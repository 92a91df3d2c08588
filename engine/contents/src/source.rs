//! Access to the files of a backup, for any kind of backup.

mod couch_file;
mod indexed;
mod sequential;
mod stored;

use archive::{Archive, ArchiveError, Facts, Hash, IndexedArchive, Visitor};
use couch_file::CouchFile;
pub use couch_file::database_of_file;
use couchfile::read_at::ReadAt;
use indexed::Indexed;
use outcome::{Common, Failure, Result};
use repository::{Access, LostFile, Repository, Selector, Snapshot, SnapshotName};
use sequential::Sequential;
use store::{Location, NoKey, Opened, Place, Said, StoreError};
use stored::Stored;

use crate::AnySource;

/// Name of the data directory in the backups that couchcopy writes.
const ROOT: &str = "data/";

/// Bytes of memory of an open file besides its content.
const OPEN_FILE: u64 = 2 << 10;

/// A backup that can be read.
///
/// File names are those in the backup: in an archive of couchcopy `data/` and the path below the data directory, in an archive of
/// tar another directory.
pub trait Source: Send + Sync {
    /// What messages call the backup: its path.
    fn name(&self) -> &str;

    /// A text that distinguishes this backup's content from any other.
    fn identity(&self) -> &str;

    /// The files by their names; `None` if the backup can only be read from beginning to end.
    fn files(&self) -> Option<&dyn Files>;

    /// Converts to the files by their names; returns the backup itself if it can only be read from beginning to end.
    fn into_files(self: Box<Self>) -> Result<Box<dyn Files>, Box<dyn Source>>;

    /// Hands every wanted file to the visitor, on `threads` threads (0: the number of cores).
    ///
    /// The content of each file is compared with its hash, if the backup records one.
    fn visit(
        &self,
        threads: usize,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &dyn Visitor,
    ) -> Result<Visited>;

    /// Hands every file to the visitor as [`Self::visit`] does, and also checks every byte of the backup, except for the content of
    /// large files that the visitor does not take: these can be verified with [`Files::open_to_verify`].
    fn verify(&self, threads: usize, visitor: &dyn Visitor) -> Result<()>;

    /// The backup as an archive whose compressed members can be copied unchanged; `None` if it is not such an archive.
    fn members(&self) -> Option<&IndexedArchive> {
        None
    }
}

/// The files of a backup, each of which can be opened without reading the others.
pub trait Files: Send + Sync {
    /// The directory in the backup that holds the data directory, with its `/`; empty if it is the data directory itself.
    fn root(&self) -> &str;

    /// What the backup records about itself, a [`crate::BackupSummary`] if couchcopy wrote it.
    fn record(&self) -> &serde_json::Value;

    /// Bytes of all files.
    fn content_bytes(&self) -> u64;

    /// All files with what is recorded about them, in the order of the backup. Ends after the first error.
    fn entries(&self) -> Box<dyn Iterator<Item = Result<FileEntry>> + Send + '_>;

    /// Opens a file for reading at any offset; `None` if there is no file of this name.
    fn open(&self, name: &str) -> Result<Option<OpenFile>>;

    /// Opens a large file that the visitor of [`Source::verify`] has left out, to be verified while it is read; `None` if there is no
    /// large file of this name, or if files are verified before they can be opened. `progress` is called with numbers of bytes that
    /// are verified: in the end, with all bytes of the file.
    fn open_to_verify<'p>(
        &self,
        name: &str,
        progress: &'p (dyn Fn(u64) + Sync),
    ) -> Result<Option<Box<dyn FileToVerify + 'p>>> {
        let _ = (name, progress);
        Ok(None)
    }

    /// The id of the repository that holds it; `None` if it lies in no repository.
    fn repository(&self) -> Option<&str> {
        None
    }

    /// Whether files lie in several objects, so that those in intact ones can be read if another object is missing or damaged.
    fn is_in_objects(&self) -> bool {
        false
    }

    /// Files that are known to be lost without reading them: the objects that hold them are missing, or shorter than they were.
    fn lost(&self) -> Result<Vec<LostFile>> {
        Ok(Vec::new())
    }

    /// The content of a file of at most `limit` bytes; `None` if there is no file of this name.
    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>>;
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Name of the file in the backup.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of its content, if it is recorded.
    pub blake3: Option<Hash>,
    /// What is recorded about the file.
    pub facts: Facts,
}

/// A file that is open for reading.
pub struct OpenFile {
    /// Its content.
    pub content: AnySource,
    /// Bytes of memory that the file takes while it is open.
    pub memory: u64,
}

/// A large file that is open for reading, and verified on the way.
pub trait FileToVerify: ReadAt {
    /// Reads what has not been read, on so many threads, and compares the content with the hash that the backup records.
    ///
    /// Fails if it differs, or if a part could not be read, now or before.
    fn finish(&self, threads: usize) -> Result<()>;
}

/// What a visit finds out about the complete backup.
#[derive(Debug, Clone, Default)]
pub struct Visited {
    /// What the backup records about itself, if it has a record; see [`Files::record`].
    pub record: Option<serde_json::Value>,
    /// Bytes of all files that were read.
    pub content_bytes: u64,
}

/// Opens a backup. A file whose name ends with `.couch` is opened as a backup of one database.
///
/// Fails if the file cannot be read, is not an archive, or was written by a newer couchcopy.
pub fn open(place: &Place) -> Result<Box<dyn Source>> {
    if let Some(backup) = backup_in_repository(place)? {
        return Ok(Box::new(backup));
    }
    if let Location::Path(path) = place.location()
        && database_of_file(path).is_some()
    {
        return Ok(Box::new(CouchFile::open(path)?));
    }
    let name = place.to_string();
    let opened = place.open().map_err(|failure| unreadable(&name, failure));
    let Opened { source, identity } = match opened {
        // The name may be that of a repository, which no object has.
        Err(failure) if is_no_object(&failure) => {
            return match Access::of(place)?.map(Repository::open) {
                Some(Ok(repository)) => Ok(Box::new(Stored::open(repository, &Selector::default())?)),
                _ => Err(failure),
            };
        }
        opened => opened?,
    };
    let archive = archive::open_source(source, &name)?;
    Ok(match archive {
        Archive::Indexed(archive) => Box::new(Indexed::new(archive)),
        Archive::Sequential(archive) => Box::new(Sequential::new(archive, &identity)),
    })
}

/// A backup in an open repository.
pub(crate) fn stored(
    repository: Repository,
    name: SnapshotName,
    snapshot: Snapshot,
) -> Result<Box<dyn Source>> {
    Ok(Box::new(Stored::of(repository, name, snapshot)?))
}

/// The backup in a repository that a place names without doubt.
fn backup_in_repository(place: &Place) -> Result<Option<Stored>> {
    let selector = match (place.location(), place.member()) {
        (_, Some(member)) => member.parse()?,
        (Location::Path(path), None) if path.is_dir() => Selector::default(),
        _ => return Ok(None),
    };
    let Some(access) = Access::of(place)? else { return Ok(None) };
    Stored::open(Repository::open(access)?, &selector).map(Some)
}

/// Whether there is no object of this name, or it is the name of a prefix.
fn is_no_object(failure: &Failure) -> bool {
    failure.get::<StoreError>().is_some_and(|error| error.said == Said::NoObject)
        || failure.get::<NoKey>().is_some()
}

/// The error of an archive that the system does not open.
fn unreadable(archive: &str, failure: Failure) -> Failure {
    match failure.take::<Common>() {
        Ok(Common::Io { doing, source, .. }) => {
            ArchiveError::Io { archive: archive.to_owned(), doing: format!("{doing} it"), source }.into()
        }
        Ok(other) => other.into(),
        Err(failure) => failure,
    }
}

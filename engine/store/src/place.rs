//! Something that can be read or written, and how it is reached.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use couchfile::read_at::FileBytes;
use outcome::report::{Reporter, Silent};
use outcome::{Advice, Code, Failure, FailureKind, Lock, Result};

use crate::bucket::Bucket;
use crate::directory::Directory;
use crate::error::{Said, StoreError};
use crate::keys::Keys;
use crate::location::{Location, ObjectLocation, Service};
use crate::opened::Opened;
use crate::output::{Output, Reserved, Target};
use crate::partial_file::PartialFile;
use crate::reader::ObjectReader;
use crate::settings::Settings;
use crate::spool::spool;

/// How stores are reached, and the connections to them.
#[derive(Clone, Default)]
pub struct Stores {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    settings: Settings,
    buckets: Mutex<HashMap<(Service, String), Bucket>>,
}

impl Stores {
    /// Reaches stores with these settings. No request is made.
    pub fn new(settings: Settings) -> Self {
        Self { inner: Arc::new(Inner { settings, buckets: Mutex::default() }) }
    }

    /// The bucket of an object. No request is made.
    pub fn bucket(&self, object: &ObjectLocation) -> Result<Bucket, StoreError> {
        let key = (object.service, object.bucket.clone());
        if let Some(bucket) = self.inner.buckets.locked().get(&key) {
            return Ok(bucket.clone());
        }
        let bucket = Bucket::connect(object.service, &object.bucket, &self.inner.settings)?;
        self.inner.buckets.locked().insert(key, bucket.clone());
        Ok(bucket)
    }
}

/// What messages call standard input.
const STANDARD_INPUT: &str = "standard input";

/// Something that can be read or written, and how it is reached.
#[derive(Clone, Default)]
pub struct Place {
    location: Location,
    stores: Stores,
    keys: Arc<Keys>,
    /// Hears of what has to be read before it is open.
    reporter: Option<Arc<dyn Reporter + Send>>,
}

impl Place {
    /// A location that is reached like this.
    pub fn new(location: Location, stores: Stores) -> Self {
        Self { location, stores, keys: Arc::default(), reporter: None }
    }

    /// The same place, which reports how far a pipe is read when it is opened.
    #[must_use]
    pub fn reporting_to(self, reporter: Arc<dyn Reporter + Send>) -> Self {
        Self { reporter: Some(reporter), ..self }
    }

    /// Who hears what happens when it is opened.
    pub fn reporter(&self) -> Option<&Arc<dyn Reporter + Send>> {
        self.reporter.as_ref()
    }

    /// The same place with these keys.
    #[must_use]
    pub fn with_keys(self, keys: Arc<Keys>) -> Self {
        Self { keys, ..self }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The path, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        self.location.path()
    }

    /// The same place for a process in another directory.
    #[must_use]
    pub fn absolute(&self) -> Self {
        match &self.location {
            Location::Path(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                Self { location: Location::Path(path), ..self.clone() }
            }
            Location::Member(whole, member) => {
                let whole = Self { location: (**whole).clone(), ..self.clone() }.absolute().location;
                Self { location: Location::Member(Box::new(whole), member.clone()), ..self.clone() }
            }
            Location::Standard | Location::Object(_) => self.clone(),
        }
    }

    /// Its bytes; `None` if it is not there or is a pipe.
    pub fn length(&self) -> Result<Option<u64>> {
        match &self.location {
            Location::Standard | Location::Member(..) => Ok(None),
            Location::Path(path) => match std::fs::metadata(path) {
                Ok(facts) => Ok(Some(facts.len()).filter(|_| facts.is_file())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Failure::io("look at", path, error)),
            },
            Location::Object(object) => {
                Ok(self.stores.bucket(object)?.head(&object.key)?.map(|object| object.size))
            }
        }
    }

    /// The bucket, and the key or prefix in it; `None` if it is not in a store.
    pub fn bucket(&self) -> Result<Option<(Bucket, String)>> {
        match &self.location {
            Location::Standard | Location::Path(_) | Location::Member(..) => Ok(None),
            Location::Object(object) => Ok(Some((self.stores.bucket(object)?, object.key.clone()))),
        }
    }

    /// Everything at this location that one thing has for itself, or around it if a part of it is named: a directory, or the
    /// objects below a key. `None` if it is standard input or output.
    ///
    /// Fails if it is a directory that does not exist.
    pub fn directory(&self) -> Result<Option<Directory>> {
        let location = match &self.location {
            Location::Member(whole, _) => whole,
            location => location,
        };
        Ok(match location {
            Location::Standard | Location::Member(..) => None,
            Location::Path(path) => Some(Directory::new(Bucket::folder(path)?, "")),
            Location::Object(object) => Some(Directory::new(self.stores.bucket(object)?, &object.key)),
        })
    }

    /// Where it is, or what it is a part of.
    pub fn whole(&self) -> &Location {
        match &self.location {
            Location::Member(whole, _) => whole,
            location => location,
        }
    }

    /// The name of the part, if a part of something is named.
    pub fn member(&self) -> Option<&str> {
        match &self.location {
            Location::Member(_, member) => Some(member),
            _ => None,
        }
    }

    /// The keys to read and write with.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// The place of this name, reached in the same way.
    pub fn same_stores(&self, name: &str) -> Result<Self> {
        Ok(Self { location: Location::parse(std::ffi::OsStr::new(name))?, ..self.clone() })
    }

    /// Opens it for reading, and decrypts it if it is encrypted.
    pub fn open(&self) -> Result<Opened> {
        self.keys.decrypt(self.open_as_it_is()?, &self.to_string())
    }

    fn is_member(&self) -> Failure {
        Failure::refused(
            Code::new("CC-O25"),
            format!("{self} names a backup in a repository, and an archive is needed here"),
            "Name a file or an object.",
        )
    }

    fn open_as_it_is(&self) -> Result<Opened> {
        let reporter = self.reporter.as_ref().map_or(&Silent as &dyn Reporter, |reporter| &**reporter);
        match &self.location {
            Location::Member(..) => Err(self.is_member()),
            Location::Standard => open_standard_input(reporter),
            Location::Path(path) => open_file(path, reporter),
            Location::Object(object) => {
                if object.key.is_empty() || object.key.ends_with('/') {
                    return Err(no_key(object));
                }
                let reader = ObjectReader::open(&self.stores.bucket(object)?, &object.key)?;
                let facts = reader.object();
                let identity = format!("{} {} {:?}", facts.size, facts.modified, facts.etag);
                Ok(Opened { source: Arc::new(reader), identity })
            }
        }
    }

    /// Reserves it for writing. Refuses what exists already, unless it may be overwritten.
    pub fn create(&self, overwrite: bool) -> Result<Output> {
        Ok(Output { target: self.target(overwrite)?, name: self.to_string(), keys: Arc::clone(&self.keys) })
    }

    fn target(&self, overwrite: bool) -> Result<Target> {
        match &self.location {
            Location::Member(..) => Err(self.is_member()),
            Location::Standard if io::stdout().is_terminal() => Err(Failure::refused(
                Code::new("CC-O18"),
                "standard output is a terminal",
                "Redirect standard output to a file or a program, or give the path of the archive.",
            )),
            Location::Standard => Ok(Target::Standard),
            Location::Path(path) => Ok(Target::File(PartialFile::create(path, overwrite)?)),
            Location::Object(object) => {
                if object.key.is_empty() || object.key.ends_with('/') {
                    return Err(no_key(object));
                }
                let bucket = self.stores.bucket(object)?;
                if !overwrite && bucket.head(&object.key)?.is_some() {
                    return Err(StoreError::new(object, "write it", Said::Exists).into());
                }
                Ok(Target::Object(Box::new(Reserved { bucket, key: object.key.clone(), overwrite })))
            }
        }
    }
}

/// A location in a store that can only be a prefix: it has no key, or a `/` at its end.
#[derive(Debug, thiserror::Error)]
#[error("{place} names no object")]
pub struct NoKey {
    /// The location.
    pub place: String,
}

impl Advice for NoKey {
    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn code(&self) -> Code {
        Code::new("CC-O19")
    }

    fn remedy(&self) -> Option<String> {
        Some(format!(
            "Give the complete key, for example {}/backup.tar.gz.",
            self.place.trim_end_matches('/')
        ))
    }
}

fn no_key(object: &ObjectLocation) -> Failure {
    NoKey { place: object.to_string() }.into()
}

/// A file that standard input was redirected from is read by ranges, as if it was named.
fn open_standard_input(reporter: &dyn Reporter) -> Result<Opened> {
    let failed = |error| Failure::io("read", STANDARD_INPUT, error);
    let mut input = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    let is_at_start = input.stream_position().is_ok_and(|position| position == 0);
    if is_at_start && input.metadata().map_err(failed)?.is_file() {
        return Ok(Opened {
            source: Arc::new(FileBytes::new(input).map_err(failed)?),
            identity: String::new(),
        });
    }
    if io::stdin().is_terminal() {
        return Err(Failure::refused(
            Code::new("CC-O23"),
            "standard input is a terminal",
            "Redirect standard input from a file or a program, or give the path of the archive.",
        ));
    }
    spool(input, STANDARD_INPUT, reporter)
}

fn open_file(path: &Path, reporter: &dyn Reporter) -> Result<Opened> {
    use std::os::unix::fs::MetadataExt as _;
    let failed = |error| Failure::io("open", path, error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() {
        return spool(file, &path.display().to_string(), reporter);
    }
    let identity = format!("{:?}", (facts.len(), facts.mtime(), facts.mtime_nsec(), facts.ino()));
    Ok(Opened { source: Arc::new(FileBytes::new(file).map_err(failed)?), identity })
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::new(Location::Path(path), Stores::default())
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl serde::Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.location)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

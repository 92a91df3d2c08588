//! A part of a store that one thing has for itself: all objects below a prefix, or the files of a directory.

use std::fs::File;

use crate::bucket::{Bucket, Object};
use crate::error::{Said, StoreError};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A part of a store that one thing has for itself. All keys are relative to it.
#[derive(Clone)]
pub struct Directory {
    bucket: Bucket,
    /// What all keys begin with, with its `/`; or nothing.
    prefix: String,
}

impl Directory {
    /// The objects of a bucket whose keys begin with `prefix` and a `/`; all objects if it is empty.
    pub fn new(bucket: Bucket, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { bucket, prefix }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn relative(&self, object: Object) -> Option<Object> {
        let key = object.key.strip_prefix(&self.prefix)?.to_owned();
        Some(Object { key, ..object })
    }

    /// What messages call an object.
    pub fn name_of(&self, key: &str) -> String {
        self.bucket.name_of(&self.key(key))
    }

    /// Whether objects are files of this machine.
    pub fn is_local(&self) -> bool {
        self.bucket.service().is_none()
    }

    /// An object's facts; `None` if there is no such object.
    pub fn head(&self, key: &str) -> Result<Option<Object>> {
        Ok(self.bucket.head(&self.key(key))?.and_then(|object| self.relative(object)))
    }

    /// An object's content of at most `limit` bytes, in one request; `None` if there is no such object.
    pub fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.bucket.get(&self.key(key), limit)
    }

    /// Writes an object that is not there yet; see [`Bucket::put_once`].
    pub fn put_once(&self, key: &str, content: Vec<u8>) -> Result<()> {
        self.bucket.put_owned(&self.key(key), content)
    }

    /// All objects whose keys begin with this folder.
    pub fn list(&self, folder: &str) -> Result<Vec<Object>> {
        let objects = self.bucket.list(&self.key(folder))?;
        Ok(objects.into_iter().filter_map(|object| self.relative(object)).collect())
    }

    /// Deletes objects. Returns those that were not deleted, with the reason; an object that is not there counts as deleted.
    pub fn delete(&self, keys: &[String]) -> Result<Vec<(String, StoreError)>> {
        let all: Vec<String> = keys.iter().map(|key| self.key(key)).collect();
        let refused = self.bucket.delete(&all)?;
        let relative = |key: String| key.strip_prefix(&self.prefix).map_or(key.clone(), str::to_owned);
        Ok(refused.into_iter().map(|(key, error)| (relative(key), error)).collect())
    }

    /// Reads `buf.len()` bytes of an object at `offset` in one request.
    pub fn read_range(&self, key: &str, buf: &mut [u8], offset: u64) -> Result<()> {
        let key = self.key(key);
        let Some(path) = self.bucket.file(&key) else { return self.bucket.read_range(&key, buf, offset) };
        let read =
            File::open(&path).and_then(|file| std::os::unix::fs::FileExt::read_exact_at(&file, buf, offset));
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => self.bucket.error(&key, "read it", Said::NoObject),
            _ => self.bucket.error(&key, "read it", Said::Other(error.to_string())),
        })
    }
}

impl std::fmt::Display for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.bucket.name_of(&self.prefix).trim_end_matches('/'))
    }
}

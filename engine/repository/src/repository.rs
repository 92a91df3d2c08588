//! An open repository.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use encryption::{Identities, KeyPair, Recipients};
use outcome::parallel;
use outcome::report::{Notice, Severity};
use serde::{Deserialize, Serialize};
use store::Directory;

use crate::access::Access;
use crate::cache::Cache;
use crate::error::{RepositoryError, Result};
use crate::host_key::HostKey;
use crate::keys::{FoundKeys, IgnoredKeys, KeySet};
use crate::names::{CONFIG, SNAPSHOTS, SnapshotName};
use crate::signed::{self, SigningKey};
use crate::snapshot::Snapshot;

/// The newest format that this version reads, and the one that it writes.
pub(crate) const FORMAT: u64 = 1;
/// The most bytes of a snapshot.
const MOST_SNAPSHOT: u64 = 16 << 20;
/// Requests that are under way at once where many small objects are read.
pub(crate) const AT_ONCE: usize = 24;

/// What an object may mean that is called like a key set and is none.
const REPLACED_KEYS: &str = "If it has replaced a key set, the machines that this one removed are accepted again: compare \
    `couchcopy repo key list`. Otherwise, delete the object with the store's own tool";

/// What `couchcopy-repository.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// The format of the repository.
    pub(crate) format: u64,
    /// Random, 32 hexadecimal digits.
    pub(crate) id: String,
    /// When it was made (RFC 3339).
    pub(crate) created: String,
    /// How pieces are compressed: `zstd`.
    pub(crate) codec: String,
    /// How objects are encrypted: `age`; not at all if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cipher: Option<String>,
    /// Seconds for which the store locks each object, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) object_lock: Option<u64>,
}

/// A backup, as the store lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListedSnapshot {
    /// Its name.
    pub(crate) name: SnapshotName,
    /// When its snapshot was written, by the store's clock, in seconds since 1970.
    pub(crate) modified: i64,
}

/// An open repository. Clones are the same one.
#[derive(Clone)]
pub struct Repository {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) access: Access,
    pub(crate) config: Config,
    pub(crate) keys: KeySet,
    /// The number that the next key set gets.
    pub(crate) next_keys: u32,
    ignored_keys: Vec<IgnoredKeys>,
    pub(crate) host: Option<HostKey>,
    cache: Cache,
    index: OnceLock<Arc<KeyPair>>,
    data: OnceLock<Arc<KeyPair>>,
}

impl Repository {
    /// Whether a repository is there.
    pub fn is_at(directory: &Directory) -> Result<bool> {
        Ok(directory.head(CONFIG)?.is_some())
    }

    /// Opens a repository: reads its description and its keys.
    pub fn open(access: Access) -> Result<Self> {
        let directory = &access.directory;
        let place = || directory.to_string();
        let cache = if access.keeps_copies { Cache::of(directory) } else { Cache::none() };
        let text = match cache.get(CONFIG) {
            Some(text) => text,
            None => directory
                .get(CONFIG, 64 << 10)?
                .ok_or_else(|| RepositoryError::NotThere { place: place() })?,
        };
        let damaged =
            |error: serde_json::Error| RepositoryError::damaged(directory.name_of(CONFIG), error.to_string());
        let format = serde_json::from_slice::<serde_json::Value>(&text).map_err(damaged)?["format"].as_u64();
        if let Some(format) = format.filter(|format| *format > FORMAT) {
            return Err(RepositoryError::Newer { place: place(), format }.into());
        }
        let config: Config = serde_json::from_slice(&text).map_err(damaged)?;
        if config.codec != "zstd" || config.cipher.as_deref().is_some_and(|cipher| cipher != "age") {
            return Err(RepositoryError::Newer { place: place(), format: config.format }.into());
        }
        let FoundKeys { set: keys, next: next_keys, ignored: ignored_keys } =
            KeySet::newest(directory, &cache, &config.id)?;
        cache.put(CONFIG, &text);
        if keys.public.is_some() != config.cipher.is_some() {
            return Err(RepositoryError::damaged(
                directory.name_of(CONFIG),
                "it and the keys do not agree on encryption",
            )
            .into());
        }
        let path = access.host_key.clone().unwrap_or_else(|| HostKey::usual_path(&config.id));
        let host = HostKey::read(&path)?;
        if let Some(host) = host.as_ref().filter(|host| host.repository != config.id) {
            let problem =
                format!("it is for the repository {}, and {} is {}", host.repository, place(), config.id);
            return Err(RepositoryError::HostKey { path: path.display().to_string(), problem }.into());
        }
        if host.as_ref().is_some_and(|host| !host.agrees_with(keys.public.as_ref())) {
            let problem = format!(
                "the keys of the repository are not those that {} records: somebody may have replaced them",
                path.display(),
            );
            return Err(RepositoryError::Signature { object: place(), problem }.into());
        }
        if let Some(reporter) = &access.reporter {
            for ignored in &ignored_keys {
                let text = format!("the object is not used: {}", ignored.problem);
                reporter.notice(&Notice {
                    severity: Severity::Warning,
                    text: format!("{text}. {REPLACED_KEYS}"),
                });
            }
        }
        let (index, data) = (OnceLock::new(), OnceLock::new());
        let inner = Inner { access, config, keys, next_keys, ignored_keys, host, cache, index, data };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same repository, read from the store alone: copies on this machine are not used.
    pub(crate) fn without_copies(&self) -> Result<Self> {
        let access = Access { keeps_copies: false, reporter: None, ..self.inner.access.clone() };
        Self::open(access)
    }

    /// Objects that are called like key sets, and are none that the repository accepts.
    pub fn ignored_keys(&self) -> &[IgnoredKeys] {
        &self.inner.ignored_keys
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        self.directory().to_string()
    }

    /// Its random id, 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.inner.config.id
    }

    /// Whether its objects are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.inner.keys.public.is_some()
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.inner.access.directory
    }

    /// The key of this machine.
    pub(crate) fn host(&self) -> Result<&HostKey> {
        let host = self.inner.host.as_ref();
        Ok(host.ok_or_else(|| {
            let path = self.host_key_path().display().to_string();
            RepositoryError::NoHostKey { place: self.name(), path }
        })?)
    }

    /// What this machine signs with, if the repository accepts it.
    pub(crate) fn signer(&self) -> Result<SigningKey> {
        let signing = self.host()?.signing()?;
        if self.inner.keys.signer(&signing.public()).is_none() {
            let problem =
                "the repository does not accept it any more, see `couchcopy repo key list`".to_owned();
            return Err(RepositoryError::HostKey {
                path: self.host_key_path().display().to_string(),
                problem,
            }
            .into());
        }
        Ok(signing)
    }

    /// The identity that opens snapshots and manifests; `None` if they are not encrypted.
    pub(crate) fn index_key(&self) -> Result<Option<Arc<KeyPair>>> {
        let keys = &self.inner.keys;
        self.secret(&self.inner.index, || keys.index_keys(), self.inner.host.as_ref(), "its index")
    }

    /// The identity that opens packs; `None` if they are not encrypted.
    pub(crate) fn data_key(&self) -> Result<Option<Arc<KeyPair>>> {
        self.secret(&self.inner.data, || self.inner.keys.data_key.clone(), None, "its data")
    }

    fn secret(
        &self,
        known: &OnceLock<Arc<KeyPair>>,
        wraps: impl FnOnce() -> Vec<String>,
        host: Option<&HostKey>,
        what: &'static str,
    ) -> Result<Option<Arc<KeyPair>>> {
        if !self.is_encrypted() {
            return Ok(None);
        }
        if let Some(pair) = known.get() {
            return Ok(Some(Arc::clone(pair)));
        }
        let given = &self.inner.access.keys.identities;
        let host = host.map(|host| host.pair.identity());
        let with: Vec<&Identities> = host.iter().chain([given]).collect();
        let pair = KeySet::unwrap(&wraps(), &with)?
            .ok_or_else(|| RepositoryError::NoKey { place: self.name(), what })?;
        Ok(Some(Arc::clone(known.get_or_init(|| Arc::new(pair)))))
    }

    /// Encrypts an object of the index, if the repository is encrypted.
    pub(crate) fn seal_index(&self, name: &str, content: Vec<u8>) -> Result<Vec<u8>> {
        match &self.inner.keys.public {
            None => Ok(content),
            Some(keys) => {
                Ok(Recipients::gather(std::slice::from_ref(&keys.index), &[], None)?.seal(name, &content)?)
            }
        }
    }

    /// Decrypts an object of the index, if the repository is encrypted.
    pub(crate) fn unseal_index(&self, name: &str, content: Vec<u8>) -> Result<Vec<u8>> {
        match self.index_key()? {
            None => Ok(content),
            Some(pair) => Ok(pair.identity().unseal(name, content)?),
        }
    }

    /// Encrypts a pack, if the repository is encrypted.
    pub(crate) fn seal_data(&self, name: &str, content: Vec<u8>) -> Result<Vec<u8>> {
        match &self.inner.keys.public {
            None => Ok(content),
            Some(keys) => {
                Ok(Recipients::gather(std::slice::from_ref(&keys.data), &[], None)?.seal(name, &content)?)
            }
        }
    }

    /// Writes a signed object of the index.
    pub(crate) fn put_signed(&self, kind: &str, key: &str, payload: &impl Serialize) -> Result<()> {
        let text = signed::sign(kind, payload, &self.signer()?)?;
        let sealed = self.seal_index(&self.directory().name_of(key), text)?;
        Ok(self.directory().put_once(key, sealed)?)
    }

    /// Reads a signed object of the index. `None` if there is no such object. Fails if its signer is not trusted.
    pub(crate) fn get_signed<T: serde::de::DeserializeOwned>(
        &self,
        kind: &str,
        key: &str,
    ) -> Result<Option<(T, String)>> {
        let Some((payload, signer)) = self.get_signed_by_anyone(kind, key)? else { return Ok(None) };
        let is_listed = self.inner.keys.signer(&signer).is_some();
        if !self.inner.access.trust.accepts(&signer, is_listed) {
            let object = self.directory().name_of(key);
            let problem = format!("{signer} signed it, which is not trusted here");
            return Err(RepositoryError::Signature { object, problem }.into());
        }
        Ok(Some((payload, signer)))
    }

    /// As [`Self::get_signed`], whoever signed it.
    pub(crate) fn get_signed_by_anyone<T: serde::de::DeserializeOwned>(
        &self,
        kind: &str,
        key: &str,
    ) -> Result<Option<(T, String)>> {
        let object = self.directory().name_of(key);
        self.read_kept(key, MOST_SNAPSHOT, |sealed| {
            let text = self.unseal_index(&object, sealed)?;
            let signed = signed::open(&object, kind, &text)?;
            let payload = serde_json::from_str(signed.payload)
                .map_err(|error| RepositoryError::damaged(&object, format!("it cannot be read: {error}")))?;
            Ok((payload, signed.signer))
        })
    }

    /// Reads an object that never changes: the copy in the cache, or if there is none, or if it cannot be read, the object itself.
    /// `None` if there is no such object.
    pub(crate) fn read_kept<T>(
        &self,
        key: &str,
        limit: u64,
        read: impl Fn(Vec<u8>) -> Result<T>,
    ) -> Result<Option<T>> {
        let cache = &self.inner.cache;
        if let Some(kept) = cache.get(key) {
            match read(kept) {
                Ok(found) => return Ok(Some(found)),
                // It may have been cut when this machine lost its power.
                Err(_) => cache.remove(key),
            }
        }
        let Some(content) = self.directory().get(key, limit)? else { return Ok(None) };
        let found = read(content.clone())?;
        cache.put(key, &content);
        Ok(Some(found))
    }

    /// Forgets the copies of all objects: they are of another repository that was at the same place.
    pub(crate) fn forget_all(&self) {
        self.inner.cache.clear();
    }

    /// All backups, the oldest first.
    pub(crate) fn listed_snapshots(&self) -> Result<Vec<ListedSnapshot>> {
        let objects = self.directory().list(SNAPSHOTS)?;
        let name =
            |key: &str| key.rsplit('/').next()?.parse::<SnapshotName>().ok().filter(|name| name.key() == key);
        let listed = objects.iter().filter_map(|object| {
            Some(ListedSnapshot { name: name(&object.key)?, modified: object.modified })
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_unstable_by_key(|listed| listed.name);
        Ok(listed)
    }

    /// The names of all backups, the oldest first.
    pub fn snapshot_names(&self) -> Result<Vec<SnapshotName>> {
        Ok(self.listed_snapshots()?.into_iter().map(|listed| listed.name).collect())
    }

    /// A backup's snapshot; `None` if it is not there any more.
    pub fn snapshot(&self, name: SnapshotName) -> Result<Option<Snapshot>> {
        Snapshot::get(self, name)
    }

    /// The snapshots of all backups, the oldest first, each with why it cannot be read if it cannot.
    pub fn snapshots(&self, names: &[SnapshotName]) -> Vec<(SnapshotName, Result<Snapshot>)> {
        // Opened once, and not by each thread.
        let _ = self.index_key();
        let read = |name: SnapshotName| match self.index_key() {
            Ok(_) => self.snapshot(name).transpose(),
            Err(failure) => Some(Err(failure)),
        };
        let read = self.at_once(names, |name| read(*name));
        names.iter().zip(read).filter_map(|(name, read)| Some((*name, read?))).collect()
    }

    /// Does something with each of many small objects, several at a time. The results, in order.
    pub(crate) fn at_once<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        // Stores are waited for, and files of this machine are not.
        let workers = if self.directory().is_local() { parallel::threads(0) } else { AT_ONCE };
        let next = AtomicUsize::new(0);
        let workers = vec![(); workers.min(items.len())];
        let done = parallel::all_at_once(&workers, |_, ()| {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(number) else { return done };
                done.push((number, work(item)));
            }
        });
        let mut done: Vec<(usize, R)> = done.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

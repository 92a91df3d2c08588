//! The commit point of a backup: small, written last, signed.

use serde::{Deserialize, Serialize};

use crate::error::{RepositoryError, Result};
use crate::known_sources::KnownSources;
use crate::names::SnapshotName;
use crate::repository::Repository;

const KIND: &str = "snapshot";

/// What a repository records of one backup besides its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Id of the repository.
    pub repository: String,
    /// Its name.
    pub name: String,
    /// When the backup began (RFC 3339, UTC).
    pub begun: String,
    /// When the snapshot was written (RFC 3339, UTC).
    pub committed: String,
    /// The machine that made it.
    pub host: String,
    /// Names of the nodes saved.
    pub nodes: Vec<String>,
    /// Where the data directories of the nodes are: the machine, a colon and the path of each. Two installations may have nodes of the
    /// same names. Nothing if that is not known. A backup of some databases only also has the options that chose them here, each as
    /// `--only PATTERN` or `--except PATTERN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<String>,
    /// Databases saved.
    pub databases: u64,
    /// Documents that exist, if they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// Whether everything that belongs to the databases was saved.
    pub complete: bool,
    /// Files in it.
    pub files: u64,
    /// Bytes of these files.
    pub content_bytes: u64,
    /// Files that were read for it, completely or in part.
    pub read_files: u64,
    /// Bytes of content that were new.
    pub new_bytes: u64,
    /// Bytes of the packs that it added.
    pub added_bytes: u64,
    /// The backup that it builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Records of all files, or of those at the time when they were last written out completely.
    pub base: Vec<ManifestPart>,
    /// Records of the files that differ from `base`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ManifestPart>,
    /// The other sources of backups in the repository, as far as its writer knew them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownSources>,
    /// The public key that signed it, 64 hexadecimal digits.
    #[serde(skip)]
    pub signer: String,
}

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPart {
    /// Its key.
    pub key: String,
    /// Bytes of the object.
    pub size: u64,
    /// BLAKE3 of the object, 64 hexadecimal digits.
    pub blake3: String,
    /// The name of its first file.
    pub first: String,
    /// Records in it.
    pub records: u64,
}

impl Snapshot {
    /// Reads one.
    pub(crate) fn get(repository: &Repository, name: SnapshotName) -> Result<Option<Self>> {
        let Some((mut snapshot, signer)) = repository.get_signed::<Self>(KIND, &name.key())? else {
            return Ok(None);
        };
        if snapshot.repository != repository.id() || snapshot.name != name.to_string() {
            repository.forget_all();
            let object = repository.directory().name_of(&name.key());
            let problem = "it was written under another name, or for another repository".to_owned();
            return Err(RepositoryError::Signature { object, problem }.into());
        }
        snapshot.signer = signer;
        Ok(Some(snapshot))
    }

    /// Writes it: the backup exists from now on.
    pub(crate) fn put(&self, repository: &Repository, name: SnapshotName) -> Result<()> {
        repository.put_signed(KIND, &name.key(), self)
    }

    /// The manifest's objects.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &ManifestPart> {
        self.base.iter().chain(&self.changes)
    }

    /// Whether it is a backup of this node (`NAME@HOST` or `HOST`), of this machine, or of this place of a data directory
    /// (`MACHINE:/PATH`).
    pub fn is_of(&self, text: &str) -> bool {
        let is_node =
            |node: &String| node == text || node.split_once('@').is_some_and(|(_, host)| host == text);
        let is_place = |place: &String| {
            place == text || place.split_once(":/").is_some_and(|(machine, _)| machine == text)
        };
        self.nodes.iter().any(is_node) || self.source.iter().any(is_place)
    }

    /// Whether only some of the databases were to be saved.
    pub fn is_partial(&self) -> bool {
        is_partial(&self.source)
    }

    /// When the backup began, in seconds since 1970.
    pub fn second(&self) -> i64 {
        self.name.parse::<SnapshotName>().map_or(0, |name| name.second())
    }
}

/// Whether backups with this [`Snapshot::source`] hold only some of the databases.
pub(crate) fn is_partial(source: &[String]) -> bool {
    source.iter().any(|of| is_choice(of))
}

/// Whether this part of [`Snapshot::source`] is a choice of databases.
pub(crate) fn is_choice(of: &str) -> bool {
    of.starts_with("--only ") || of.starts_with("--except ")
}

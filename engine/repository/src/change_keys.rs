//! Adds and removes people and machines.

use std::path::{Path, PathBuf};

use encryption::Recipients;

use crate::error::{RepositoryError, Result};
use crate::host_key::HostKey;
use crate::keys::{KeySet, People, Signer, owner};
use crate::repository::Repository;

/// Somebody who has a key of a repository.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeyHolder {
    /// `machine` or `recipient`.
    pub kind: &'static str,
    /// Name of a machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The public key: of a machine the one that signs, 64 hexadecimal digits.
    pub public: String,
    /// What it opens.
    pub opens: &'static str,
}

impl Repository {
    /// All who have keys.
    pub fn key_holders(&self) -> Vec<KeyHolder> {
        let keys = &self.inner.keys;
        let opens = if self.is_encrypted() { "index" } else { "everything: the repository is not encrypted" };
        let machines = keys.signers.iter().map(|signer| KeyHolder {
            kind: "machine",
            name: Some(signer.name.clone()),
            public: signer.public.clone(),
            opens,
        });
        let person =
            |public: String| KeyHolder { kind: "recipient", name: None, public, opens: "index and data" };
        let passphrase = keys.passphrase.then(|| person("(a passphrase)".to_owned()));
        machines.chain(keys.recipients.iter().cloned().map(person)).chain(passphrase).collect()
    }

    /// Makes a key for a machine, writes it to a file, and lets it make backups.
    ///
    /// Needs a key that opens the data; if the repository is not encrypted, the key of another machine.
    pub fn add_machine(&self, name: &str, path: &Path) -> Result<()> {
        let key = HostKey::generate(self.id())?;
        let mut set = self.next_keys();
        set.signers.push(Signer {
            name: name.to_owned(),
            public: key.signing()?.public(),
            index: self.is_encrypted().then(|| key.pair.public()),
        });
        if let Some(index) = self.index_key()? {
            set.wrap_for_machines(&index)?;
        }
        key.pinned(set.public.as_ref()).write(path)?;
        let put = self.put_keys(&set);
        if put.is_err() {
            // Nobody knows it.
            let _ = std::fs::remove_file(path);
        }
        put
    }

    /// Lets a machine make no more backups. Those that it signed are refused from then on, unless its key is pinned.
    pub fn remove_machine(&self, public: &str) -> Result<()> {
        let mut set = self.next_keys();
        let before = set.signers.len();
        set.signers.retain(|signer| !signer.public.eq_ignore_ascii_case(public));
        if set.signers.len() == before {
            return Err(RepositoryError::Options(format!(
                "no machine of {} has the key {public}",
                self.name()
            ))
            .into());
        }
        if set.signers.is_empty() {
            let text =
                format!("{public} is the last key that can sign for {}: add another one first", self.name());
            return Err(RepositoryError::Options(text).into());
        }
        if let Some(index) = self.index_key()? {
            set.wrap_for_machines(&index)?;
        }
        self.put_keys(&set)
    }

    /// Encrypts the secret keys for these people, in place of those before. Needs a key that opens the data.
    ///
    /// No data is written again: who could open the repository before and has kept the secret keys still can.
    pub fn replace_recipients(&self, recipients: &Recipients, texts: &[String]) -> Result<()> {
        let (Some(data), Some(index)) = (self.data_key()?, self.index_key()?) else {
            let text =
                format!("{} is not encrypted, and cannot be encrypted later: make a new one", self.name());
            return Err(RepositoryError::Options(text).into());
        };
        let mut set = self.next_keys();
        let people = People {
            recipients: texts.to_vec(),
            passphrase: recipients.has_passphrase(),
            keys: recipients.clone(),
        };
        set.wrap(&data, &index, &people)?;
        self.put_keys(&set)
    }

    /// The public keys of the people that have keys.
    pub fn recipients(&self) -> &[String] {
        &self.inner.keys.recipients
    }

    fn next_keys(&self) -> KeySet {
        let keys = &self.inner.keys;
        KeySet { number: self.inner.next_keys, created: jiff::Timestamp::now().to_string(), ..keys.clone() }
    }

    fn put_keys(&self, set: &KeySet) -> Result<()> {
        if let Some(data) = self.data_key()? {
            return set.put(self.directory(), &owner(&data)?);
        }
        set.put(self.directory(), &self.signer()?)
    }

    /// The file with the key of this machine.
    pub fn host_key_path(&self) -> PathBuf {
        self.inner.access.host_key.clone().unwrap_or_else(|| HostKey::usual_path(self.id()))
    }

    /// The same repository, as it is described now.
    pub fn reopened(&self) -> Result<Self> {
        Self::open(self.inner.access.clone())
    }
}

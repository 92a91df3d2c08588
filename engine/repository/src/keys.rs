//! The keys of a repository: who may sign, and who can open what.
//!
//! Every change is a new object with the next number. The repository has two key pairs of its own, which never change: *index* for
//! snapshots and manifests, *data* for packs. Their secret halves stand in the key set, encrypted for people (both) and for machines
//! that make backups (index only). So people and machines come and go without anything else being written again.
//!
//! A key set is signed by the *owner*, a key that follows from the secret half of *data*: whoever can read the data can change the
//! keys, and a machine that makes backups cannot. A repository that is not encrypted has no owner: there a machine of the key set
//! before signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encryption::{Identities, KeyPair, Recipients};
use serde::{Deserialize, Serialize};
use store::{Directory, Said};

use crate::cache::Cache;
use crate::error::{RepositoryError, Result};
use crate::names::KEYS;
use crate::signed::{self, SigningKey};

const KIND: &str = "keys";
/// The most bytes of a key set.
const MOST: u64 = 4 << 20;
/// The most key sets.
const MOST_SETS: u32 = 100_000;
/// The most objects among them that are none.
const MOST_IGNORED: usize = 100;

/// A key that may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signer {
    /// What people call it: the name of the machine.
    pub(crate) name: String,
    /// Ed25519, 64 hexadecimal digits.
    pub(crate) public: String,
    /// Public key of age for which the index is opened, if the repository is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<String>,
}

/// The keys of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeySet {
    /// Id of the repository.
    pub(crate) repository: String,
    pub(crate) number: u32,
    /// When it was made (RFC 3339).
    pub(crate) created: String,
    /// The machines that make backups.
    pub(crate) signers: Vec<Signer>,
    /// The public halves, if the repository is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public: Option<PublicKeys>,
    /// For whom the secret halves are encrypted, besides machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) recipients: Vec<String>,
    /// Whether a passphrase opens them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) passphrase: bool,
    /// The secret half of *data*: files of age in base64, any of which will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) data_key: Vec<String>,
    /// The secret half of *index*: files of age in base64, any of which will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) index_key: Vec<String>,
    /// The same for the machines: a file of age in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) machine_key: Option<String>,
}

/// The public halves of the repository's own key pairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicKeys {
    pub(crate) data: String,
    pub(crate) index: String,
    /// Ed25519, 64 hexadecimal digits: signs key sets.
    pub(crate) owner: String,
}

/// The keys of a repository as they were found.
pub(crate) struct FoundKeys {
    /// The newest key set.
    pub(crate) set: KeySet,
    /// The first number that no object has.
    pub(crate) next: u32,
    /// Objects that are called like key sets, and are none that this repository accepts.
    pub(crate) ignored: Vec<IgnoredKeys>,
}

/// An object that is called like a key set, and is none that the repository accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredKeys {
    /// The object.
    pub object: String,
    /// Why it is not accepted.
    pub problem: String,
}

/// What the owner's key is derived for (BLAKE3's key derivation).
const OWNER: &str = "couchcopy repository 1: key of the owner";

/// The owner's key: it follows from the secret half of *data*.
pub(crate) fn owner(data: &KeyPair) -> Result<SigningKey> {
    let seed = zeroize::Zeroizing::new(blake3::derive_key(OWNER, data.secret().as_bytes()));
    SigningKey::from_seed(&seed)
}

/// For whom the secret halves are encrypted, besides machines.
pub(crate) struct People {
    pub(crate) recipients: Vec<String>,
    pub(crate) passphrase: bool,
    pub(crate) keys: Recipients,
}

impl KeySet {
    pub(crate) fn key(number: u32) -> String {
        format!("{KEYS}/{number:08}")
    }

    /// Encrypts the secret halves for people. A passphrase that opened them before still does.
    pub(crate) fn wrap(&mut self, data: &KeyPair, index: &KeyPair, people: &People) -> Result<()> {
        let seal = |pair: &KeyPair| -> Result<String> {
            Ok(STANDARD.encode(people.keys.seal("a key of the repository", pair.secret().as_bytes())?))
        };
        // A file of age is for a passphrase or for keys: that for the passphrase comes first.
        let kept = usize::from(self.passphrase && !people.passphrase);
        self.recipients.clone_from(&people.recipients);
        self.passphrase |= people.passphrase;
        self.index_key.truncate(kept);
        self.index_key.push(seal(index)?);
        self.data_key.truncate(kept);
        self.data_key.push(seal(data)?);
        Ok(())
    }

    /// Encrypts the secret half of *index* for the machines.
    pub(crate) fn wrap_for_machines(&mut self, index: &KeyPair) -> Result<()> {
        let machines: Vec<String> = self.signers.iter().filter_map(|signer| signer.index.clone()).collect();
        self.machine_key = None;
        if !machines.is_empty() {
            let to = Recipients::gather(&machines, &[], None)?;
            self.machine_key = Some(STANDARD.encode(to.seal("the index key", index.secret().as_bytes())?));
        }
        Ok(())
    }

    /// Everything that opens *index*.
    pub(crate) fn index_keys(&self) -> Vec<String> {
        self.machine_key.iter().chain(&self.index_key).cloned().collect()
    }

    /// Whether this key may sign the key set that comes after this one.
    fn may_be_changed_by(&self, public: &str) -> bool {
        match &self.public {
            Some(keys) => keys.owner == public,
            None => self.signer(public).is_some(),
        }
    }

    /// Opens a secret half with one of these keys; `None` if none opens it.
    pub(crate) fn unwrap(wraps: &[String], with: &[&Identities]) -> Result<Option<KeyPair>> {
        let name = "a key of the repository";
        let mut failed = None;
        for sealed in wraps {
            let sealed =
                STANDARD.decode(sealed).map_err(|_| RepositoryError::damaged(name, "it is not base64"))?;
            for identities in with.iter().filter(|identities| !identities.is_empty()) {
                match identities.unseal(name, sealed.clone()) {
                    Ok(secret) => {
                        let secret = zeroize::Zeroizing::new(secret);
                        let text = std::str::from_utf8(&secret)
                            .map_err(|_| RepositoryError::damaged(name, "it is not text"))?;
                        return Ok(Some(KeyPair::from_secret(text, name)?));
                    }
                    Err(error) => failed = Some(error),
                }
            }
        }
        match failed {
            // The others only say that the key is for somebody else.
            Some(error) if matches!(error, encryption::EncryptionError::WrongPassphrase { .. }) => {
                Err(error.into())
            }
            _ => Ok(None),
        }
    }

    /// The signer with this public key.
    pub(crate) fn signer(&self, public: &str) -> Option<&Signer> {
        self.signers.iter().find(|signer| signer.public == public)
    }

    /// Writes it, signed.
    pub(crate) fn put(&self, directory: &Directory, key: &SigningKey) -> Result<()> {
        Ok(directory.put_once(&Self::key(self.number), signed::sign(KIND, self, key)?)?)
    }

    /// The newest key set of a repository. Each must be signed by whom the one before permits it. What is no such key set is
    /// ignored: whoever may put objects could otherwise keep everybody from the repository.
    pub(crate) fn newest(directory: &Directory, cache: &Cache, repository: &str) -> Result<FoundKeys> {
        let mut newest: Option<Self> = None;
        let mut ignored = Vec::new();
        for number in 0..MOST_SETS {
            let key = Self::key(number);
            let read =
                |text: &[u8]| Self::read(text, &directory.name_of(&key), repository, number, newest.as_ref());
            // A copy may have been cut when this machine lost its power.
            let kept = cache.get(&key).and_then(|text| read(&text).map_err(|_| cache.remove(&key)).ok());
            let found = if let Some(set) = kept {
                Ok(set)
            } else {
                let Some(text) = text_of(directory, &key)? else {
                    return Self::found(newest, number, ignored, directory);
                };
                let set = read(&text);
                if set.is_ok() {
                    cache.put(&key, &text);
                }
                set
            };
            match found {
                Ok(set) => newest = Some(set),
                Err(failure) if newest.is_some() && ignored.len() < MOST_IGNORED => {
                    let object = directory.name_of(&key);
                    ignored.push(IgnoredKeys { object, problem: failure.to_string() });
                }
                Err(failure) => return Err(failure),
            }
        }
        Self::found(newest, MOST_SETS, ignored, directory)
    }

    fn found(
        newest: Option<Self>,
        next: u32,
        ignored: Vec<IgnoredKeys>,
        directory: &Directory,
    ) -> Result<FoundKeys> {
        let set = newest.ok_or_else(|| RepositoryError::Missing {
            object: directory.name_of(&Self::key(0)),
            needed_by: "the repository".into(),
        })?;
        Ok(FoundKeys { set, next, ignored })
    }

    /// Reads the key set of this number. `before` is the one before it.
    fn read(text: &[u8], object: &str, repository: &str, number: u32, before: Option<&Self>) -> Result<Self> {
        let signed = signed::open(object, KIND, text)?;
        let set: Self = serde_json::from_str(signed.payload)
            .map_err(|error| RepositoryError::damaged(object, format!("it cannot be read: {error}")))?;
        if set.repository != repository || set.number != number {
            let problem = "it belongs to another repository or has another number";
            return Err(RepositoryError::damaged(object, problem).into());
        }
        let before = before.unwrap_or(&set);
        let wrong = |problem: String| RepositoryError::Signature { object: object.to_owned(), problem };
        if before.public != set.public {
            let problem = "it has other keys of the repository than the one before: these never change";
            return Err(wrong(problem.to_owned()).into());
        }
        if !before.may_be_changed_by(&signed.signer) {
            let problem = format!("{} signed it, which may not sign in this repository", signed.signer);
            return Err(wrong(problem).into());
        }
        Ok(set)
    }
}

/// The bytes of a key set; `None` if there is no such object. Of one that has too many, nothing: it is no key set.
fn text_of(directory: &Directory, key: &str) -> Result<Option<Vec<u8>>> {
    match directory.get(key, MOST) {
        Err(error) if matches!(error.said, Said::Other(_)) => match directory.head(key)? {
            Some(object) if object.size > MOST => Ok(Some(Vec::new())),
            _ => Err(error.into()),
        },
        read => Ok(read?),
    }
}

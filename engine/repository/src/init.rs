//! Makes a repository.

use std::path::PathBuf;

use encryption::{KeyPair, Recipients};
use store::{Directory, Said};

use crate::access::Access;
use crate::cache::Cache;
use crate::error::{RepositoryError, Result};
use crate::host_key::HostKey;
use crate::keys::{KeySet, People, PublicKeys, Signer, owner};
use crate::names::{CONFIG, random};
use crate::repository::{Config, FORMAT, Repository};

/// How a repository is made.
pub struct Init {
    /// Where, and with which keys.
    pub access: Access,
    /// For whom it is encrypted.
    pub recipients: Recipients,
    /// The public keys among them, as text.
    pub recipient_texts: Vec<String>,
    /// What the key of this machine is called: its host name.
    pub host: String,
    /// Seconds for which the store locks each object against deletion, if it does: see [`crate::SnapshotOptions::object_lock`].
    pub object_lock: Option<u64>,
}

/// A repository that was made.
pub struct Made {
    /// The repository.
    pub repository: Repository,
    /// The file with the key of this machine.
    pub host_key: PathBuf,
    /// Whether the store refuses to replace an object that is there, if it is asked to. Random names make it unlikely that it ever
    /// has to; a store that does has one safeguard less.
    pub refuses_to_replace: bool,
}

/// Makes a repository, and writes the key of this machine to a file.
///
/// Fails if something is there already. An interrupted attempt leaves no repository.
pub fn init(options: &Init) -> Result<Made> {
    let Init { access, recipients, recipient_texts, host, object_lock } = options;
    let directory = &access.directory;
    let place = || directory.to_string();
    if Repository::is_at(directory)? {
        return Err(RepositoryError::Exists { place: place() }.into());
    }
    if let Some(found) = directory.list("")?.first() {
        return Err(RepositoryError::NotEmpty { place: place(), found: found.key.clone() }.into());
    }
    let refuses_to_replace = refuses_to_replace(directory)?;
    // Of a repository that was here before.
    Cache::of(directory).clear();
    let id = hex::encode(random::<16>()?);
    let created = jiff::Timestamp::now().to_string();
    let key = HostKey::generate(&id)?;
    let path = access.host_key.clone().unwrap_or_else(|| HostKey::usual_path(&id));
    let signing = key.signing()?;
    let mut first = key.signing()?;
    let is_encrypted = !recipients.is_empty();
    let signer = Signer {
        name: host.clone(),
        public: signing.public(),
        index: is_encrypted.then(|| key.pair.public()),
    };
    let mut set = KeySet {
        repository: id.clone(),
        number: 0,
        created: created.clone(),
        signers: vec![signer],
        public: None,
        recipients: Vec::new(),
        passphrase: false,
        data_key: Vec::new(),
        index_key: Vec::new(),
        machine_key: None,
    };
    if is_encrypted {
        let (data, index) = (KeyPair::generate(), KeyPair::generate());
        set.public =
            Some(PublicKeys { data: data.public(), index: index.public(), owner: owner(&data)?.public() });
        let people = People {
            recipients: recipient_texts.clone(),
            passphrase: recipients.has_passphrase(),
            keys: recipients.clone(),
        };
        set.wrap(&data, &index, &people)?;
        set.wrap_for_machines(&index)?;
        first = owner(&data)?;
    }
    // The key first: without it, nobody could add to the repository.
    key.pinned(set.public.as_ref()).write(&path)?;
    set.put(directory, &first)?;
    let cipher = is_encrypted.then(|| "age".to_owned());
    let config =
        Config { format: FORMAT, id, created, codec: "zstd".into(), cipher, object_lock: *object_lock };
    let text =
        serde_json::to_vec_pretty(&config).map_err(|_| RepositoryError::Bug("a description is no JSON"))?;
    directory.put_once(CONFIG, text)?;
    let access = Access { host_key: Some(path.clone()), ..access.clone() };
    Ok(Made { repository: Repository::open(access)?, host_key: path, refuses_to_replace })
}

/// Tries it.
fn refuses_to_replace(directory: &Directory) -> Result<bool> {
    let key = format!("probe-{}", hex::encode(random::<16>()?));
    directory.put_once(&key, b"1".to_vec())?;
    let again = directory.put_once(&key, b"2".to_vec());
    // Some machines may write and not delete.
    let _ = directory.delete(&[key]);
    match again {
        Ok(()) => Ok(false),
        Err(error) if error.said == Said::Exists => Ok(true),
        Err(error) => Err(error.into()),
    }
}

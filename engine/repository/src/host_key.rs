//! The key of a machine that makes backups: it signs them, and opens the index of the repository, but not its data.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use encryption::KeyPair;
use outcome::Failure;
use zeroize::Zeroizing;

use crate::error::{RepositoryError, Result};
use crate::keys::PublicKeys;
use crate::names::random;
use crate::signed::SigningKey;

/// The key of a machine for one repository.
pub struct HostKey {
    /// Id of the repository.
    pub(crate) repository: String,
    seed: Zeroizing<[u8; 32]>,
    pub(crate) pair: KeyPair,
    /// The keys of the repository, so that nobody who can write to the store puts others in their place: *data*, *index*, *owner*.
    pub(crate) pinned: Option<[String; 3]>,
}

impl HostKey {
    /// Makes a new one.
    pub(crate) fn generate(repository: &str) -> Result<Self> {
        Ok(Self {
            repository: repository.to_owned(),
            seed: Zeroizing::new(random()?),
            pair: KeyPair::generate(),
            pinned: None,
        })
    }

    /// The same key with the keys of the repository, if it is encrypted.
    pub(crate) fn pinned(self, keys: Option<&PublicKeys>) -> Self {
        let pinned = keys.map(|keys| [keys.data.clone(), keys.index.clone(), keys.owner.clone()]);
        Self { pinned, ..self }
    }

    /// Whether the keys of the repository are those that are pinned.
    pub(crate) fn agrees_with(&self, keys: Option<&PublicKeys>) -> bool {
        self.pinned == keys.map(|keys| [keys.data.clone(), keys.index.clone(), keys.owner.clone()])
    }

    /// Where the key for a repository is if nothing else is said: below `$XDG_CONFIG_HOME/couchcopy`.
    pub fn usual_path(repository: &str) -> PathBuf {
        let config = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
        let home =
            || std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from).join(".config");
        config.unwrap_or_else(home).join("couchcopy/repositories").join(format!("{repository}.key"))
    }

    pub(crate) fn signing(&self) -> Result<SigningKey> {
        SigningKey::from_seed(&self.seed)
    }

    /// Reads a key file; `None` if it does not exist. Refused if others than its owner have permissions for it.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let failed = |error| Failure::io("read", path, error);
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let wrong = |problem: String| RepositoryError::HostKey { path: path.display().to_string(), problem };
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(wrong(format!(
                "others than its owner can read it (mode {mode:o}): `chmod 600 {}`",
                path.display()
            ))
            .into());
        }
        let text = Zeroizing::new(std::io::read_to_string(file).map_err(failed)?);
        let word = |key: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            lines
                .map(str::trim)
                .next()
                .map(str::to_owned)
                .ok_or_else(|| wrong(format!("it has no line \"{key} …\"")))
        };
        let mut seed = Zeroizing::new([0; 32]);
        let digits = Zeroizing::new(word("signing")?);
        hex::decode_to_slice(digits.as_bytes(), &mut *seed)
            .map_err(|_| wrong("its signing key is malformed".into()))?;
        let pair = KeyPair::from_secret(&Zeroizing::new(word("index")?), &path.display().to_string())?;
        let pinned = match word("data") {
            Ok(data) => Some([data, word("index-public")?, word("owner")?]),
            Err(_) => None,
        };
        Ok(Some(Self { repository: word("repository")?, seed, pair, pinned }))
    }

    /// Writes it to a new file that only its owner may read. Durable.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |error| RepositoryError::HostKeyNotWritten { path, error }
        };
        if let Some(folder) = path.parent() {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        }
        let mut text = Zeroizing::new(String::new());
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "# couchcopy: the key of this machine for a repository. Keep it secret.\n\
             # It signs backups and opens the index of the repository, but not its data.\n\
             repository {}\nsigning {}\nindex {}\n",
            self.repository,
            *Zeroizing::new(hex::encode(*self.seed)),
            *self.pair.secret(),
        );
        if let Some([data, index, owner]) = &self.pinned {
            let _ = write!(text, "data {data}\nindex-public {index}\nowner {owner}\n");
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed(path))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(path))?;
        Ok(())
    }
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostKey").field("repository", &self.repository).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read_as_it_was_written_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.key");
        assert!(HostKey::read(&path).unwrap().is_none());
        let keys = PublicKeys { data: "d".into(), index: "i".into(), owner: "o".into() };
        let key = HostKey::generate("00ff").unwrap().pinned(Some(&keys));
        key.write(&path).unwrap();
        let read = HostKey::read(&path).unwrap().unwrap();
        assert_eq!(read.repository, "00ff");
        assert!(read.agrees_with(Some(&keys)) && !read.agrees_with(None));
        assert_eq!(read.signing().unwrap().public(), key.signing().unwrap().public());
        assert_eq!(read.pair.public(), key.pair.public());
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        // No other key in its place.
        assert!(key.write(&path).is_err());
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        assert!(HostKey::read(&path).is_err());
        assert!(!format!("{key:?}").contains(&hex::encode(*key.seed)));
    }
}

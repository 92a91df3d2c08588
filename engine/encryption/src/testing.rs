//! What the tests of several modules use.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use outcome::{Advice, Failure};
use tempfile::TempDir;

use crate::error::EncryptionError;
use crate::identities::Identities;
use crate::recipients::Recipients;

/// Sizes at and near the ends of chunks.
pub(crate) const SIZES: [usize; 8] = [0, 1, 65_535, 65_536, 65_537, 131_072, 3 * 65_536, 1024 * 1024 + 17];

/// Keys of ssh that only these tests use.
pub(crate) const ED25519: [&str; 2] =
    [include_str!("../testdata/ed25519.pub"), include_str!("../testdata/ed25519")];
pub(crate) const RSA: [&str; 2] = [include_str!("../testdata/rsa.pub"), include_str!("../testdata/rsa")];
pub(crate) const RSA_PEM: [&str; 2] =
    [include_str!("../testdata/rsa_pem.pub"), include_str!("../testdata/rsa_pem")];

/// A directory that is deleted in the end.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn secret(&self, name: &str, content: &str) -> PathBuf {
        self.secret_bytes(name, content.as_bytes())
    }

    pub(crate) fn secret_bytes(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn with_mode(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.secret(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

/// A public key of age and its private key.
pub(crate) fn age_pair() -> [String; 2] {
    let identity = age::x25519::Identity::generate();
    [identity.to_public().to_string(), identity.to_string().expose_secret().to_owned()]
}

pub(crate) fn for_key(public: &str) -> Recipients {
    Recipients::gather(&[public.into()], &[], None).unwrap()
}

pub(crate) fn with_key(private: &str) -> Identities {
    let folder = Folder::new();
    Identities::gather(&[folder.secret("key", private)], None).unwrap()
}

/// A passphrase that takes little time.
pub(crate) fn for_passphrase(passphrase: &str) -> Recipients {
    let folder = Folder::new();
    Recipients::gather(&[], &[], Some(&folder.secret("pass", passphrase))).unwrap().with_work_factor(4)
}

pub(crate) fn with_passphrase(passphrase: &str) -> Identities {
    let folder = Folder::new();
    Identities::gather(&[], Some(&folder.secret("pass", passphrase))).unwrap()
}

/// Bytes that do not repeat at the length of a chunk.
pub(crate) fn plain(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 37) as u8).collect()
}

pub(crate) fn encrypted(recipients: &Recipients, plain: &[u8]) -> Vec<u8> {
    let mut writer = recipients.encrypt("archive", Vec::new()).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

pub(crate) fn code_of(error: &EncryptionError) -> String {
    error.code().to_string()
}

/// The code of the failure that an error carries.
pub(crate) fn code_in(error: &std::io::Error) -> String {
    let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
    failure.map_or_else(|| format!("no failure: {error}"), |failure| failure.code().to_string())
}

/// Fails if a text holds a part of a secret.
pub(crate) fn assert_hides(text: &str, secret: &str) {
    assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{text}");
}

pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

//! Key pairs that are made here, and small things that are encrypted at once.

use std::io::Write as _;
use std::sync::Arc;

use age::secrecy::{ExposeSecret as _, SecretString};
use couchfile::read_at::ReadAt as _;
use zeroize::Zeroizing;

use crate::error::{EncryptionError, Result};
use crate::identities::Identities;
use crate::recipients::Recipients;
use crate::source::DecryptedSource;

/// A key pair of age (X25519).
#[derive(Clone)]
pub struct KeyPair(age::x25519::Identity);

impl KeyPair {
    /// Makes a new one.
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// Reads the secret half, as `age-keygen` writes it: `AGE-SECRET-KEY-1…`. `place` says in messages where it stands; the text is
    /// in no message.
    pub fn from_secret(text: &str, place: &str) -> Result<Self> {
        text.trim().parse().map(Self).map_err(|_| EncryptionError::Recipient {
            place: place.to_owned(),
            reason: "it is no private key of age".into(),
        })
    }

    /// The public half: `age1…`.
    pub fn public(&self) -> String {
        self.0.to_public().to_string()
    }

    /// The secret half: `AGE-SECRET-KEY-1…`.
    pub fn secret(&self) -> Zeroizing<String> {
        let text: SecretString = self.0.to_string();
        Zeroizing::new(text.expose_secret().to_owned())
    }

    /// The key that opens what is encrypted for this pair.
    pub fn identity(&self) -> Identities {
        Identities::of(self.0.clone())
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyPair").field(&self.public()).finish()
    }
}

impl Recipients {
    /// Encrypts something small. `name` names it in messages.
    pub fn seal(&self, name: &str, content: &[u8]) -> Result<Vec<u8>> {
        let mut out = self.encrypt(name, Vec::with_capacity(content.len() + content.len() / 2048 + 1024))?;
        out.write_all(content).map_err(|error| EncryptionError::io(name, "encrypt it", error))?;
        out.finish()
    }
}

impl Identities {
    /// Decrypts something small. `name` names it in messages.
    pub fn unseal(&self, name: &str, sealed: Vec<u8>) -> Result<Vec<u8>> {
        let source = DecryptedSource::open(Arc::new(sealed), name, self)?;
        let mut content = vec![0; usize::try_from(source.len()).unwrap_or(usize::MAX)];
        source
            .read_exact_at(&mut content, 0)
            .map_err(|error| EncryptionError::io(name, "decrypt it", error))?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_for_a_pair_is_opened_by_it_alone() {
        let (ours, other) = (KeyPair::generate(), KeyPair::generate());
        let again = KeyPair::from_secret(&ours.secret(), "x").unwrap();
        assert_eq!(again.public(), ours.public());
        let recipients = Recipients::gather(&[ours.public()], &[], None).unwrap();
        let content = vec![7; 200_000];
        let sealed = recipients.seal("x", &content).unwrap();
        assert_eq!(again.identity().unseal("x", sealed.clone()).unwrap(), content);
        // By its head, nothing but what is read is asked for.
        let known = crate::head(&sealed).unwrap().to_vec();
        let source =
            DecryptedSource::with_head(Arc::new(sealed.clone()), "x", &again.identity(), &known).unwrap();
        let mut part = vec![0; 70_000];
        source.read_exact_at(&mut part, 100_000).unwrap();
        assert_eq!((part.as_slice(), source.len()), (&content[100_000..170_000], 200_000));
        assert!(crate::head(&content).is_none());
        assert!(other.identity().unseal("x", sealed).is_err());
        assert!(!format!("{ours:?}").contains("SECRET"));
        assert!(KeyPair::from_secret("AGE-SECRET-KEY-1QQ", "x").is_err());
    }
}

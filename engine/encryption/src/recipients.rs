//! For whom an archive is encrypted.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use age::Recipient as _;
use age::secrecy::SecretString;
use age::ssh::ParseRecipientKeyError;
use age_core::format::{FileKey, Stanza};
use ring::rand::{SecureRandom, SystemRandom};

use crate::chunk::ChunkKey;
use crate::error::{EncryptionError, Result};
use crate::header::{self, Header};
use crate::key_file;
use crate::payload_key::{NONCE_LEN, payload_key};
use crate::writer::EncryptingWriter;

/// The base-2 logarithm of scrypt's number of steps for a new passphrase: what `age` uses. It takes about one second and 256 MiB
/// of memory.
const WORK_FACTOR: u8 = 18;

/// For whom an archive is encrypted: public keys, or a passphrase.
#[derive(Clone)]
pub struct Recipients {
    keys: Vec<PublicKey>,
    passphrase: Option<SecretString>,
    work_factor: u8,
}

#[derive(Clone)]
enum PublicKey {
    Age(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

impl Default for Recipients {
    /// Nobody: nothing is encrypted.
    fn default() -> Self {
        Self { keys: Vec::new(), passphrase: None, work_factor: WORK_FACTOR }
    }
}

impl Recipients {
    /// Gathers what options say.
    ///
    /// - `recipients`: public keys, as `--recipient` has them: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.
    /// - `files`: files with one such key in each line, as `--recipients-file` has them. Empty lines and lines that begin with `#`
    ///   are ignored.
    /// - `passphrase_file`: a file whose first line is the passphrase, as `--passphrase-file` has it. Only its owner may have
    ///   permissions for it.
    ///
    /// Fails if a key cannot be understood, and if there are both a passphrase and a public key: age's format does not allow that.
    /// With nothing given, [`Recipients::is_empty`] is true.
    pub fn gather(recipients: &[String], files: &[PathBuf], passphrase_file: Option<&Path>) -> Result<Self> {
        let mut keys = Vec::new();
        for (index, text) in recipients.iter().enumerate() {
            keys.push(public_key(text.trim(), || format!("--recipient {}", index + 1))?);
        }
        for path in files {
            keys.extend(file_keys(path)?);
        }
        let passphrase = passphrase_file.map(key_file::passphrase).transpose()?;
        if passphrase.is_some() && !keys.is_empty() {
            return Err(EncryptionError::Mixed);
        }
        Ok(Self { keys, passphrase, work_factor: WORK_FACTOR })
    }

    /// Whether nothing was given to encrypt an archive for.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.passphrase.is_none()
    }

    /// Whether it is a passphrase.
    pub fn has_passphrase(&self) -> bool {
        self.passphrase.is_some()
    }

    /// Writes the header of a new archive to `out`, and returns a writer for its plaintext.
    ///
    /// `archive` names the archive in messages. Each call makes a new key: nothing of two archives is the same. A passphrase takes
    /// about one second.
    ///
    /// The archive is complete only after [`EncryptingWriter::finish`].
    pub fn encrypt<W: Write>(&self, archive: &str, mut out: W) -> Result<EncryptingWriter<W>> {
        let file_key = FileKey::try_init_with_mut(|key| fill_random(key))?;
        let header = Header::encode(&file_key, &self.wrap(archive, &file_key)?)
            .ok_or(EncryptionError::Bug("a header has no MAC"))?;
        if header.len() > header::MOST {
            return Err(EncryptionError::TooManyRecipients {
                archive: archive.to_owned(),
                size: header.len(),
                most: header::MOST,
            });
        }
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce)?;
        let key = payload_key(&file_key, &nonce)
            .and_then(|key| ChunkKey::new(&key))
            .ok_or(EncryptionError::Bug("a file key gives no key"))?;
        out.write_all(&header)
            .and_then(|()| out.write_all(&nonce))
            .map_err(|e| EncryptionError::io(archive, "write the header", e))?;
        Ok(EncryptingWriter::new(archive.to_owned(), key, out))
    }

    /// Less work for passphrases, for tests that are not about it.
    #[cfg(test)]
    pub(crate) fn with_work_factor(mut self, work_factor: u8) -> Self {
        self.work_factor = work_factor;
        self
    }

    /// The entries of the header.
    fn wrap(&self, archive: &str, file_key: &FileKey) -> Result<Vec<Stanza>> {
        let mut stanzas = Vec::new();
        for key in &self.keys {
            stanzas.extend(unwrapped(match key {
                PublicKey::Age(key) => key.wrap_file_key(file_key),
                PublicKey::Ssh(key) => key.wrap_file_key(file_key),
            })?);
        }
        if let Some(passphrase) = &self.passphrase {
            let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(self.work_factor);
            stanzas.extend(unwrapped(recipient.wrap_file_key(file_key))?);
        }
        if stanzas.is_empty() {
            return Err(EncryptionError::NoRecipients { archive: archive.to_owned() });
        }
        Ok(stanzas)
    }
}

/// Only plugins fail here, and have labels that matter.
fn unwrapped<L>(wrapped: Result<(Vec<Stanza>, L), age::EncryptError>) -> Result<Vec<Stanza>> {
    wrapped.map(|(stanzas, _)| stanzas).map_err(|_| EncryptionError::Bug("a recipient gives no entry"))
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipients")
            .field("keys", &self.keys.len())
            .field("passphrase", &self.passphrase.is_some())
            .finish_non_exhaustive()
    }
}

fn fill_random(bytes: &mut [u8]) -> Result<()> {
    SystemRandom::new().fill(bytes).map_err(|_| EncryptionError::Bug("the system gives no random bytes"))
}

fn file_keys(path: &Path) -> Result<Vec<PublicKey>> {
    let text = key_file::public_text(path)?;
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            keys.push(public_key(line, || format!("{}, line {}", path.display(), index + 1))?);
        }
    }
    if keys.is_empty() {
        return Err(EncryptionError::KeyFile {
            path: path.to_owned(),
            line: None,
            reason: "it holds no recipient".into(),
            remedy: "Write one public key of age or ssh in each line.".into(),
        });
    }
    Ok(keys)
}

/// Reads a public key. The text is in no message: it could be a private key that was given by mistake.
fn public_key(text: &str, place: impl Fn() -> String) -> Result<PublicKey> {
    let refused = |reason: &str| EncryptionError::Recipient { place: place(), reason: reason.into() };
    let unsupported = |what: String| EncryptionError::Unsupported { place: place(), what };
    if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("age-")) {
        return Err(refused("it looks like a private key, and whoever sees it can open archives"));
    }
    if text.starts_with("age1") {
        // The name of a plugin, or of a newer kind of key, stands between `age1` and the last `1`.
        return match text.rsplit_once('1') {
            Some(("age", _)) => text
                .parse()
                .map(PublicKey::Age)
                .map_err(|_| refused("the key has a typing error or is cut off")),
            _ => Err(unsupported("recipients of age's plugins and post-quantum keys are".into())),
        };
    }
    text.parse().map(PublicKey::Ssh).map_err(|error| match error {
        ParseRecipientKeyError::RsaModulusTooLarge => {
            unsupported("RSA keys of more than 4096 bits are".into())
        }
        ParseRecipientKeyError::RsaModulusTooSmall => {
            unsupported("RSA keys of less than 2048 bits are weak, and".into())
        }
        ParseRecipientKeyError::Unsupported(kind) => {
            let kind: String = outcome::printable(&kind).chars().take(40).collect();
            unsupported(format!("ssh keys of the type {kind} are"))
        }
        _ => refused("it is neither a public key of age nor one of ssh"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ED25519, Folder, RSA, RSA_PEM, age_pair, assert_hides, code_of, shown};

    fn refused(text: &str) -> EncryptionError {
        Recipients::gather(&[text.into()], &[], None).unwrap_err()
    }

    #[test]
    fn all_kinds_of_keys_are_read_from_options_and_files() {
        let folder = Folder::new();
        let [public, _] = age_pair();
        let file =
            folder.with_mode("all", &format!("# team\n\n  {public}\r\n{}{}", ED25519[0], RSA[0]), 0o644);
        let recipients =
            Recipients::gather(&[format!(" {public}\n"), RSA_PEM[0].into()], &[file], None).unwrap();
        assert_eq!(recipients.keys.len(), 5);
        assert!(!recipients.is_empty());
        assert!(Recipients::gather(&[], &[], None).unwrap().is_empty());
    }

    #[test]
    fn a_private_key_is_refused_and_not_shown() {
        let [_, private] = age_pair();
        for text in [private.clone(), private.to_lowercase()] {
            let error = refused(&text);
            assert_eq!(code_of(&error), "CC-K16");
            assert_hides(&format!("{error} {error:?}"), &private[..20]);
        }
    }

    #[test]
    fn a_malformed_recipient_is_told_by_its_place() {
        let [public, _] = age_pair();
        let mut typo = public.clone();
        typo.replace_range(20..21, if &public[20..21] == "q" { "p" } else { "q" });
        assert_eq!(
            refused("x").to_string(),
            "--recipient 1: not a recipient: it is neither a public key of age nor one of ssh"
        );
        for text in ["", "age1", "ssh-rsa", "ssh-ed25519 AAAA", &typo, &public[..40], "\u{e4}\u{e4}\u{e4}"] {
            assert_eq!(code_of(&refused(text)), "CC-K16", "{text}");
        }
        let plugin = "age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt";
        for text in [plugin, include_str!("../testdata/ecdsa.pub")] {
            assert_eq!(code_of(&refused(text)), "CC-K15", "{text}");
        }
        let folder = Folder::new();
        let file = folder.with_mode("list", &format!("{public}\n# x\nage2\n"), 0o644);
        let error = Recipients::gather(&[], std::slice::from_ref(&file), None).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{}, line 3: ", shown(&file))), "{error}");
        let empty = folder.secret("empty", "# nobody\n");
        assert_eq!(code_of(&Recipients::gather(&[], &[empty], None).unwrap_err()), "CC-K12");
    }

    #[test]
    fn a_passphrase_excludes_recipients() {
        let folder = Folder::new();
        let pass = folder.secret("pass", "correct horse");
        let error = Recipients::gather(&[age_pair()[0].clone()], &[], Some(&pass)).unwrap_err();
        assert_eq!(code_of(&error), "CC-K17");
        let recipients = Recipients::gather(&[], &[], Some(&pass)).unwrap();
        assert_hides(&format!("{recipients:?}"), "horse");
    }

    #[test]
    fn an_archive_is_not_encrypted_for_nobody_or_too_many() {
        let nobody = Recipients::gather(&[], &[], None).unwrap();
        assert_eq!(code_of(&nobody.encrypt("a", Vec::new()).unwrap_err()), "CC-K18");
        let crowd = vec![RSA[0].to_owned(); 3000];
        let crowd = Recipients::gather(&crowd, &[], None).unwrap();
        assert_eq!(code_of(&crowd.encrypt("a", Vec::new()).unwrap_err()), "CC-K19");
    }
}

//! The keys that open archives.

use std::fmt;
use std::path::{Path, PathBuf};

use age::ssh::UnsupportedKey;
use age::{DecryptError, Identity};
use age_core::format::FileKey;

use crate::advice::quoted;
use crate::error::{EncryptionError, Result};
use crate::header::Header;
use crate::key_file;

/// The largest base-2 logarithm of scrypt's number of steps that a header may ask for: 1 GiB of memory and some seconds. `age` and
/// `rage` write 18, or what takes a second.
const MOST_WORK: u8 = 20;

/// The largest file with an ssh key, in bytes.
const MOST_SSH: usize = 64 * 1024;

/// The keys that open archives: private keys and passphrases. Used by several threads at once.
#[derive(Default)]
pub struct Identities {
    keys: Vec<Box<dyn Identity + Send + Sync>>,
}

impl Identities {
    /// Gathers what options say.
    ///
    /// - `files`: files with private keys, as `--identity` has them: what `age-keygen` writes, or a private key of ssh (ed25519 or
    ///   RSA) that is not encrypted itself.
    /// - `passphrase_file`: a file whose first line is the passphrase, as `--passphrase-file` has it.
    ///
    /// A file is refused if others than its owner have permissions for it. With nothing given, [`Identities::is_empty`] is true;
    /// no encrypted archive can be opened then.
    pub fn gather(files: &[PathBuf], passphrase_file: Option<&Path>) -> Result<Self> {
        let mut keys = Vec::new();
        for path in files {
            keys.extend(file_keys(path)?);
        }
        if let Some(path) = passphrase_file {
            let mut identity = age::scrypt::Identity::new(key_file::passphrase(path)?);
            identity.set_max_work_factor(MOST_WORK);
            keys.push(Box::new(identity));
        }
        Ok(Self { keys })
    }

    /// This key alone.
    pub(crate) fn of(key: impl Identity + Send + Sync + 'static) -> Self {
        Self { keys: vec![Box::new(key)] }
    }

    /// Whether no key was given.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The file key of an archive, from its header. The header is authentic then.
    pub(crate) fn unlock(&self, archive: &str, header: &Header) -> Result<FileKey> {
        let name = || archive.to_owned();
        let (recipients, passphrase) = (header.recipients(), header.has_passphrase());
        if self.is_empty() {
            return Err(EncryptionError::NoIdentity { archive: name(), recipients, passphrase });
        }
        let mut failed = None;
        for key in &self.keys {
            match key.unwrap_stanzas(&header.stanzas) {
                Some(Ok(file_key)) if header.is_authentic(&file_key) => return Ok(file_key),
                Some(Ok(_)) => return Err(EncryptionError::header(archive, "it does not have its MAC")),
                Some(Err(error)) => failed = Some(error),
                None => {}
            }
        }
        Err(match failed {
            None => EncryptionError::NoMatch { archive: name(), recipients, passphrase },
            Some(DecryptError::ExcessiveWork { required, .. }) => {
                EncryptionError::ExcessiveWork { archive: name(), required, most: MOST_WORK }
            }
            Some(DecryptError::DecryptionFailed) if passphrase => {
                EncryptionError::WrongPassphrase { archive: name() }
            }
            Some(_) => EncryptionError::header(archive, "the entry for the given key is malformed"),
        })
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("keys", &self.keys.len()).finish()
    }
}

type Keys = Vec<Box<dyn Identity + Send + Sync>>;

fn file_keys(path: &Path) -> Result<Keys> {
    let text = key_file::secret_text(path)?;
    let start = text.trim_start();
    if crate::is_encrypted(start.as_bytes()) || crate::is_armored(start.as_bytes()) {
        return Err(EncryptionError::LockedKey {
            path: path.to_owned(),
            what: "a file of keys that is encrypted itself",
            remedy: format!("Decrypt it: `(umask 077; age -d -o keys.txt {})`.", quoted(path)),
        });
    }
    if start.starts_with("-----BEGIN") { Ok(vec![ssh_key(path, start)?]) } else { age_keys(path, &text) }
}

/// The keys in a file of lines.
fn age_keys(path: &Path, text: &str) -> Result<Keys> {
    let mut keys: Keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.parse::<age::x25519::Identity>() {
            Ok(key) => keys.push(Box::new(key)),
            Err(_) => return Err(not_a_key(path, index + 1, line)),
        }
    }
    if keys.is_empty() {
        return Err(unreadable(path, None, "it holds no key"));
    }
    Ok(keys)
}

/// Why a line is no key of age. The message does not hold the line.
fn not_a_key(path: &Path, number: usize, line: &str) -> EncryptionError {
    let begins = |with: &str| line.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let unsupported = |what: &str| EncryptionError::Unsupported {
        place: format!("{}, line {number}", path.display()),
        what: what.into(),
    };
    if begins("AGE-PLUGIN-") {
        unsupported("keys of age's plugins are")
    } else if begins("AGE-SECRET-KEY-PQ-") {
        unsupported("post-quantum keys of age are")
    } else if begins("AGE-SECRET-KEY-") {
        unreadable(path, Some(number), "the private key of age has a typing error or is cut off")
    } else if begins("age1") || begins("ssh-") {
        unreadable(path, Some(number), "it is a public key, which opens no archive")
    } else {
        unreadable(path, Some(number), "it is not a private key of age")
    }
}

fn unreadable(path: &Path, line: Option<usize>, reason: &str) -> EncryptionError {
    EncryptionError::KeyFile {
        path: path.to_owned(),
        line,
        reason: reason.into(),
        remedy: "Give a file that `age-keygen` made, or a private key of ssh (ed25519 or RSA).".into(),
    }
}

fn ssh_key(path: &Path, text: &str) -> Result<Box<dyn Identity + Send + Sync>> {
    if text.len() > MOST_SSH {
        return Err(unreadable(path, None, "it is too large for a private key of ssh"));
    }
    let unsupported = |what: String| EncryptionError::Unsupported { place: path.display().to_string(), what };
    match age::ssh::Identity::from_buffer(text.as_bytes(), None) {
        Ok(key @ age::ssh::Identity::Unencrypted(_)) => Ok(Box::new(key)),
        Ok(
            age::ssh::Identity::Encrypted(_)
            | age::ssh::Identity::Unsupported(UnsupportedKey::EncryptedPem | UnsupportedKey::EncryptedSsh(_)),
        ) => {
            let path_in_shell = quoted(path);
            Err(EncryptionError::LockedKey {
                path: path.to_owned(),
                what: "an ssh key that is encrypted with a passphrase of its own",
                remedy: format!(
                    "Make a copy without passphrase: `(umask 077; cp {path_in_shell} key && ssh-keygen -p -N '' -f key)`, \
                     and delete it after use."
                ),
            })
        }
        Ok(age::ssh::Identity::Unsupported(UnsupportedKey::Hardware(_))) => {
            Err(unsupported("ssh keys on a hardware device are".into()))
        }
        Ok(age::ssh::Identity::Unsupported(UnsupportedKey::Type(kind))) => {
            let kind: String = outcome::printable(&kind).chars().take(40).collect();
            Err(unsupported(format!("ssh keys of the type {kind} are")))
        }
        Err(_) => Err(unreadable(path, None, "it is neither a private key of ssh nor keys of age")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        ED25519, Folder, RSA, RSA_PEM, age_pair, assert_hides, code_of, encrypted, for_key, for_passphrase,
        with_key, with_passphrase,
    };

    fn opened(bytes: &[u8], identities: &Identities) -> Result<()> {
        let header = Header::parse(bytes).ok().unwrap();
        identities.unlock("a", &header).map(|_| ())
    }

    fn refused(content: &str) -> EncryptionError {
        let folder = Folder::new();
        Identities::gather(&[folder.secret("my key", content)], None).unwrap_err()
    }

    #[test]
    fn every_kind_of_key_opens_its_archive() {
        let pairs = [age_pair(), ED25519.map(String::from), RSA.map(String::from), RSA_PEM.map(String::from)];
        for (i, [public, _]) in pairs.iter().enumerate() {
            let bytes = encrypted(&for_key(public), b"x");
            for (j, [_, private]) in pairs.iter().enumerate() {
                let result = opened(&bytes, &with_key(private)).map_err(|e| code_of(&e));
                assert_eq!(result, if i == j { Ok(()) } else { Err("CC-K06".into()) }, "{i} {j}");
            }
            assert_eq!(code_of(&opened(&bytes, &with_passphrase("x")).unwrap_err()), "CC-K06");
        }
    }

    #[test]
    fn a_file_of_keys_has_comments_and_several_keys() {
        let ([public, private], [_, other]) = (age_pair(), age_pair());
        let identities = with_key(&format!("# created: today\r\n\n{other}\r\n {private} \n"));
        assert_eq!(identities.keys.len(), 2);
        opened(&encrypted(&for_key(&public), b"x"), &identities).unwrap();
    }

    #[test]
    fn a_wrong_or_missing_key_is_told() {
        let bytes = encrypted(&for_key(&age_pair()[0]), b"x");
        let error = opened(&bytes, &Identities::default()).unwrap_err();
        assert_eq!(error.to_string(), "a: the archive is encrypted (for 1 age key), and no key was given");
        let error = opened(&bytes, &with_key(&age_pair()[1])).unwrap_err();
        assert_eq!(error.to_string(), "a: none of the given keys opens the archive (for 1 age key)");

        let bytes = encrypted(&for_passphrase("secret"), b"x");
        opened(&bytes, &with_passphrase("secret")).unwrap();
        assert_eq!(code_of(&opened(&bytes, &with_passphrase("Secret")).unwrap_err()), "CC-K07");
        assert_eq!(code_of(&opened(&bytes, &with_key(&age_pair()[1])).unwrap_err()), "CC-K06");
    }

    #[test]
    fn a_hostile_header_asks_for_no_endless_work() {
        let bytes = encrypted(&for_passphrase("secret").with_work_factor(4), b"x");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let line = text.lines().nth(1).unwrap().to_owned();
        for (work, code) in [
            ("21", "CC-K08"),
            ("63", "CC-K08"),
            ("255", "CC-K08"),
            ("99999999999", "CC-K09"),
            ("04", "CC-K09"),
        ] {
            let hostile = format!("{}{work}", line.strip_suffix('4').unwrap());
            let mut header = Header::parse(&bytes).ok().unwrap();
            header.stanzas[0].args = hostile.split(' ').skip(2).map(String::from).collect();
            let error = with_passphrase("secret").unlock("a", &header).err().unwrap();
            assert_eq!(code_of(&error), code, "{work}: {error}");
        }
        for work in ["0", "-1", "", "1x"] {
            let mut header = Header::parse(&bytes).ok().unwrap();
            header.stanzas[0].args[1] = work.into();
            assert!(with_passphrase("secret").unlock("a", &header).is_err(), "{work}");
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_refused_with_a_reason() {
        let [public, private] = age_pair();
        let locked = include_str!("../testdata/locked");
        for (content, code, reason) in [
            (
                locked,
                "CC-K14",
                "an ssh key that is encrypted with a passphrase of its own, which is not supported",
            ),
            (
                "age-encryption.org/v1\n",
                "CC-K14",
                "a file of keys that is encrypted itself, which is not supported",
            ),
            (
                include_str!("../testdata/ecdsa"),
                "CC-K15",
                "ssh keys of the type ecdsa-sha2-nistp256 are not supported",
            ),
            ("# x\nAGE-PLUGIN-YUBIKEY-1QQ", "CC-K15", ", line 2: keys of age's plugins are not supported"),
            ("AGE-SECRET-KEY-PQ-1QQ", "CC-K15", ", line 1: post-quantum keys of age are not supported"),
            (&private[..40], "CC-K12", "line 1: the private key of age has a typing error or is cut off"),
            (&public, "CC-K12", "line 1: it is a public key, which opens no archive"),
            ("# only\n", "CC-K12", "it holds no key"),
            ("\u{e4}\u{e4}", "CC-K12", "line 1: it is not a private key of age"),
            (&ED25519[1][..200], "CC-K12", "it is neither a private key of ssh nor keys of age"),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
                "CC-K12",
                "it is neither",
            ),
        ] {
            let error = refused(content);
            assert_eq!(code_of(&error), code, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
            assert_hides(
                &format!("{error} {error:?} {:?}", outcome::Advice::remedy(&error)),
                &private[16..30],
            );
        }
        let remedy = outcome::Advice::remedy(&refused(locked)).unwrap();
        assert!(remedy.contains("my key' key && ssh-keygen -p -N '' -f key"), "{remedy}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let [_, private] = age_pair();
        let folder = Folder::new();
        let pass = folder.secret("pass", "correct horse");
        let identities = Identities::gather(&[folder.secret("key", &private)], Some(&pass)).unwrap();
        let shown = format!("{identities:?}");
        assert_eq!(shown, "Identities { keys: 2 }");
        let open = folder.with_mode("open", &private, 0o644);
        assert_eq!(code_of(&Identities::gather(&[open], None).unwrap_err()), "CC-K13");
    }
}

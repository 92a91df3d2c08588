//! Reads files that hold keys and passphrases.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use age::secrecy::SecretString;
use zeroize::Zeroizing;

use crate::error::{EncryptionError, Result};

/// The largest file of keys, in bytes.
const MOST: usize = 1024 * 1024;

/// The bits of a mode that let others than the owner do something.
const OTHERS: u32 = 0o077;

/// The text of a file that holds a secret. Refused if others than its owner have permissions for it.
pub(crate) fn secret_text(path: &Path) -> Result<Zeroizing<String>> {
    let file = open(path)?;
    // Asked of the open file: another file could have the name by now.
    let mode = file.metadata().map_err(|e| io(path, e))?.mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(EncryptionError::Permissions { path: path.to_owned(), mode });
    }
    text(file, path)
}

/// The text of a file that everybody may read.
pub(crate) fn public_text(path: &Path) -> Result<Zeroizing<String>> {
    text(open(path)?, path)
}

/// The passphrase in a file: its first line, without the line end.
pub(crate) fn passphrase(path: &Path) -> Result<SecretString> {
    let text = secret_text(path)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line.to_owned())),
        _ => Err(EncryptionError::KeyFile {
            path: path.to_owned(),
            line: Some(1),
            reason: "it is empty, but it should be the passphrase".into(),
            remedy: "Write the passphrase in the first line of the file.".into(),
        }),
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| io(path, e))
}

fn io(path: &Path, source: std::io::Error) -> EncryptionError {
    EncryptionError::KeyFileIo { path: path.to_owned(), source }
}

fn text(file: File, path: &Path) -> Result<Zeroizing<String>> {
    let unreadable = |reason: &str| EncryptionError::KeyFile {
        path: path.to_owned(),
        line: None,
        reason: reason.into(),
        remedy: "Check that this is the right file.".into(),
    };
    // All of it at once: a buffer that grows leaves copies of the secret in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST + 1));
    file.take(MOST as u64 + 1).read_to_end(&mut bytes).map_err(|e| io(path, e))?;
    if bytes.len() > MOST {
        return Err(unreadable("it is too large to hold keys"));
    }
    // The error would hold the bytes.
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(unreadable("it is not text (UTF-8)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret;
    use outcome::Advice;

    use super::*;
    use crate::testing::{Folder, code_of};

    #[test]
    fn a_passphrase_is_the_first_line() {
        let folder = Folder::new();
        for (content, passphrase_is) in
            [("a b ", "a b "), ("a\n", "a"), ("a\r\nb\n", "a"), ("\u{e4}\n\n", "\u{e4}")]
        {
            let path = folder.secret("pass", content);
            assert_eq!(passphrase(&path).unwrap().expose_secret(), passphrase_is);
        }
        for content in ["", "\n", "\nsecond"] {
            let error = passphrase(&folder.secret("pass", content)).unwrap_err();
            assert_eq!(code_of(&error), "CC-K12");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = Folder::new();
        for mode in [0o640, 0o604, 0o660, 0o620, 0o601] {
            let path = folder.with_mode("pass", "correct horse\n", mode);
            let error = passphrase(&path).unwrap_err();
            assert_eq!(code_of(&error), "CC-K13");
            assert_eq!(
                error.remedy().unwrap(),
                format!("Allow only its owner to read it: `chmod 600 {}`.", path.display())
            );
            assert!(!format!("{error} {error:?}").contains("horse"));
        }
        for mode in [0o600, 0o400, 0o700] {
            assert!(passphrase(&folder.with_mode("pass", "secret\n", mode)).is_ok());
        }
    }

    #[test]
    fn a_file_without_text_is_refused() {
        let folder = Folder::new();
        let binary = folder.secret_bytes("binary", &[0xff, 0xfe, b'\n']);
        assert_eq!(code_of(&passphrase(&binary).unwrap_err()), "CC-K12");
        let large = folder.secret_bytes("large", &vec![b'a'; MOST + 1]);
        assert_eq!(code_of(&passphrase(&large).unwrap_err()), "CC-K12");
        assert_eq!(code_of(&passphrase(&folder.path("missing")).unwrap_err()), "CC-K01");
    }
}

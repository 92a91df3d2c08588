//! What can go wrong with encryption.

use std::io;
use std::path::PathBuf;

use outcome::{Advice, Failure};

use crate::chunk::EndProblem;
use crate::header::HeaderProblem;

/// The result of encryption or decryption.
pub type Result<T, E = EncryptionError> = std::result::Result<T, E>;

/// Why an archive could not be encrypted or decrypted, or why a key is refused.
///
/// `archive` is the archive's path, or a description of it if it has no path. No variant holds a key or a passphrase.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptionError {
    /// The operating system refused to read or write the archive.
    #[error("{archive}: cannot {doing}: {source}")]
    Io {
        /// The archive.
        archive: String,
        /// What was being done, as in "cannot …".
        doing: &'static str,
        /// The error that the system reported.
        source: io::Error,
    },
    /// The source or the output of an archive failed with a failure of its own.
    #[error(transparent)]
    Carried(Failure),
    /// The file is not in age's format.
    #[error("{archive}: not encrypted in age's format")]
    NotEncrypted {
        /// The archive.
        archive: String,
    },
    /// The file has a version of age's format that is not known here.
    #[error(
        "{archive}: encrypted in a version of age's format that this program does not know (it knows version 1)"
    )]
    NewerVersion {
        /// The archive.
        archive: String,
    },
    /// The file is in age's armored format.
    #[error("{archive}: encrypted in age's armored format (text), which cannot be read by ranges")]
    Armored {
        /// The archive.
        archive: String,
    },
    /// The archive is encrypted, and no key was given.
    #[error("{archive}: the archive is encrypted ({recipients}), and no key was given")]
    NoIdentity {
        /// The archive.
        archive: String,
        /// What it is encrypted for.
        recipients: String,
        /// Whether it is encrypted with a passphrase.
        passphrase: bool,
    },
    /// None of the given keys opens the archive.
    #[error("{archive}: none of the given keys opens the archive ({recipients})")]
    NoMatch {
        /// The archive.
        archive: String,
        /// What it is encrypted for.
        recipients: String,
        /// Whether it is encrypted with a passphrase.
        passphrase: bool,
    },
    /// The passphrase does not open the archive.
    #[error("{archive}: wrong passphrase")]
    WrongPassphrase {
        /// The archive.
        archive: String,
    },
    /// The header asks for more work than a genuine one does.
    #[error(
        "{archive}: the header asks for a work factor of {required} for the passphrase, more than the {most} that are allowed"
    )]
    ExcessiveWork {
        /// The archive.
        archive: String,
        /// The base-2 logarithm of the number of steps that the header asks for.
        required: u8,
        /// The largest allowed logarithm.
        most: u8,
    },
    /// The header is damaged.
    #[error("{archive}: the header of the encrypted archive is damaged: {reason}")]
    Header {
        /// The archive.
        archive: String,
        /// What is wrong.
        reason: String,
    },
    /// The file ends too early.
    #[error("{archive}: the encrypted archive is cut off: it ends at byte {len}, {place}")]
    Truncated {
        /// The archive.
        archive: String,
        /// Length of the file in bytes.
        len: u64,
        /// Where that is.
        place: &'static str,
    },
    /// A chunk is not what was written at its place.
    #[error(
        "{archive}: the encrypted data at byte {offset} is damaged{}: bytes {offset} to {last} are not authentic",
        if *end { " or cut off" } else { "" }
    )]
    Damaged {
        /// The archive.
        archive: String,
        /// Offset of the chunk's first byte in the encrypted file, in bytes.
        offset: u64,
        /// Offset of the chunk's last byte in the encrypted file, in bytes.
        last: u64,
        /// Whether the file ends with this chunk.
        end: bool,
    },
    /// The operating system refused to read a file of keys.
    #[error("{}: cannot read the file: {source}", path.display())]
    KeyFileIo {
        /// The file.
        path: PathBuf,
        /// The error that the system reported.
        source: io::Error,
    },
    /// A file of keys cannot be understood.
    #[error("{}: {}{reason}", path.display(), line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// The line that cannot be understood, counted from 1.
        line: Option<usize>,
        /// What is wrong. Never holds what the file holds.
        reason: String,
        /// What the user can do about it.
        remedy: String,
    },
    /// Others can read a file with a secret.
    #[error("{}: its permissions ({mode:03o}) let others than its owner use the secret in it", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// The lowest nine bits of its mode.
        mode: u32,
    },
    /// The private key is encrypted itself.
    #[error("{}: {what}, which is not supported", path.display())]
    LockedKey {
        /// The file.
        path: PathBuf,
        /// What the file is.
        what: &'static str,
        /// What the user can do about it.
        remedy: String,
    },
    /// A kind of key that is not supported.
    #[error("{place}: {what} not supported")]
    Unsupported {
        /// Where the key was given.
        place: String,
        /// The kind of key, with "is" or "are".
        what: String,
    },
    /// A recipient cannot be understood.
    #[error("{place}: not a recipient: {reason}")]
    Recipient {
        /// Where it was given.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A passphrase and recipients were given for the same archive.
    #[error("an archive is encrypted either with a passphrase or for recipients, not both")]
    Mixed,
    /// Nothing was given to encrypt the archive for.
    #[error("{archive}: no recipient and no passphrase was given to encrypt the archive for")]
    NoRecipients {
        /// The archive.
        archive: String,
    },
    /// The header would be larger than this program reads.
    #[error(
        "{archive}: too many recipients: the header would have {size} bytes, more than the {most} that are read"
    )]
    TooManyRecipients {
        /// The archive.
        archive: String,
        /// Size of the header in bytes.
        size: usize,
        /// The largest size in bytes.
        most: usize,
    },
    /// A writer was used again after it had failed.
    #[error("{archive}: an earlier write failed; the encrypted archive is incomplete")]
    Abandoned {
        /// The archive.
        archive: String,
    },
    /// A function of the cryptographic library failed that cannot fail.
    #[error("internal error: {0}")]
    Bug(&'static str),
}

impl EncryptionError {
    /// A failed read or write. A [`Failure`] that the error carries is kept as it is.
    pub(crate) fn io(archive: &str, doing: &'static str, source: io::Error) -> Self {
        match source.downcast::<Failure>() {
            Ok(failure) => Self::Carried(failure),
            Err(source) => Self::Io { archive: archive.to_owned(), doing, source },
        }
    }

    pub(crate) fn header(archive: &str, reason: impl Into<String>) -> Self {
        Self::Header { archive: archive.to_owned(), reason: reason.into() }
    }

    pub(crate) fn truncated(archive: &str, len: u64, place: &'static str) -> Self {
        Self::Truncated { archive: archive.to_owned(), len, place }
    }

    /// A chunk of `len` bytes at `offset` of the file that is not authentic.
    pub(crate) fn damaged(archive: &str, offset: u64, len: usize) -> Self {
        let last = offset.saturating_add((len as u64).saturating_sub(1));
        Self::Damaged { archive: archive.to_owned(), offset, last, end: false }
    }

    /// The chunk of `len` bytes at `offset` ends the file, and is not the last chunk of an archive.
    pub(crate) fn end(archive: &str, offset: u64, len: usize, problem: EndProblem) -> Self {
        let file_len = offset.saturating_add(len as u64);
        match problem {
            EndProblem::MoreFollows => Self::truncated(archive, file_len, "and more should follow"),
            EndProblem::NotAuthentic => Self::Damaged {
                archive: archive.to_owned(),
                offset,
                last: file_len.saturating_sub(1),
                end: true,
            },
        }
    }

    /// The header cannot be read. `len` is the length of the file in bytes.
    pub(crate) fn unreadable(archive: &str, len: u64, problem: HeaderProblem) -> Self {
        let name = archive.to_owned();
        match problem {
            HeaderProblem::Incomplete => Self::truncated(archive, len, "inside the header"),
            HeaderProblem::NotEncrypted => Self::NotEncrypted { archive: name },
            HeaderProblem::NewerVersion => Self::NewerVersion { archive: name },
            HeaderProblem::Armored => Self::Armored { archive: name },
            HeaderProblem::Damaged(reason) => Self::Header { archive: name, reason },
        }
    }
}

impl From<EncryptionError> for io::Error {
    /// An error that carries the [`Failure`].
    fn from(error: EncryptionError) -> Self {
        Self::other(error.into_failure())
    }
}

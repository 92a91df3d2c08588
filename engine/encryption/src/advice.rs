//! Kinds, codes and remedies of the errors of encryption.

use std::io;
use std::path::Path;

use outcome::{Advice, Code, Failure, FailureKind, io_remedy};

use crate::error::EncryptionError;

impl Advice for EncryptionError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Io { .. } | Self::KeyFileIo { .. } => FailureKind::System,
            Self::Carried(failure) => failure.kind(),
            Self::NotEncrypted { .. }
            | Self::NewerVersion { .. }
            | Self::ExcessiveWork { .. }
            | Self::Header { .. }
            | Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::Abandoned { .. } => FailureKind::Archive,
            Self::Bug(_) => FailureKind::Bug,
            _ => FailureKind::Refused,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Carried(failure) => failure.code(),
            Self::Io { .. } | Self::KeyFileIo { .. } => Code::new("CC-K01"),
            Self::NotEncrypted { .. } => Code::new("CC-K02"),
            Self::NewerVersion { .. } => Code::new("CC-K03"),
            Self::Armored { .. } => Code::new("CC-K04"),
            Self::NoIdentity { .. } => Code::new("CC-K05"),
            Self::NoMatch { .. } => Code::new("CC-K06"),
            Self::WrongPassphrase { .. } => Code::new("CC-K07"),
            Self::ExcessiveWork { .. } => Code::new("CC-K08"),
            Self::Header { .. } => Code::new("CC-K09"),
            Self::Truncated { .. } => Code::new("CC-K10"),
            Self::Damaged { .. } => Code::new("CC-K11"),
            Self::KeyFile { .. } => Code::new("CC-K12"),
            Self::Permissions { .. } => Code::new("CC-K13"),
            Self::LockedKey { .. } => Code::new("CC-K14"),
            Self::Unsupported { .. } => Code::new("CC-K15"),
            Self::Recipient { .. } => Code::new("CC-K16"),
            Self::Mixed => Code::new("CC-K17"),
            Self::NoRecipients { .. } => Code::new("CC-K18"),
            Self::TooManyRecipients { .. } => Code::new("CC-K19"),
            Self::Abandoned { .. } => Code::new("CC-K20"),
            Self::Bug(what) => Failure::bug(*what).code(),
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } => return io_remedy(Path::new(""), source),
            Self::KeyFileIo { path, source } if source.kind() == io::ErrorKind::PermissionDenied => format!(
                "Run couchcopy as the owner of the file, or make it yours: `sudo chown \"$USER\" {}`.",
                quoted(path)
            ),
            Self::KeyFileIo { path, source } => return io_remedy(path, source),
            Self::Carried(failure) => return failure.remedy(),
            Self::NotEncrypted { .. } => {
                "Check that this is the right file. An archive that is not encrypted needs no key.".into()
            }
            Self::NewerVersion { .. } => "Use a newer couchcopy for this archive.".into(),
            Self::Armored { .. } => "Convert it to the binary format, without decrypting it: \
                                     `sed -e 1d -e '$d' ARCHIVE | base64 -d >NEW_ARCHIVE`."
                .into(),
            Self::NoIdentity { passphrase: false, .. } => {
                "Give the file with the private key: `--identity FILE`. \
                 (An archive with a passphrase takes `--passphrase-file FILE`.)"
                    .into()
            }
            Self::NoIdentity { passphrase: true, .. } => {
                "Give the file with the passphrase: `--passphrase-file FILE`. \
                 (An archive for recipients takes `--identity FILE`.)"
                    .into()
            }
            Self::NoMatch { passphrase: false, .. } => {
                "Give the private key of one of the recipients that the archive was made for: `--identity FILE`."
                    .into()
            }
            Self::NoMatch { passphrase: true, .. } => {
                "The archive is encrypted with a passphrase: give `--passphrase-file FILE`.".into()
            }
            Self::WrongPassphrase { .. } => {
                "Check the first line of the file that `--passphrase-file` names. Spaces at its end count.".into()
            }
            Self::ExcessiveWork { .. } => {
                "The header is damaged, or somebody made it to keep this machine busy. Use another copy of this archive.".into()
            }
            Self::KeyFile { remedy, .. } | Self::LockedKey { remedy, .. } => remedy.clone(),
            Self::Permissions { path, .. } => {
                format!("Allow only its owner to read it: `chmod 600 {}`.", quoted(path))
            }
            Self::Unsupported { .. } => {
                "Use an age key (`age-keygen -o FILE` makes one), or an ssh key of the type ed25519 or rsa.".into()
            }
            Self::Recipient { .. } => {
                "Give a public key of age (`age1…`; `age-keygen -y FILE` shows it), or the line of an ssh public key \
                 (`ssh-ed25519 …` or `ssh-rsa …`) in quotes."
                    .into()
            }
            Self::Mixed => {
                "Omit `--passphrase-file`, or omit `--recipient` and `--recipients-file`.".into()
            }
            Self::NoRecipients { .. } => {
                "Give `--recipient KEY`, `--recipients-file FILE` or `--passphrase-file FILE`.".into()
            }
            Self::TooManyRecipients { .. } => {
                "Give fewer recipients. A group can share one key.".into()
            }
            Self::Abandoned { .. } => {
                "Fix the failure that was reported first, and run the command again.".into()
            }
            Self::Bug(_) => "Please report it with the command that you ran and this message.".into(),
            Self::Header { .. } | Self::Truncated { .. } | Self::Damaged { .. } => {
                "Use another copy of this archive.".into()
            }
        })
    }

    fn into_failure(self) -> Failure {
        match self {
            Self::Carried(failure) => failure,
            other => Failure::new(other),
        }
    }
}

/// A path as a shell reads it.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_works_when_it_is_copied() {
        let error = EncryptionError::Permissions { path: "/tmp/my keys".into(), mode: 0o644 };
        assert_eq!(error.remedy().unwrap(), "Allow only its owner to read it: `chmod 600 '/tmp/my keys'`.");
        assert_eq!(
            error.to_string(),
            "/tmp/my keys: its permissions (644) let others than its owner use the secret in it"
        );
    }

    #[test]
    fn a_failure_of_the_source_stays_itself() {
        let inner = Failure::refused(Code::new("CC-S09"), "the store is gone", "Find it.");
        let error = EncryptionError::io("a", "read it", io::Error::other(inner));
        assert_eq!(error.code().to_string(), "CC-S09");
        assert_eq!(error.into_failure().to_string(), "the store is gone");
    }
}

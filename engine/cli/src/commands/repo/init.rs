//! `couchcopy repo init`.

use std::os::unix::fs::DirBuilderExt as _;

use clap::Args;
use outcome::{Failure, Result};
use repository::{Init as Options, init};
use serde::Serialize;
use store::Location;

use crate::exit::Outcome;
use crate::flags::repository::{access, host_name, seconds};
use crate::flags::store::{RecipientFlags, location};
use crate::session::Session;

/// Make a repository in a directory or below a prefix in a store.
#[derive(Debug, Args)]
#[command(
    after_long_help = "With --recipient, --recipients-file or --passphrase-file, all backups in the repository are encrypted. This \
    machine can then add backups and list them, but not read their data: that needs the private key of a recipient, or the \
    passphrase. Keep it on another machine, and test that it opens a backup. Without these options nothing is encrypted, and \
    nothing can be encrypted later.\n\n\
    The command writes the key of this machine to a file. The key signs backups. If the file is lost, `couchcopy repo \
    key add --host FILE --identity KEY` makes a new one. If the repository is not encrypted, this needs the key of another machine: \
    keep a copy of the file in a safe place.\n\n\
    Examples:\n  \
    couchcopy repo init --recipient age1... s3://backups/couchdb\n  \
    couchcopy repo init /backups/couchdb"
)]
pub(crate) struct Init {
    /// The repository: an empty or new directory, or a prefix in a store that no object has [default: that of the configuration
    /// file, with its recipients].
    #[arg(value_name = "REPO", value_parser = location())]
    pub(super) repository: Option<Location>,

    #[command(flatten)]
    recipients: RecipientFlags,

    /// The store locks each object for DURATION after it was written (its default retention), for example 30d.
    ///
    /// Every backup then saves again what lies in old objects, so that an object that it needs stays locked for at least a half of
    /// DURATION. couchcopy does not set locks: the bucket has to have a default retention.
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    object_lock: Option<u64>,
}

#[derive(Serialize)]
struct Made {
    repository: String,
    id: String,
    encrypted: bool,
    host_key: String,
    refuses_to_replace: bool,
}

impl Init {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let configured = match &self.repository {
            Some(_) => None,
            None => Some(session.configured_repository(None)?),
        };
        let location = session.repository_location(self.repository.as_ref())?;
        let recipients = self.recipients.or(configured.as_ref());
        let lock = configured.as_ref().and_then(|repository| repository.table.object_lock);
        if let Location::Path(path) = &location {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|error| Failure::io("create", path, error))?;
        }
        let keys = session.keys(&location, &recipients)?;
        let repository::Made { repository, host_key, refuses_to_replace } = init(&Options {
            access: access(session, &location)?,
            recipients: keys.recipients,
            recipient_texts: recipients.texts()?,
            host: host_name(),
            object_lock: self.object_lock.or(lock.map(|seconds| seconds.0)),
        })?;
        let made = Made {
            repository: repository.name(),
            id: repository.id().to_owned(),
            encrypted: repository.is_encrypted(),
            host_key: host_key.display().to_string(),
            refuses_to_replace,
        };
        session.summary(&made, |made| {
            let encrypted = if made.encrypted {
                "encrypted: only its recipients can read the data"
            } else {
                "NOT ENCRYPTED: everybody who can read the files can read the data"
            };
            let warning = if made.refuses_to_replace {
                ""
            } else {
                "The store replaces objects without refusing (no conditional writes). Object lock or versions protect them.\n"
            };
            format!(
                "{}: repository {}, {encrypted}\nthe key of this machine is in {}\n{warning}",
                made.repository, made.id, made.host_key
            )
        });
        Ok(Outcome::Done)
    }
}

//! `couchcopy repo key`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use encryption::Recipients;
use outcome::{Code, Failure, Result};
use repository::KeyHolder;
use store::Location;

use crate::exit::Outcome;
use crate::flags::repository::{host_name, open};
use crate::flags::store::{RecipientFlags, location};
use crate::session::Session;

/// List and change the machines that add backups and the recipients that read them.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Key {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the machines that add backups, and the recipients that can read them.
    List {
        /// The repository.
        #[arg(value_name = "REPO", value_parser = location())]
        repository: Location,
    },
    /// Let another machine add backups, or another recipient read all backups.
    ///
    /// For an encrypted repository, name the private key of a recipient (--identity) or the passphrase (--passphrase-file); no key
    /// of a machine is needed, so this also replaces one that is lost. If the repository is not encrypted, the key of a machine that
    /// may add backups is needed (--host-key).
    Add(Add),
    /// Remove the key of a machine or of a recipient.
    ///
    /// Needs what `couchcopy repo key add` needs. A removed machine can add no more backups. Those that it signed are refused unless
    /// --signer names its key, and prune deletes nothing while there are any. Nothing is encrypted again: a removed recipient who can
    /// read the store can still open all backups, later ones as well. If the private key of a recipient was stolen, make a new
    /// repository.
    Remove {
        /// The repository.
        #[arg(value_name = "REPO", value_parser = location())]
        repository: Location,
        /// The public key, as `couchcopy repo key list` shows it.
        #[arg(value_name = "PUBLIC-KEY")]
        public: String,
    },
}

#[derive(Debug, Args)]
struct Add {
    /// The repository.
    #[arg(value_name = "REPO", value_parser = location())]
    repository: Location,

    /// Make a key for another machine, and write it to FILE.
    ///
    /// Move FILE to that machine, to ~/.config/couchcopy/repositories/ID.key, or name it there with --host-key.
    #[arg(long, help_heading = "Another machine", value_name = "FILE")]
    host: Option<PathBuf>,

    /// Name of the machine, for `couchcopy repo key list`. Default: the name of this machine.
    #[arg(long, help_heading = "Another machine", value_name = "NAME", requires = "host")]
    host_name: Option<String>,

    #[command(flatten)]
    recipients: RecipientFlags,
}

impl Key {
    /// Carries it out.
    pub(super) fn run(&self, session: &Session) -> Result<Outcome> {
        let repository = match &self.action {
            Action::List { repository } => open(session, repository)?,
            Action::Add(add) => {
                let repository = open(session, &add.repository)?;
                let mut texts = add.recipients.texts()?;
                if texts.is_empty() && add.host.is_none() {
                    return Err(Failure::refused(
                        Code::new("CC-X21"),
                        "nothing says who gets a key",
                        "Name a machine's new key file (--host FILE) or a recipient (--recipient age1…).",
                    ));
                }
                if let Some(path) = &add.host {
                    let name = add.host_name.clone().unwrap_or_else(host_name);
                    repository.add_machine(&name, path)?;
                }
                if !texts.is_empty() {
                    let repository = repository.reopened()?;
                    texts.extend(repository.recipients().iter().cloned());
                    texts.sort_unstable();
                    texts.dedup();
                    repository.replace_recipients(&Recipients::gather(&texts, &[], None)?, &texts)?;
                }
                repository.reopened()?
            }
            Action::Remove { repository, public } => {
                let repository = open(session, repository)?;
                let mut texts = repository.recipients().to_vec();
                texts.retain(|text| text != public);
                if texts.len() == repository.recipients().len() {
                    repository.remove_machine(public)?;
                } else if texts.is_empty() {
                    return Err(Failure::refused(
                        Code::new("CC-X22"),
                        "this is the last recipient: nobody could read the repository",
                        "Add another recipient first.",
                    ));
                } else {
                    repository.replace_recipients(&Recipients::gather(&texts, &[], None)?, &texts)?;
                }
                repository.reopened()?
            }
        };
        session.answer(&repository.key_holders(), |holders| text(holders));
        Ok(Outcome::Done)
    }
}

fn text(holders: &[KeyHolder]) -> String {
    let mut text = String::new();
    for holder in holders {
        let _ = writeln!(
            text,
            "{:<9} {:<20} opens {}\n          {}",
            holder.kind,
            holder.name.as_deref().unwrap_or_default(),
            holder.opens,
            holder.public
        );
    }
    text
}

//! How archives and repositories in stores are reached, and the keys of encrypted ones.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use encryption::{Identities, Recipients};
use outcome::{Code, Failure, Result};
use serde::Deserialize;
use store::{Keys, Location, Rate, Settings};

/// Options of every command that reads or writes an archive.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Stores")]
pub(crate) struct StoreFlags {
    /// TOML file with a table [store]: endpoint, region and the like of a store.
    ///
    /// Without it, [store] in the --cluster file is used. What neither sets comes from the environment variables of the stores'
    /// own tools: AWS_REGION, AWS_ENDPOINT_URL, AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, …
    #[arg(long, global = true, value_name = "FILE", display_order = 990, hide_short_help = true)]
    store_config: Option<PathBuf>,

    /// Send and receive at most RATE bytes a second to and from a store, for example 20M.
    ///
    /// `backup`, `run` and `doctor --deep` also read at most so many bytes a second from all nodes together.
    #[arg(long, global = true, value_name = "RATE", display_order = 991, hide_short_help = true)]
    limit_rate: Option<Rate>,

    /// Make at most N requests a second to a store.
    #[arg(long, global = true, value_name = "N", display_order = 992, hide_short_help = true, value_parser = clap::value_parser!(u32).range(1..))]
    limit_requests: Option<u32>,
}

/// Options by which encrypted archives are read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Encryption")]
pub(crate) struct KeyFlags {
    /// File with a private key that decrypts the archive or the repository. Can be repeated.
    ///
    /// A file that `age-keygen` made, or a private key of ssh (ed25519 or RSA). Only its owner may have access to it.
    #[arg(long, global = true, value_name = "FILE", display_order = 980, hide_short_help = true)]
    identity: Vec<PathBuf>,

    /// File with the passphrase of the archive or the repository in its first line.
    ///
    /// A new archive or repository is encrypted with it; an existing one is decrypted with it. Only its owner may have access to it.
    #[arg(long, global = true, value_name = "FILE", display_order = 981, hide_short_help = true)]
    passphrase_file: Option<PathBuf>,

    /// File with the key of this machine for a repository.
    ///
    /// `couchcopy repo init` and `couchcopy repo key add --host` write such a file. Without this option, couchcopy uses
    /// ~/.config/couchcopy/repositories/ID.key, where ID is the id of the repository.
    #[arg(long, global = true, value_name = "FILE", display_order = 982, hide_short_help = true)]
    host_key: Option<PathBuf>,

    /// Accept only backups in a repository that the machine with this public key signed. Can be repeated.
    ///
    /// Without this option, couchcopy accepts the machines that the repository lists (`couchcopy repo key list`).
    #[arg(long, global = true, value_name = "PUBLIC-KEY", display_order = 983, hide_short_help = true)]
    signer: Vec<String>,
}

impl KeyFlags {
    /// These keys, and those of a repository in the configuration file that the command line does not name.
    pub(crate) fn or(&self, repository: Option<&configuration::Repository>) -> Self {
        let Some(configuration::Repository { table, .. }) = repository else { return self.clone() };
        let list = |own: &Vec<PathBuf>, other: &Vec<PathBuf>| {
            if own.is_empty() { other.clone() } else { own.clone() }
        };
        Self {
            identity: list(&self.identity, &table.identity),
            passphrase_file: self.passphrase_file.clone().or_else(|| table.passphrase_file.clone()),
            host_key: self.host_key.clone().or_else(|| table.host_key.clone()),
            signer: if self.signer.is_empty() { table.signers.clone() } else { self.signer.clone() },
        }
    }

    /// The options as a command line names them, with absolute paths.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let files = |option: &'static str, files: &[PathBuf]| -> Vec<String> {
            files.iter().map(|file| with_file(option, file)).collect()
        };
        let mut arguments = files("--identity", &self.identity);
        arguments.extend(files("--passphrase-file", self.passphrase_file.as_slice()));
        arguments.extend(files("--host-key", self.host_key.as_slice()));
        arguments.extend(self.signer.iter().map(|key| format!("--signer={key}")));
        arguments
    }

    /// The keys to read with, and those to write for these recipients.
    pub(crate) fn keys(&self, writing: Option<&RecipientFlags>) -> Result<Keys> {
        let recipients = match writing {
            Some(flags) => {
                Recipients::gather(&flags.recipient, &flags.recipients_file, self.passphrase_file.as_deref())?
            }
            None => Recipients::default(),
        };
        let passphrase = self.passphrase_file.as_deref();
        let identities = Identities::gather(&self.identity, passphrase)?;
        let (host_key, signers) = (self.host_key.clone(), self.signer.clone());
        Ok(Keys { identities, recipients, host_key, signers })
    }
}

/// Options of every command that makes an archive that can be encrypted.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Encryption")]
pub(crate) struct RecipientFlags {
    /// Encrypt for this public key of age (age1…) or ssh. Can be repeated.
    ///
    /// An encrypted archive is in the format of age: `age -d -i KEY backup.tar.gz.age | tar xz` opens it without couchcopy.
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,

    /// File with public keys to encrypt for, one per line. Can be repeated.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    recipients_file: Vec<PathBuf>,
}

impl RecipientFlags {
    /// These recipients; if there are none, those of a repository in the configuration file.
    pub(crate) fn or(&self, repository: Option<&configuration::Repository>) -> Self {
        match repository {
            Some(configuration::Repository { table, .. })
                if self.recipient.is_empty() && self.recipients_file.is_empty() =>
            {
                Self { recipient: table.recipients.clone(), recipients_file: table.recipients_file.clone() }
            }
            _ => self.clone(),
        }
    }

    /// The public keys, as text.
    pub(crate) fn texts(&self) -> Result<Vec<String>> {
        let mut texts: Vec<String> = self.recipient.iter().map(|text| text.trim().to_owned()).collect();
        for file in &self.recipients_file {
            let text = std::fs::read_to_string(file).map_err(|error| Failure::io("read", file, error))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            texts.extend(lines.map(str::to_owned));
        }
        Ok(texts)
    }
}

/// A file with a table [store]; everything else in it is for others.
#[derive(Deserialize)]
struct StoreFile {
    #[serde(default)]
    store: Settings,
}

impl StoreFlags {
    /// The options by which a store is found, as a command line names them, with absolute paths.
    pub(crate) fn arguments(&self) -> Vec<String> {
        self.store_config.iter().map(|file| with_file("--store-config", file)).collect()
    }

    /// The most bytes a second, as the command line has it.
    pub(crate) fn limit_rate(&self) -> Option<u64> {
        self.limit_rate.map(Rate::bytes)
    }

    /// The settings. If no file is named, they are those of the configuration file, else those in this cluster file.
    pub(crate) fn settings(&self, cluster: Option<&Path>, configured: Option<Settings>) -> Result<Settings> {
        let mut settings = match (&self.store_config, configured, cluster) {
            (Some(file), _, _) => read(file)?,
            (None, Some(configured), _) => configured,
            (None, None, Some(file)) => read(file)?,
            (None, None, None) => Settings::default(),
        };
        settings.limit_rate = self.limit_rate.or(settings.limit_rate);
        settings.limit_requests = self.limit_requests.or(settings.limit_requests);
        Ok(settings)
    }
}

/// An option with an absolute path.
fn with_file(option: &str, file: &Path) -> String {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    format!("{option}={}", file.display())
}

fn read(file: &Path) -> Result<Settings> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::io("read", file, error))?;
    let parsed: StoreFile = toml::from_str(&text).map_err(|error| {
        Failure::refused(
            Code::new("CC-O21"),
            format!("{}: the table [store] cannot be used: {}", file.display(), error.message()),
            "docs/stores.md lists the keys of [store].",
        )
    })?;
    Ok(parsed.store)
}

/// Reads a location from an argument.
pub(crate) fn location() -> impl TypedValueParser<Value = Location> {
    LocationParser
}

/// Unlike the parsers of clap, it does not repeat an argument that it refuses: a URL may hold a password.
#[derive(Clone)]
struct LocationParser;

impl TypedValueParser for LocationParser {
    type Value = Location;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Location, clap::Error> {
        Location::parse(value).map_err(|error| {
            clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")).with_cmd(command)
        })
    }
}

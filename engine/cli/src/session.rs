//! One run of a command: its global options, and the one place where results are printed and questions are asked.

use std::io::{IsTerminal, Write as _, stderr, stdin};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use configuration::{Configuration, ConfigurationPath, find};
use outcome::{Code, Failure, Lock as _, Result};
use serde::Serialize;
use store::{Location, Place, Settings, Stores};

use crate::color::ColorChoice;
use crate::exit::Outcome;
use crate::flags::store::{KeyFlags, RecipientFlags, StoreFlags};
use crate::text::progress::{Detail, Terminal};
use crate::{interrupt, output};

/// The global options, as the command line names them.
#[derive(Debug, Clone)]
pub(crate) struct SessionOptions {
    /// Number of threads; 0: as many as there are cores.
    pub(crate) threads: usize,
    /// Whether results are JSON.
    pub(crate) json: bool,
    /// How much is printed besides results.
    pub(crate) detail: Detail,
    /// Whether progress is JSON.
    pub(crate) events: bool,
    /// When messages have color.
    pub(crate) color: ColorChoice,
    /// How the command line is defined, for the manual.
    pub(crate) definition: fn() -> clap::Command,
    /// How stores are reached.
    pub(crate) store: StoreFlags,
    /// The keys of encrypted archives.
    pub(crate) keys: KeyFlags,
    /// The configuration file that the command line names.
    pub(crate) config: Option<PathBuf>,
}

/// What every command gets.
pub(crate) struct Session {
    options: SessionOptions,
    reporter: Arc<Terminal>,
    /// Connections to stores, one for each way to reach them.
    stores: Mutex<Vec<(Settings, Stores)>>,
    configuration: OnceLock<Option<Configuration>>,
}

impl Session {
    pub(crate) fn new(options: SessionOptions) -> Self {
        let in_color = options.color.on_standard_error();
        let reporter = Terminal::new(options.detail, options.events, in_color);
        Self {
            options,
            reporter: Arc::new(reporter),
            stores: Mutex::default(),
            configuration: OnceLock::new(),
        }
    }

    /// The configuration file's path, if there is one.
    pub(crate) fn configuration_path(&self) -> Option<ConfigurationPath> {
        find(self.options.config.as_deref())
    }

    /// The configuration file; `None` if there is none.
    pub(crate) fn configuration(&self) -> Result<Option<&Configuration>> {
        if let Some(known) = self.configuration.get() {
            return Ok(known.as_ref());
        }
        let read = self.configuration_path().map(|found| Configuration::read(&found.path)).transpose()?;
        Ok(self.configuration.get_or_init(|| read).as_ref())
    }

    /// Number of threads; 0: as many as there are cores.
    pub(crate) fn threads(&self) -> usize {
        self.options.threads
    }

    /// The most bytes a second that are read, if that is limited.
    pub(crate) fn limit_rate(&self) -> Option<u64> {
        self.options.store.limit_rate()
    }

    /// Whether results are JSON.
    pub(crate) fn json(&self) -> bool {
        self.options.json
    }

    /// Something in a store, on this machine or in a pipe.
    pub(crate) fn place(&self, location: &Location) -> Result<Place> {
        self.place_of_cluster(location, None)
    }

    /// The same, if the command has a cluster file, which may say how stores are reached.
    pub(crate) fn place_of_cluster(&self, location: &Location, cluster: Option<&Path>) -> Result<Place> {
        self.place_with(location, cluster, None)
    }

    /// Something that is written, encrypted for these recipients if there are any.
    pub(crate) fn new_place(
        &self,
        location: &Location,
        cluster: Option<&Path>,
        recipients: &RecipientFlags,
    ) -> Result<Place> {
        self.place_with(location, cluster, Some(recipients))
    }

    /// The options that another command needs to read the same archives. They hold names of files, and no secrets.
    pub(crate) fn reading_flags(&self) -> Vec<String> {
        [self.options.store.arguments(), self.options.keys.arguments()].concat()
    }

    /// The keys to read and to write with at this location.
    pub(crate) fn keys(&self, location: &Location, recipients: &RecipientFlags) -> Result<store::Keys> {
        let (_, repository) = self.resolved(location, None)?;
        self.options.keys.or(repository.as_ref()).keys(Some(recipients))
    }

    fn place_with(
        &self,
        location: &Location,
        cluster: Option<&Path>,
        recipients: Option<&RecipientFlags>,
    ) -> Result<Place> {
        let (location, repository) = self.resolved(location, cluster)?;
        let configured = match &repository {
            Some(repository) if repository.table.store != Settings::default() => {
                Some(repository.table.store.clone())
            }
            _ => self.store_of_cluster(cluster)?,
        };
        let stores = self.stores(self.options.store.settings(cluster, configured)?);
        let keys = self.options.keys.or(repository.as_ref()).keys(recipients)?;
        Ok(Place::new(location, stores).with_keys(Arc::new(keys)).reporting_to(self.shared_reporter()))
    }

    fn stores(&self, settings: Settings) -> Stores {
        let mut known = self.stores.locked();
        if let Some((_, stores)) = known.iter().find(|(of, _)| *of == settings) {
            return stores.clone();
        }
        let stores = Stores::new(settings.clone());
        known.push((settings, stores.clone()));
        stores
    }

    /// Prints a summary on standard error, because standard output holds something else.
    pub(crate) fn summary_aside<T: Serialize + ?Sized>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        self.reporter.end();
        if self.options.json {
            output::error_line(json_text(value).trim_end());
        } else if !self.is_quiet() {
            output::error_line(text(value).trim_end());
        }
    }

    /// How the command line is defined.
    pub(crate) fn definition(&self) -> clap::Command {
        (self.options.definition)()
    }

    /// Takes the progress and the notices of an operation.
    pub(crate) fn reporter(&self) -> &Terminal {
        &self.reporter
    }

    /// The same reporter, for an operation that keeps it.
    pub(crate) fn shared_reporter(&self) -> Arc<Terminal> {
        Arc::clone(&self.reporter)
    }

    /// Prints what the user asked to see, also with `-q`.
    pub(crate) fn answer<T: Serialize + ?Sized>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        self.reporter.end();
        output::print(&if self.options.json { json_text(value) } else { with_line_end(text(value)) });
    }

    /// Prints a summary of what a command has done. With `-q` only as JSON.
    pub(crate) fn summary<T: Serialize + ?Sized>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        if self.options.json || !self.is_quiet() {
            self.answer(value, text);
        }
    }

    /// Prints a summary whose JSON has to fit on one line: the reader does not wait for the end of the command.
    pub(crate) fn summary_line<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        if self.options.json {
            self.reporter.end();
            output::print(&format!("{}\n", serde_json::to_string(value).unwrap_or_default()));
        } else {
            self.summary(value, text);
        }
    }

    /// Writes much that the user asked to see to standard output.
    pub(crate) fn stream(
        &self,
        write: impl FnOnce(&mut dyn std::io::Write) -> Result<()>,
    ) -> Result<Outcome> {
        let written = output::stream(write);
        self.reporter.end();
        written.map(|()| Outcome::Done)
    }

    /// A flag that Ctrl-C and SIGTERM set, for an operation that ends at the next safe point.
    pub(crate) fn interruptible(&self) -> Result<&'static AtomicBool> {
        self.watch_interrupt(
            "interrupted: stopping at the next safe point (press Ctrl-C again to stop at once)",
        )
    }

    /// The same flag, with this message when it is set.
    pub(crate) fn watch_interrupt(&self, message: &'static str) -> Result<&'static AtomicBool> {
        interrupt::flag((!self.is_quiet()).then_some(message))
    }

    /// Whether somebody can answer a question.
    pub(crate) fn can_ask(&self) -> bool {
        self.why_not_ask().is_none()
    }

    /// Asks the user to agree to `what`, unless `yes` says so already. An error unless the user agrees.
    pub(crate) fn confirm(&self, yes: bool, what: &str) -> Result<()> {
        self.reporter.end();
        if yes {
            return Ok(());
        }
        if let Some(reason) = self.why_not_ask() {
            return Err(Failure::refused(
                Code::new("CC-X07"),
                format!("confirmation required, but {reason}"),
                "Add -y to continue without confirmation, or --dry-run to see what would be done.",
            ));
        }
        match ask(&format!("{}\nContinue? [y/N] ", what.trim_end())).as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::refused(
                Code::new("CC-X08"),
                "not confirmed; nothing was changed",
                "Answer y, or add -y.",
            )),
        }
    }

    fn is_quiet(&self) -> bool {
        self.options.detail == Detail::Quiet
    }

    fn why_not_ask(&self) -> Option<&'static str> {
        if self.options.json {
            Some("with --json no questions are asked")
        } else if !stdin().is_terminal() {
            Some("standard input is not a terminal")
        } else if !stderr().is_terminal() {
            Some("standard error is not a terminal")
        } else {
            None
        }
    }
}

/// Asks a question at the terminal and returns the answer in lower case, empty if there is none.
pub(crate) fn ask(question: &str) -> String {
    let mut err = stderr().lock();
    let _ = err.write_all(question.as_bytes()).and_then(|()| err.flush());
    let mut line = String::new();
    match stdin().read_line(&mut line) {
        Ok(_) => line.trim().to_lowercase(),
        Err(_) => String::new(),
    }
}

/// A value as `--json` prints it.
pub(crate) fn json_text<T: Serialize + ?Sized>(value: &T) -> String {
    with_line_end(serde_json::to_string_pretty(value).unwrap_or_default())
}

fn with_line_end(mut text: String) -> String {
    if !text.ends_with('\n') && !text.is_empty() {
        text.push('\n');
    }
    text
}

//! `couchcopy config`: the configuration file.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use configuration::{Checked, mistakes, schema};
use outcome::{Result, printable};

use crate::exit::Outcome;
use crate::session::Session;
use crate::text::sizes::count;

/// Check the configuration file, or print its JSON schema.
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "The configuration file describes clusters and repositories, so that commands need no arguments: `couchcopy \
    backup`, `couchcopy check`, `couchcopy restore --db shop`. couchcopy uses the file that --config names, else \
    ~/.config/couchcopy/couchcopy.toml, else /etc/couchcopy/couchcopy.toml. docs/running.md describes it.\n\n\
    Examples:\n  \
    couchcopy config check\n  \
    couchcopy config check --config ./couchcopy.toml\n  \
    couchcopy config schema > couchcopy.schema.json"
)]
pub(crate) struct Config {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

/// What to do with the configuration file.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// List every mistake in the configuration file, with its line and column.
    ///
    /// Mistakes are unknown keys, values of a wrong type, files that do not exist, and tables that contradict each other. Cluster
    /// files that the configuration names are checked, too. Exits with 3 if there is a mistake.
    Check,
    /// Print the JSON schema of the configuration file, for editors.
    Schema,
}

impl Config {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        match self.action {
            Action::Schema => {
                let schema = schema();
                session.answer(&schema, |schema| format!("{schema:#}\n"));
                Ok(Outcome::Done)
            }
            Action::Check => {
                let path = match session.configuration_path() {
                    Some(found) => found.path,
                    // Says that there is none.
                    None => session.configured()?.path().to_owned(),
                };
                let checked = mistakes(&path)?;
                session.answer(&checked, text);
                Ok(Outcome::of(checked.mistakes.is_empty()))
            }
        }
    }
}

fn text(checked: &Checked) -> String {
    let mut text = String::new();
    for mistake in &checked.mistakes {
        let _ = writeln!(text, "{}", printable(&mistake.to_string()));
    }
    if checked.mistakes.is_empty() {
        let _ = writeln!(
            text,
            "{}: no mistakes; {}, {}",
            checked.file.display(),
            count(checked.clusters.len() as u64, "cluster", "clusters"),
            count(checked.repositories.len() as u64, "repository", "repositories")
        );
    } else {
        let _ = writeln!(text, "{}", count(checked.mistakes.len() as u64, "mistake", "mistakes"));
    }
    text
}

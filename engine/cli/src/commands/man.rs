//! `couchcopy man`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use outcome::{Failure, Result};
use serde::Serialize;

use crate::exit::Outcome;
use crate::session::Session;
use crate::text::sizes::count;

/// Write the manual pages of couchcopy and its commands into a directory.
#[derive(Debug, Args)]
#[command(after_long_help = "Existing pages are replaced.\n\n\
    Examples:\n  \
    couchcopy man /usr/local/share/man/man1\n  \
    man -l /usr/local/share/man/man1/couchcopy-restore.1")]
pub(crate) struct Man {
    /// The directory. It is made if it does not exist.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// What was written, as `--json` prints it.
#[derive(Serialize)]
struct Written<'m> {
    folder: &'m Path,
    pages: usize,
}

impl Man {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        fs::create_dir_all(&self.folder).map_err(|e| Failure::io("make", &self.folder, e))?;
        let mut definition = session.definition();
        definition.build();
        let definition = with_all_options(definition);
        let pages = write(&definition, &self.folder)?;
        session.summary(&Written { folder: &self.folder, pages }, |written| {
            let pages = count(written.pages as u64, "manual page", "manual pages");
            format!("{}: {pages}", written.folder.display())
        });
        Ok(Outcome::Done)
    }
}

/// The command with the options that `-h` hides: a manual page has room for them.
fn with_all_options(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(with_all_options)
}

/// Writes the page of a command and those of its subcommands; returns their number.
fn write(command: &clap::Command, folder: &Path) -> Result<usize> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let path = folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .and_then(|()| fs::write(&path, page))
        .map_err(|e| Failure::io("write", &path, e))?;
    command.get_subcommands().try_fold(1, |pages, subcommand| Ok(pages + write(subcommand, folder)?))
}

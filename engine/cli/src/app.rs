//! The command line as a whole: global options, subcommands, dispatch.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};

use crate::color::ColorChoice;
use crate::commands::Command;
use crate::exit::{self, ExitCode};
use crate::flags::store::{KeyFlags, StoreFlags};
use crate::session::{Session, SessionOptions};
use crate::text::progress::Detail;

/// Back up and restore CouchDB nodes and clusters while they run.
#[derive(Debug, Parser)]
#[command(
    name = "couchcopy",
    version,
    long_about = "Back up and restore CouchDB nodes and clusters while they run.\n\n\
        A backup is one .tar.gz file, the archive. tar, pigz and the Python couchcopy can read it, too. An archive can be \
        listed, verified down to every document, served over HTTP, and restored to other machines, under other node names, \
        and to more or fewer nodes.",
    after_help = "Run `couchcopy COMMAND --help` for details and examples.",
    after_long_help = after_long_help(),
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    global: GlobalOptions,

    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes. They come after a command's own options in its help.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct GlobalOptions {
    /// Print results and errors as JSON on standard output.
    #[arg(long, global = true, display_order = 1000)]
    json: bool,

    /// Use this configuration file.
    ///
    /// Without this option, couchcopy uses ~/.config/couchcopy/couchcopy.toml or, if it does not exist,
    /// /etc/couchcopy/couchcopy.toml. docs/running.md describes the file; `couchcopy config check` checks it.
    #[arg(long, global = true, value_name = "FILE", display_order = 1000, hide_short_help = true)]
    config: Option<PathBuf>,

    /// Report progress as JSON on standard error, one event per line.
    #[arg(long, global = true, display_order = 1001)]
    events: bool,

    /// Print errors and warnings only.
    ///
    /// Progress, notes and the summary of what was done (backup, restore, verify, load, clean, …) are not printed. Output that
    /// you ask for is still printed: that of info, ls, get, cat, dump, check, doctor, status, service status, plugin list, plugin show,
    /// plugin check, plugin grants and completions, that of --dry-run, and everything with --json.
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 1002)]
    quiet: bool,

    /// Show more detail, including the duration of each phase.
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 1003)]
    verbose: u8,

    /// Number of threads; 0 means one thread per core.
    #[arg(
        long,
        global = true,
        default_value_t = 0,
        value_name = "N",
        display_order = 1004,
        hide_short_help = true
    )]
    threads: usize,

    /// When to use color in messages.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = ColorChoice::Auto,
        value_name = "WHEN",
        display_order = 1005,
        hide_short_help = true
    )]
    color: ColorChoice,

    /// Print a summary (-h) or the complete help (--help).
    #[arg(short, long, global = true, action = ArgAction::Help, display_order = 1006)]
    help: Option<bool>,

    /// Print the version.
    #[arg(short = 'V', long, action = ArgAction::Version, display_order = 1007)]
    version: Option<bool>,

    // Last, since what comes after a group would get its heading.
    #[command(flatten)]
    store: StoreFlags,

    #[command(flatten)]
    keys: KeyFlags,
}

fn after_long_help() -> String {
    format!(
        "{}\n\nExamples:\n  \
         couchcopy backup localhost,/opt/couchdb/data backup.tar.gz\n  \
         couchcopy verify backup.tar.gz\n  \
         couchcopy restore backup.tar.gz \\\n    \
         admin:password@localhost:5984,/opt/couchdb/data",
        ExitCode::help()
    )
}

impl Arguments {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut definition = Self::command().color(ColorChoice::of_command_line().for_parser());
        let mut matches = definition.try_get_matches_from_mut(std::env::args_os())?;
        let arguments =
            Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut definition))?;
        let has_configuration = configuration::find(arguments.global.config.as_deref()).is_some();
        if let Some((command, missing)) = arguments.command.missing(has_configuration) {
            let missing = format!("the following required arguments were not provided:\n  {missing}");
            let definition =
                definition.find_subcommand_mut(command).map_or_else(Self::command, |c| c.clone());
            return Err(definition.clone().error(ErrorKind::MissingRequiredArgument, missing));
        }
        Ok(arguments)
    }
}

impl GlobalOptions {
    fn session(&self) -> Session {
        Session::new(SessionOptions {
            threads: self.threads,
            json: self.json,
            detail: match (self.quiet, self.verbose) {
                (true, _) => Detail::Quiet,
                (false, 0) => Detail::Normal,
                (false, _) => Detail::Verbose,
            },
            events: self.events,
            color: self.color,
            definition: Arguments::command,
            store: self.store.clone(),
            keys: self.keys.clone(),
            config: self.config.clone(),
        })
    }
}

/// Carries the command out.
pub(crate) fn run(arguments: &Arguments) -> std::process::ExitCode {
    let session = arguments.global.session();
    let outcome = arguments.command.run(&session);
    session.reporter().end();
    exit::finish(outcome, session.json(), arguments.global.color)
}

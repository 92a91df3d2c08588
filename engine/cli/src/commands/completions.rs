//! `couchcopy completions`.

use clap::Args;
use outcome::{Code, Failure, Result};

use crate::exit::Outcome;
use crate::session::Session;

/// Generate a shell completion script.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The script completes commands, options, and names of databases and documents in archives.\n\n\
    For bash, add this line to ~/.bashrc:\n  source <(couchcopy completions bash)\n\
    For fish, add this line to ~/.config/fish/completions/couchcopy.fish:\n  couchcopy completions fish | source"
)]
pub(crate) struct Completions {
    /// bash, zsh, fish, elvish or powershell.
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints a script that calls this program for each completion.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let shells = clap_complete::env::Shells::builtins();
        let shell = self.shell.to_string();
        let program = std::env::current_exe()
            .ok()
            .and_then(|path| path.to_str().map(str::to_owned))
            .unwrap_or_else(|| "couchcopy".into());
        let completer = shells.completer(&shell).ok_or_else(|| {
            Failure::refused(
                Code::new("CC-X12"),
                format!("there is no completion script for {shell}"),
                "There are scripts for bash, zsh, fish, elvish and powershell.",
            )
        })?;
        session.stream(|out| {
            let mut text = Vec::new();
            completer
                .write_registration("COMPLETE", "couchcopy", "couchcopy", &program, &mut text)
                .and_then(|()| out.write_all(&text))
                .map_err(|e| Failure::io("write to", "standard output", e))
        })
    }
}

//! The command `couchcopy`: arguments, progress, output, exit codes.

mod arguments;
mod commands;
mod exit;
mod nodes;
mod output;
mod progress;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let arguments = arguments::Arguments::parse();
    let output = output::Output::new(arguments.json);
    let outcome = commands::run(&arguments, &output);
    exit::finish(outcome, &output)
}

//! The command `couchcopy`: arguments, progress, output, exit codes.

mod arguments;
mod cluster;
mod commands;
mod exit;
#[cfg(debug_assertions)]
mod fault;
mod interrupt;
mod nodes;
mod output;
mod plugin_arguments;
mod plugin_commands;
mod progress;
mod restore_arguments;
mod restore_commands;

use clap::Parser;

/// Hundreds of thousands of small files make millions of small allocations; the system's allocator took a sixth of the
/// time of a backup.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let arguments = match arguments::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => return exit::not_parsed(&told),
    };
    let output = output::Output::new(arguments.json);
    let outcome = commands::run(&arguments, &output);
    exit::finish(outcome, &output)
}

//! The command `couchcopy`: arguments, progress, output, exit codes.

mod arguments;
mod cluster;
mod commands;
mod completion;
mod database_commands;
mod exit;
#[cfg(debug_assertions)]
mod fault;
mod file_size;
mod interrupt;
mod load_command;
mod look_arguments;
mod look_commands;
mod nodes;
mod output;
mod plugin_arguments;
mod plugin_commands;
mod progress;
mod restore_arguments;
mod restore_commands;
mod serve_command;
mod unbrand_command;

use clap::CommandFactory;

/// Hundreds of thousands of small files make millions of small allocations; the system's allocator took a sixth of the
/// time of a backup.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // A shell that asks what could come next has set COMPLETE; this answers it and ends.
    clap_complete::CompleteEnv::with_factory(arguments::Arguments::command).complete();
    let arguments = match arguments::Arguments::read() {
        Ok(arguments) => arguments,
        Err(told) => return exit::not_parsed(&told),
    };
    file_size::fail_in_place_of_ending();
    let output = output::Output::new(arguments.json);
    let outcome = commands::run(&arguments, &output);
    exit::finish(outcome, &output)
}

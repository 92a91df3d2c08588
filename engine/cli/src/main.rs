//! The command `couchcopy`: arguments, progress, output, exit codes.

mod app;
mod attended;
mod cluster;
mod color;
mod commands;
mod completion;
mod configured;
mod exit;
#[cfg(debug_assertions)]
mod fault;
mod file_size;
mod flags;
mod interrupt;
mod node_argument;
mod notify;
mod output;
mod pausing;
mod served;
mod session;
mod text;

use clap::CommandFactory;

/// Hundreds of thousands of small files make millions of small allocations; the system's allocator took a sixth of the
/// time of a backup.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // A shell that wants to know what could come next sets COMPLETE. This call answers it and exits.
    clap_complete::CompleteEnv::with_factory(app::Arguments::command).complete();
    let arguments = match app::Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => return exit::not_parsed(&error),
    };
    file_size::fail_instead_of_ending();
    app::run(&arguments)
}

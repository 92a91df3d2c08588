//! The command `scale-data`.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use scale_data::arguments::Arguments;
use scale_data::build::{Built, build};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let start = Instant::now();
    let result = arguments.plan().and_then(|plan| build(&plan, &arguments.dir));
    match result {
        Ok(built) => {
            report(&built, start);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("scale-data: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn report(built: &Built, start: Instant) {
    // A reader that has seen enough, such as head, is no failure.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "{} databases, {} documents in {} shard files of {:.1} MiB, made in {:.1} s",
        built.databases,
        built.documents,
        built.files,
        built.bytes as f64 / f64::from(1 << 20),
        start.elapsed().as_secs_f64(),
    );
    for folder in &built.folders {
        let _ = writeln!(out, "{}  {}", folder.node, folder.path.display());
    }
}

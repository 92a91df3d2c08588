//! Makes what is released of couchcopy: a Debian package, a `.tar.gz`, a bill of materials and checksums.
//!
//! The same sources, the same compiler and the same `SOURCE_DATE_EPOCH` make the same bytes.

mod ar;
mod build;
mod content;
mod deb;
mod sbom;
mod sums;
mod tarball;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use outcome::{Failure, Result, with_causes};

use content::Content;
use target::Target;

/// Make what is released: a Debian package, a .tar.gz, a bill of materials and checksums.
#[derive(Debug, Parser)]
#[command(
    name = "release",
    after_help = "Examples:\n  \
    cargo run --package couchcopy-release -- --target x86_64-unknown-linux-musl\n  \
    cargo run --package couchcopy-release -- --binary target/debug/couchcopy"
)]
struct Arguments {
    /// Build the command for this target, with the profile release. The default is a static binary for this machine.
    #[arg(long, value_name = "TRIPLE", default_value = "x86_64-unknown-linux-musl")]
    target: String,

    /// Package this binary in place of one that is built. It must run on this machine: it prints its manual pages.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,

    /// Directory for the result.
    #[arg(long, value_name = "DIR", default_value = "target/release-files")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match make(&Arguments::parse()) {
        Ok(files) => {
            for file in files {
                println!("{}", file.display());
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{}", with_causes(&failure));
            if let Some(remedy) = failure.remedy() {
                eprintln!("{remedy}");
            }
            ExitCode::FAILURE
        }
    }
}

fn make(arguments: &Arguments) -> Result<Vec<PathBuf>> {
    let root = build::workspace()?;
    let epoch = build::epoch(&root)?;
    let (binary, target) = match &arguments.binary {
        Some(binary) => (binary.clone(), Target::of_binary(binary)?),
        None => (build::command(&root, &arguments.target)?, Target::of_triple(&arguments.target)?),
    };
    std::fs::create_dir_all(&arguments.out).map_err(|e| Failure::io("create", &arguments.out, e))?;
    let content = Content::gather(&root, &binary, build::runs_here(&target))?;
    let version = env!("CARGO_PKG_VERSION");
    let folder = format!("couchcopy-{version}-{}", target.name);
    let mut made = vec![
        (
            format!("couchcopy_{version}_{}.deb", target.debian),
            deb::package(&content, &target, version, epoch)?,
        ),
        (format!("{folder}.tar.gz"), content.portable(&folder, epoch)?),
        (format!("couchcopy-{version}.cdx.json"), sbom::bill(&root, version, epoch)?),
    ];
    let sums = sums::sums(made.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    made.push(("SHA256SUMS".into(), sums.into_bytes()));
    let write = |(name, bytes): (String, Vec<u8>)| {
        let path = arguments.out.join(name);
        std::fs::write(&path, bytes).map_err(|e| Failure::io("write", &path, e))?;
        Ok(path)
    };
    made.into_iter().map(write).collect()
}

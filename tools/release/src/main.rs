//! Makes what is released of couchcopy: Debian packages, `.tar.gz` files, what images of containers are built of, a bill of
//! materials and checksums.
//!
//! The same sources, the same compiler and the same `SOURCE_DATE_EPOCH` make the same bytes.

mod ar;
mod build;
mod c_compiler;
mod content;
mod deb;
mod sbom;
mod sums;
mod tarball;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use outcome::{Code, Failure, Result, with_causes};

use content::{Content, Documents};
use target::Target;

/// Make what is released: Debian packages, .tar.gz files, contexts for `docker build`, a bill of materials and checksums.
#[derive(Debug, Parser)]
#[command(
    name = "release",
    after_help = "Examples:\n  \
    cargo run --package couchcopy-release\n  \
    cargo run --package couchcopy-release -- --target x86_64-unknown-linux-musl\n  \
    cargo run --package couchcopy-release -- --binary target/debug/couchcopy"
)]
struct Arguments {
    /// Build the command for this target, with the profile dist. Can be repeated. The default is a static binary for x86-64
    /// and one for aarch64. One of the targets must run on this machine: its binary prints the manual pages.
    #[arg(long = "target", value_name = "TRIPLE", default_values = STATIC)]
    targets: Vec<String>,

    /// Package this binary in place of those that are built. Can be repeated; one of them must run on this machine.
    #[arg(long = "binary", value_name = "FILE")]
    binaries: Vec<PathBuf>,

    /// Build without ISA-L, the fastest compression. It needs nasm, autoconf, automake, libtool and make.
    #[arg(long, conflicts_with = "binaries")]
    without_isal: bool,

    /// Directory for the result.
    #[arg(long, value_name = "DIR", default_value = "target/release-files")]
    out: PathBuf,
}

/// The targets of static binaries.
const STATIC: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

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

/// The number of the target that is this machine: its binary prints the manual pages.
fn one_runs_here(targets: &[Target]) -> Result<usize> {
    targets.iter().position(build::runs_here).ok_or_else(|| {
        Failure::refused(
            Code::new("CC-X94"),
            "no binary is for this machine, and one must print the manual pages",
            format!("Add one for this machine: --target {}-unknown-linux-musl", std::env::consts::ARCH),
        )
    })
}

fn make(arguments: &Arguments) -> Result<Vec<PathBuf>> {
    let root = build::workspace()?;
    let epoch = build::epoch(&root)?;
    let binaries = if arguments.binaries.is_empty() {
        let features = build::Features { isal: !arguments.without_isal };
        // A mistake is reported before anything is built.
        one_runs_here(
            &arguments.targets.iter().map(|triple| Target::of_triple(triple)).collect::<Result<Vec<_>>>()?,
        )?;
        let build = |triple: &String| build::command(&root, triple, features);
        arguments.targets.iter().map(build).collect::<Result<Vec<_>>>()?
    } else {
        arguments.binaries.clone()
    };
    let targets = binaries.iter().map(|binary| Target::of_binary(binary)).collect::<Result<Vec<_>>>()?;
    let runs_here = one_runs_here(&targets)?;
    let documents = Documents::of(&binaries[runs_here])?;
    std::fs::create_dir_all(&arguments.out).map_err(|e| Failure::io("create", &arguments.out, e))?;
    let version = env!("CARGO_PKG_VERSION");
    let mut made = Vec::new();
    for (binary, target) in binaries.iter().zip(&targets) {
        let content = Content::gather(&root, binary, &documents)?;
        let package = deb::package(&content, target, version, epoch)?;
        made.push((format!("couchcopy_{version}_{}.deb", target.debian), package));
        let folder = format!("couchcopy-{version}-{}", target.name);
        made.push((format!("{folder}.tar.gz"), content.portable(&folder, epoch)?));
        if !target.is_dynamic {
            made.push((format!("{folder}.image.tar.gz"), content::image(&root, binary, epoch)?));
        }
    }
    made.push((format!("couchcopy-{version}.cdx.json"), sbom::bill(&root, version, epoch)?));
    let sums = sums::sums(made.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    made.push(("SHA256SUMS".into(), sums.into_bytes()));
    let write = |(name, bytes): (String, Vec<u8>)| {
        let path = arguments.out.join(name);
        std::fs::write(&path, bytes).map_err(|e| Failure::io("write", &path, e))?;
        Ok(path)
    };
    made.into_iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_targets_has_to_be_this_machine() {
        let targets = |triples: &[&str]| -> Vec<Target> {
            triples.iter().map(|triple| Target::of_triple(triple).unwrap()).collect()
        };
        let own = STATIC.iter().position(|triple| triple.starts_with(std::env::consts::ARCH)).unwrap();
        assert_eq!(one_runs_here(&targets(&STATIC)).unwrap(), own);
        assert!(one_runs_here(&targets(&[STATIC[1 - own]])).is_err());
    }
}

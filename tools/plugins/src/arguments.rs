//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Build the built-in plugins, or check that the committed ones are their source.
///
/// Without arguments, builds every crate plugins/service-NAME, access-NAME and filter-NAME into plugins/dist.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// Only these, as in service-systemd; without any, all
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// Build into this folder instead of plugins/dist
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Change nothing: build elsewhere, and compare with the files in plugins/dist
    ///
    /// Bytes are compared where a file was built with the toolchain that this machine has. Fails where they differ, where
    /// a crate has no file or a file no crate, and where a file is too big or asks the host for what it does not give.
    /// With --out, the fresh files are left there.
    #[arg(long)]
    pub check: bool,

    /// Build nothing: only tell, by the exit code, whether this machine can build plugins
    #[arg(long, conflicts_with_all = ["check", "out", "names"])]
    pub can_build: bool,

    /// The workspace, in place of the one that this program was built in
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))]
    pub root: PathBuf,
}

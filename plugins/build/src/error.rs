//! Why a plugin cannot be built, and what to do about it.

use std::io;
use std::path::PathBuf;

use outcome::{Advice, Code, FailureKind};

use crate::compiler::MINIMUM_RUSTC;
use crate::toolchain::TARGET;

/// Result of building a plugin.
pub type Result<T, E = BuildError> = std::result::Result<T, E>;

/// Why a plugin cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no crate in the folder.
    #[error("there is no Cargo.toml in {folder}")]
    NoCrate {
        /// The folder.
        folder: PathBuf,
    },
    /// The crate has no library, or is no package at all.
    #[error("{folder} does not hold a plugin: {problem}")]
    NotALibrary {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        problem: &'static str,
    },
    /// A program of the Rust toolchain is missing.
    #[error("cannot run {program}")]
    NoProgram {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No compiler of this machine can build for the target.
    #[error("no Rust compiler on this machine can build for {target}: {}", tried.join("; "))]
    NoRoute {
        /// The target.
        target: String,
        /// What was looked at, and why it does not serve.
        tried: Vec<String>,
    },
    /// The standard library can be built, but nothing can link the result.
    #[error("there is no linker for WebAssembly (wasm-ld) on this machine")]
    NoLinker,
    /// Cargo could not tell about the crate or its dependencies.
    #[error("cargo {doing} failed in {folder}:\n{stderr}")]
    Cargo {
        /// Cargo's command.
        doing: &'static str,
        /// Where.
        folder: PathBuf,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// What cargo or rustc wrote cannot be understood.
    #[error("cannot parse the output of `{program}`: {problem}")]
    Unreadable {
        /// The program, with its arguments.
        program: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The crate does not compile.
    #[error("{package} does not compile for {TARGET}{}", if stderr.is_empty() { String::new() } else { format!(":\n{stderr}") })]
    Compile {
        /// The package.
        package: String,
        /// What the compiler wrote, where it was kept.
        stderr: String,
    },
    /// The compiled module cannot become a component.
    #[error("{package} compiles, but cannot become a component: {problem}")]
    Encode {
        /// The package.
        package: String,
        /// Why.
        problem: String,
    },
    /// A file is no component, or a broken one.
    #[error("not a WebAssembly component: {problem}")]
    NotAComponent {
        /// What is wrong with it.
        problem: String,
    },
    /// A component does not keep to the contract.
    #[error("the component is not a couchcopy plugin: {problem}")]
    NotAPlugin {
        /// What is wrong with it.
        problem: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Advice for BuildError {
    fn kind(&self) -> FailureKind {
        FailureKind::Plugin
    }

    fn code(&self) -> Code {
        match self {
            Self::NoCrate { .. } => Code::new("CC-P30"),
            Self::NotALibrary { .. } => Code::new("CC-P31"),
            Self::NoProgram { .. } => Code::new("CC-P32"),
            Self::NoRoute { .. } => Code::new("CC-P33"),
            Self::NoLinker => Code::new("CC-P34"),
            Self::Cargo { .. } => Code::new("CC-P35"),
            Self::Unreadable { .. } => Code::new("CC-P36"),
            Self::Compile { .. } => Code::new("CC-P37"),
            Self::Encode { .. } => Code::new("CC-P38"),
            Self::NotAComponent { .. } => Code::new("CC-P39"),
            Self::NotAPlugin { .. } => Code::new("CC-P40"),
            Self::Io { .. } => Code::new("CC-P41"),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NoCrate { .. } => Some(
                "Name the folder that holds the plugin's Cargo.toml. `couchcopy plugin new NAME` creates one to start \
                 from."
                    .into(),
            ),
            Self::NotALibrary { .. } => Some(
                "A plugin is a package with a library (src/lib.rs); `couchcopy plugin new NAME` creates an example."
                    .into(),
            ),
            Self::NoProgram { .. } => Some(format!(
                "Install Rust {}.{} or newer, best with rustup, then the target: `rustup target add {TARGET}`. rustup \
                 puts cargo into ~/.cargo/bin, which must be in PATH.",
                MINIMUM_RUSTC.0, MINIMUM_RUSTC.1
            )),
            Self::NoRoute { target, .. } => Some(format!(
                "With rustup: `rustup target add {target}`. On Debian 12, or if rustup cannot download \
                 anything: `apt-get install rustc-web rust-web-src lld-19` (new enough in Debian's security updates), \
                 with a cargo of version {}.{} or newer.",
                MINIMUM_RUSTC.0, MINIMUM_RUSTC.1
            )),
            Self::NoLinker => Some(
                "On Debian: `apt-get install lld-19`. Elsewhere set the environment variable \
                 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER to a linker."
                    .into(),
            ),
            Self::Compile { .. } => Some(format!(
                "`cargo test` shows whether it compiles for this machine. {TARGET} has no files, no network, no threads and \
                 no C code: a plugin cannot use a dependency that needs them."
            )),
            Self::Encode { .. } | Self::NotAPlugin { .. } => Some(
                "A plugin calls `couchcopy_plugin::export_service!`, `export_access!` or `export_access_with_tunnel!` \
                 once, with its type, and its dependencies import nothing from outside."
                    .into(),
            ),
            Self::Unreadable { .. } => {
                Some("Please report this message with the output of `cargo -V` and `rustc -vV`.".into())
            }
            Self::Cargo { .. } | Self::NotAComponent { .. } | Self::Io { .. } => None,
        }
    }
}

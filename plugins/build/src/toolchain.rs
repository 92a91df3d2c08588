//! What a plugin is built with: a compiler, a linker, and the record of both.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compiler::{Compiler, StandardLibrary, cargo, first_line};
use crate::error::{BuildError, Result};

/// What plugins are compiled for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The release of the crate that wraps modules into components. Its version is pinned in Cargo.toml: another one writes
/// other bytes.
const ENCODER: &str = "wit-component 0.262.0";

/// The variable that names the linker to cargo.
pub(crate) const LINKER_VARIABLE: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";

impl fmt::Display for StandardLibrary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Installed => "installed",
            Self::FromSource => "from source",
        })
    }
}

/// What a component was built with. Two builds of the same source with equal records have equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What `cargo -V` says.
    pub cargo: String,
    /// What `rustc -V` says.
    pub rustc: String,
    /// Where the standard library came from.
    pub standard_library: StandardLibrary,
    /// What the linker says of itself, where it is not the compiler's own.
    pub linker: Option<String>,
    /// What made a component of the module.
    pub encoder: String,
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "cargo: {}", self.cargo)?;
        writeln!(formatter, "rustc: {}", self.rustc)?;
        writeln!(formatter, "standard library: {}", self.standard_library)?;
        if let Some(linker) = &self.linker {
            writeln!(formatter, "linker: {linker}")?;
        }
        writeln!(formatter, "encoder: {}", self.encoder)
    }
}

impl Record {
    /// Reads what [`Record`]'s `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(": ")?.to_owned()))
        };
        let standard_library = match value("standard library")?.as_str() {
            "installed" => StandardLibrary::Installed,
            "from source" => StandardLibrary::FromSource,
            _ => return None,
        };
        Some(Self {
            cargo: value("cargo")?,
            rustc: value("rustc")?,
            standard_library,
            linker: value("linker"),
            encoder: value("encoder")?,
        })
    }
}

/// A toolchain that can build plugins.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// The cargo to call.
    pub(crate) cargo: PathBuf,
    /// The compiler.
    pub(crate) compiler: Compiler,
    /// The linker, where the compiler brings none and the user names none.
    pub(crate) linker: Option<PathBuf>,
    /// What will be written into the component.
    record: Record,
}

impl Toolchain {
    /// Finds one for the crate in `folder`.
    pub fn find(folder: &Path) -> Result<Self> {
        let cargo = cargo();
        let cargo_version = first_line(Command::new(&cargo).arg("-V").current_dir(folder))?;
        let (compiler, standard_library) = Compiler::find(folder, TARGET)?;
        let linker = Linker::of(&compiler)?;
        let linker_version = match &linker {
            Linker::Own => None,
            Linker::Named(path) | Linker::Found(path) => {
                Some(first_line(Command::new(path).arg("--version").current_dir(folder))?)
            }
        };
        Ok(Self {
            linker: if let Linker::Found(path) = linker { Some(path) } else { None },
            record: Record {
                cargo: cargo_version,
                rustc: compiler.version.clone(),
                standard_library,
                linker: linker_version,
                encoder: ENCODER.into(),
            },
            compiler,
            cargo,
        })
    }

    /// What a component built with it will have recorded.
    pub fn record(&self) -> &Record {
        &self.record
    }
}

enum Linker {
    /// The compiler brings it.
    Own,
    /// The user names it to cargo.
    Named(PathBuf),
    /// We name it to cargo.
    Found(PathBuf),
}

impl Linker {
    fn of(compiler: &Compiler) -> Result<Self> {
        if let Some(named) = env::var_os(LINKER_VARIABLE) {
            return Ok(Self::Named(named.into()));
        }
        let own = compiler.sysroot.join("lib/rustlib").join(&compiler.host).join("bin/rust-lld");
        if own.is_file() {
            return Ok(Self::Own);
        }
        find_linker().map(Self::Found).ok_or(BuildError::NoLinker)
    }
}

/// The newest `wasm-ld` or, as Debian calls it, `wasm-ld-VERSION` in PATH.
fn find_linker() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let entries = env::split_paths(&path).filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    let linkers = entries.filter_map(|entry| {
        let name = entry.file_name();
        let rest = name.to_str()?.strip_prefix("wasm-ld")?;
        let version = if rest.is_empty() { u32::MAX } else { rest.strip_prefix('-')?.parse().ok()? };
        Some((version, entry.path()))
    });
    linkers.max_by_key(|(version, _)| *version).map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let mut record = Record {
            cargo: "cargo 1.95.0 (f2d3ce0bd 2026-03-21)".into(),
            rustc: "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)".into(),
            standard_library: StandardLibrary::FromSource,
            linker: Some("Debian LLD 19.1.7".into()),
            encoder: ENCODER.into(),
        };
        assert_eq!(Record::parse(&record.to_string()), Some(record.clone()));
        record.linker = None;
        record.standard_library = StandardLibrary::Installed;
        assert_eq!(Record::parse(&record.to_string()), Some(record));
        assert_eq!(Record::parse("cargo: 1\nrustc: 2\n"), None);
    }

    #[test]
    fn the_recorded_encoder_is_the_one_that_is_used() {
        let manifest: toml::Table =
            include_str!("../../../Cargo.toml").parse().expect("the workspace's Cargo.toml");
        let pinned = manifest["workspace"]["dependencies"]["wit-component"].as_str();
        assert_eq!(pinned, Some(ENCODER.replace("wit-component ", "=").as_str()));
    }
}

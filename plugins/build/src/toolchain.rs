//! The Rust toolchains of this machine, and which of them can build a plugin.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{BuildError, Result};

/// What plugins are compiled for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The first rustc that the plugin SDK compiles with.
pub(crate) const MINIMUM_RUSTC: (u32, u32) = (1, 90);

/// The release of the crate that wraps modules into components. Its version is pinned in Cargo.toml: another one writes
/// other bytes.
const ENCODER: &str = "wit-component 0.262.0";

/// The variable that names the linker to cargo.
pub(crate) const LINKER_VARIABLE: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";

/// Where Debian puts its compiler, which rustup's hides in PATH.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// Where the standard library for WebAssembly comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardLibrary {
    /// It is installed, compiled.
    Installed,
    /// Cargo compiles it from its source.
    FromSource,
}

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
    /// The compiler, where it is not the one that cargo takes by itself.
    pub(crate) rustc: Option<PathBuf>,
    /// The linker, where the compiler brings none and the user names none.
    pub(crate) linker: Option<PathBuf>,
    /// Where the compiler's own files lie.
    pub(crate) sysroot: PathBuf,
    /// The compiler's source revision.
    pub(crate) commit: String,
    /// What will be written into the component.
    record: Record,
}

impl Toolchain {
    /// Finds one for the crate in `folder`: a compiler with the standard library for WebAssembly before one that can
    /// only compile it, the user's own before Debian's.
    pub fn find(folder: &Path) -> Result<Self> {
        let cargo = cargo();
        let cargo_version = first_line(Command::new(&cargo).arg("-V").current_dir(folder))?;
        let own = env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
        let mut compilers = Vec::new();
        let mut tried = Vec::new();
        for (path, is_default) in [(own, true), (PathBuf::from(DEBIAN_RUSTC), false)] {
            match Compiler::ask(&path, is_default, folder) {
                Ok(compiler) if compiler.release < MINIMUM_RUSTC => tried.push(format!(
                    "{} is {}, too old: {}.{} is the first that will do",
                    path.display(),
                    compiler.version,
                    MINIMUM_RUSTC.0,
                    MINIMUM_RUSTC.1
                )),
                Ok(compiler) => compilers.push(compiler),
                Err(error) if is_default => return Err(error),
                Err(_) => tried.push(format!("there is no {}", path.display())),
            }
        }
        let chosen = compilers
            .iter()
            .find(|compiler| compiler.has_library())
            .map(|compiler| (compiler, StandardLibrary::Installed))
            .or_else(|| {
                let found = compilers.iter().find(|compiler| compiler.has_source())?;
                Some((found, StandardLibrary::FromSource))
            });
        let Some((compiler, standard_library)) = chosen else {
            tried.extend(compilers.iter().map(|compiler| {
                format!(
                    "{} ({}) has neither that target's standard library nor its source",
                    compiler.path.display(),
                    compiler.version
                )
            }));
            return Err(BuildError::NoRoute { tried });
        };
        let linker = compiler.linker()?;
        let linker_version = match &linker {
            Linker::Own => None,
            Linker::Named(path) | Linker::Found(path) => {
                Some(first_line(Command::new(path).arg("--version").current_dir(folder))?)
            }
        };
        Ok(Self {
            rustc: (!compiler.is_default).then(|| compiler.path.clone()),
            linker: if let Linker::Found(path) = linker { Some(path) } else { None },
            sysroot: compiler.sysroot.clone(),
            commit: compiler.commit.clone(),
            record: Record {
                cargo: cargo_version,
                rustc: compiler.version.clone(),
                standard_library,
                linker: linker_version,
                encoder: ENCODER.into(),
            },
            cargo,
        })
    }

    /// What a component built with it will have recorded.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Where the source of the standard library lies, if it is installed.
    pub(crate) fn library_source(&self) -> PathBuf {
        library_source(&self.sysroot)
    }
}

/// A rustc.
struct Compiler {
    path: PathBuf,
    is_default: bool,
    version: String,
    release: (u32, u32),
    commit: String,
    host: String,
    sysroot: PathBuf,
    library: PathBuf,
}

impl Compiler {
    fn ask(path: &Path, is_default: bool, folder: &Path) -> Result<Self> {
        let ask = |arguments: &[&str]| text(Command::new(path).args(arguments).current_dir(folder));
        let verbose = ask(&["-vV"])?;
        let field = |key: &str| {
            verbose.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned())
        };
        let unreadable =
            || BuildError::Unreadable { program: "rustc -vV", problem: format!("it says {verbose:?}") };
        let release = field("release:").and_then(|text| release(&text)).ok_or_else(unreadable)?;
        Ok(Self {
            path: path.to_owned(),
            is_default,
            version: verbose.lines().next().ok_or_else(unreadable)?.to_owned(),
            release,
            commit: field("commit-hash:").unwrap_or_default(),
            host: field("host:").ok_or_else(unreadable)?,
            sysroot: PathBuf::from(ask(&["--print", "sysroot"])?.trim()),
            library: PathBuf::from(ask(&["--print", "target-libdir", "--target", TARGET])?.trim()),
        })
    }

    fn has_library(&self) -> bool {
        std::fs::read_dir(&self.library).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                let name = entry.file_name();
                name.to_string_lossy().starts_with("libstd-")
            })
        })
    }

    fn has_source(&self) -> bool {
        library_source(&self.sysroot).join("library/Cargo.lock").is_file()
    }

    fn linker(&self) -> Result<Linker> {
        if let Some(named) = env::var_os(LINKER_VARIABLE) {
            return Ok(Linker::Named(named.into()));
        }
        let own = self.sysroot.join("lib/rustlib").join(&self.host).join("bin/rust-lld");
        if own.is_file() {
            return Ok(Linker::Own);
        }
        find_linker().map(Linker::Found).ok_or(BuildError::NoLinker)
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

fn library_source(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust")
}

fn release(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The cargo to call: the one that runs us, where one does.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    command.output().map_err(|source| no_program(command.get_program(), source))
}

/// The error for a program that cannot be run.
pub(crate) fn no_program(program: &OsStr, source: std::io::Error) -> BuildError {
    BuildError::NoProgram { program: program.into(), source }
}

fn text(command: &mut Command) -> Result<String> {
    let output = run(command)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        return Err(no_program(command.get_program(), std::io::Error::other(stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn first_line(command: &mut Command) -> Result<String> {
    Ok(text(command)?.lines().next().unwrap_or_default().trim().to_owned())
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

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(release("1.96.0"), Some((1, 96)));
        assert_eq!(release("1.100.0-nightly"), Some((1, 100)));
        assert_eq!(release("new"), None);
        assert!(release("1.63.0") < Some(MINIMUM_RUSTC));
    }
}

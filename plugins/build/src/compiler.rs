//! The Rust compilers of this machine, and which of them can build for a target.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{BuildError, Result};

/// The first rustc that this workspace compiles with.
pub(crate) const MINIMUM_RUSTC: (u32, u32) = (1, 90);

/// Where Debian puts its compiler, which rustup's hides in PATH.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// Where the standard library for a target comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardLibrary {
    /// It is installed, compiled.
    Installed,
    /// Cargo compiles it from its source.
    FromSource,
}

/// A rustc.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The program.
    pub(crate) path: PathBuf,
    /// Whether it is the one that cargo takes by itself.
    pub(crate) is_default: bool,
    /// The first line of `rustc -vV`.
    pub(crate) version: String,
    release: (u32, u32),
    /// The revision of its sources; empty if it does not say.
    pub(crate) commit: String,
    /// The target of this machine.
    pub(crate) host: String,
    /// Where its own files lie.
    pub(crate) sysroot: PathBuf,
    /// Where the standard library for the target is or would be.
    library: PathBuf,
}

impl Compiler {
    /// Finds one that can build for `target` in `folder`: a compiler with the target's standard library before one that
    /// can only compile it, the user's own before Debian's.
    pub fn find(folder: &Path, target: &str) -> Result<(Self, StandardLibrary)> {
        let own = env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
        let mut compilers = Vec::new();
        let mut tried = Vec::new();
        for (path, is_default) in [(own, true), (PathBuf::from(DEBIAN_RUSTC), false)] {
            match Self::ask(&path, is_default, folder, target) {
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
        if let Some(found) = compilers.iter().find(|compiler| compiler.has_library()) {
            return Ok((found.clone(), StandardLibrary::Installed));
        }
        if let Some(found) = compilers.iter().find(|compiler| compiler.has_source()) {
            return Ok((found.clone(), StandardLibrary::FromSource));
        }
        tried.extend(compilers.iter().map(|compiler| {
            format!(
                "{} ({}) has neither that target's standard library nor its source",
                compiler.path.display(),
                compiler.version
            )
        }));
        Err(BuildError::NoRoute { target: target.to_owned(), tried })
    }

    fn ask(path: &Path, is_default: bool, folder: &Path, target: &str) -> Result<Self> {
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
            library: PathBuf::from(ask(&["--print", "target-libdir", "--target", target])?.trim()),
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
        self.library_source().join("library/Cargo.lock").is_file()
    }

    /// Where the source of the standard library lies, if it is installed.
    pub(crate) fn library_source(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust")
    }

    /// Lets `command`, a cargo, compile with this compiler and this standard library.
    pub fn applied_to(&self, command: &mut Command, standard_library: StandardLibrary) {
        if standard_library == StandardLibrary::FromSource {
            // Unstable in cargo, hence the second variable; it is the one way without a compiled standard library.
            command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        }
        if !self.is_default {
            // Whoever runs us may have set it for the other compiler's libraries.
            command.env("RUSTC", &self.path).env_remove("LD_LIBRARY_PATH");
        }
    }
}

fn release(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The cargo to call: the one that runs us, where one does.
pub fn cargo() -> PathBuf {
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

/// The first line that a program prints.
pub(crate) fn first_line(command: &mut Command) -> Result<String> {
    Ok(text(command)?.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(release("1.96.0"), Some((1, 96)));
        assert_eq!(release("1.100.0-nightly"), Some((1, 100)));
        assert_eq!(release("new"), None);
        assert!(release("1.63.0") < Some(MINIMUM_RUSTC));
    }

    #[test]
    fn the_target_of_this_machine_can_be_built_for_and_one_that_nobody_has_cannot() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let host = Compiler::find(folder, "x86_64-unknown-linux-gnu");
        if cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
            assert_eq!(host.unwrap().1, StandardLibrary::Installed);
        }
        assert!(Compiler::find(folder, "no-such-target").is_err());
    }
}

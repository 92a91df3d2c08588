//! What compiles C for a target, and links: libraries in C are part of the command, and so is the C library of a static binary.

use std::path::PathBuf;
use std::process::Command;

use outcome::{Code, Failure, Result};
use plugin_build::{StandardLibrary, cargo};

/// What lets cargo compile C and link with zig.
const ZIGBUILD: &str = "cargo-zigbuild";

/// What compiles C for a target, and links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CCompiler {
    /// The one that cargo takes by itself.
    Own,
    /// zig, by way of cargo-zigbuild. It brings musl and an unwinder for every target, and its release decides on the bytes.
    Zig,
}

impl CCompiler {
    /// The one of this machine for a target: zig for static binaries. Where it is missing, musl-gcc of Debian's musl-tools does
    /// for x86-64 if the standard library is installed, because it comes with the rest of what musl-gcc lacks.
    pub(crate) fn find(triple: &str, library: StandardLibrary) -> Result<Self> {
        if !triple.ends_with("-musl") {
            return Ok(Self::Own);
        }
        let missing: Vec<&str> = [(ZIGBUILD, on_path(ZIGBUILD).is_some()), ("zig", has_zig())]
            .into_iter()
            .filter_map(|(name, is_there)| (!is_there).then_some(name))
            .collect();
        if missing.is_empty() {
            return Ok(Self::Zig);
        }
        let musl_gcc_will_do = library == StandardLibrary::Installed && triple.starts_with("x86_64-");
        if musl_gcc_will_do && on_path("musl-gcc").is_some() {
            return Ok(Self::Own);
        }
        let or_else =
            if musl_gcc_will_do { " Or, for this target alone: `apt-get install musl-tools`." } else { "" };
        Err(Failure::refused(
            Code::new("CC-X96"),
            format!("nothing compiles C for {triple}: {} is missing", missing.join(" and ")),
            format!(
                "Run `python3 -m venv zig && zig/bin/pip install cargo-zigbuild ziglang && export \
                 PATH=\"$PWD/zig/bin:$PATH\"`.{or_else}"
            ),
        ))
    }

    /// The command that builds with it.
    pub(crate) fn command(self) -> Command {
        let mut command = Command::new(match self {
            Self::Own => cargo(),
            Self::Zig => ZIGBUILD.into(),
        });
        command.arg("rustc");
        command
    }

    /// What it needs to know to link.
    ///
    /// A standard library of rustup has the objects with which a program of musl begins and ends; one that is compiled from its
    /// source has not, and zig brings its own.
    pub(crate) fn flags_of_linking(self, library: StandardLibrary) -> &'static [&'static str] {
        match (self, library) {
            (Self::Zig, StandardLibrary::FromSource) => &["-Clink-self-contained=no"],
            _ => &[],
        }
    }
}

/// Whether zig is where cargo-zigbuild looks for it: a package of Python, or a program.
fn has_zig() -> bool {
    let runs = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    std::env::var_os("CARGO_ZIGBUILD_ZIG_PATH").is_some()
        || runs("python3", &["-m", "ziglang", "version"])
        || runs("zig", &["version"])
}

/// Refuses if something is missing that ISA-L is built with: each program with its package in Debian.
pub(crate) fn needs_of_isal(triple: &str) -> Result<()> {
    let tools =
        [("autoreconf", "autoconf"), ("automake", "automake"), ("libtoolize", "libtool"), ("make", "make")];
    let assembler = triple.starts_with("x86_64-").then_some(("nasm", "nasm"));
    let missing: Vec<&str> = tools
        .into_iter()
        .chain(assembler)
        .filter_map(|(program, package)| on_path(program).is_none().then_some(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(
        Code::new("CC-X95"),
        format!("what builds ISA-L for {triple} is missing: {}", missing.join(", ")),
        format!("Run `apt-get install {}`, or build without ISA-L: --without-isal.", missing.join(" ")),
    ))
}

/// A program in PATH.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_static_binaries_need_zig() {
        let own = CCompiler::find("x86_64-unknown-linux-gnu", StandardLibrary::Installed).unwrap();
        assert_eq!(own, CCompiler::Own);
        assert_eq!(own.flags_of_linking(StandardLibrary::FromSource), [""; 0]);
        if let Err(failure) = CCompiler::find("aarch64-unknown-linux-musl", StandardLibrary::FromSource) {
            assert!(failure.remedy().unwrap().contains("pip install"));
        }
    }
}

//! The workspace, its time, and the command that is built of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use outcome::{Code, Failure, Result};
use plugin_build::{Compiler, Places, cargo};

use crate::c_compiler::{self, CCompiler};
use crate::target::Target;

/// The directory of the workspace: where cargo runs this, else where it was compiled.
pub(crate) fn workspace() -> Result<PathBuf> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = own.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    own.parent().and_then(Path::parent).map(Path::to_owned).ok_or_else(|| Failure::bug("no workspace"))
}

/// The time that files in packages get, in seconds since 1970: `SOURCE_DATE_EPOCH`, else that of the last commit.
pub(crate) fn epoch(root: &Path) -> Result<i64> {
    if let Some(text) = std::env::var("SOURCE_DATE_EPOCH").ok().filter(|text| !text.is_empty()) {
        return text
            .parse()
            .map_err(|_| no_time(format!("SOURCE_DATE_EPOCH is {text:?}, which is no number of seconds")));
    }
    let printed = output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root))?;
    printed.trim().parse().map_err(|_| no_time("git prints no time of the last commit".into()))
}

fn no_time(problem: String) -> Failure {
    Failure::refused(Code::new("CC-X98"), problem, "Set SOURCE_DATE_EPOCH to a number of seconds since 1970.")
}

/// How to build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Features {
    /// Whether ISA-L goes in, which needs an assembler and the autotools.
    pub(crate) isal: bool,
}

/// The profile of `Cargo.toml` that is built with.
pub(crate) const PROFILE: &str = "dist";

/// Builds the command for a target, with [`PROFILE`]; returns its path.
pub(crate) fn command(root: &Path, triple: &str, features: Features) -> Result<PathBuf> {
    let (compiler, library) = Compiler::find(root, triple)?;
    let c_compiler = CCompiler::find(triple, library)?;
    if features.isal {
        c_compiler::needs_of_isal(triple)?;
    }
    let places = Places::read(&cargo(), root, triple, true)?;
    let renamed = places.renamed(&compiler, "/couchcopy");
    let mut build = c_compiler.command();
    build.args(["--profile", PROFILE, "--locked", "--package", "couchcopy", "--bin", "couchcopy"]);
    build.args(["--target", triple]).current_dir(root);
    if !features.isal {
        build.arg("--no-default-features");
    }
    compiler.applied_to(&mut build, library);
    // Incremental compilation splits code differently.
    build.env("CARGO_INCREMENTAL", "0");
    build.env("CARGO_ENCODED_RUSTFLAGS", flags_of_rust(&renamed)).env_remove("RUSTFLAGS");
    let (variable, flags) = flags_of_c(triple, &renamed);
    build.env(variable, flags);
    build.arg("--").args(c_compiler.flags_of_linking(library));
    let status = build.status().map_err(|e| Failure::io("run", cargo(), e))?;
    if !status.success() {
        return Err(Failure::refused(
            Code::new("CC-X97"),
            format!("cargo does not build for {triple}: {status}"),
            "Fix what cargo reports above.",
        ));
    }
    Ok(places.target_folder.join(triple).join(PROFILE).join("couchcopy"))
}

/// The user's own flags, and those that keep paths of this machine out of the binary: they would make other bytes than those of
/// another one.
fn flags_of_rust(renamed: &[(PathBuf, String)]) -> String {
    let variable = |name| std::env::var(name).ok().filter(|flags: &String| !flags.is_empty());
    let own = variable("CARGO_ENCODED_RUSTFLAGS").or_else(|| {
        variable("RUSTFLAGS").map(|flags| flags.split_whitespace().collect::<Vec<_>>().join("\x1f"))
    });
    let ours = renamed.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    // The character that cargo parts this variable by.
    own.into_iter().chain(ours).collect::<Vec<_>>().join("\x1f")
}

/// The same for C: the variable that the crate cc reads, and its value.
fn flags_of_c(triple: &str, renamed: &[(PathBuf, String)]) -> (String, String) {
    let variable = format!("CFLAGS_{}", triple.replace('-', "_"));
    // SOURCE_DATE_EPOCH does not do: zig takes what it compiled before, whatever that variable says.
    let no_time = ["-Wno-builtin-macro-redefined", "-D__DATE__=\"no-date\"", "-D__TIME__=\"no-time\""];
    let renamed = renamed.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display()));
    let ours = no_time.map(ToOwned::to_owned).into_iter().chain(renamed);
    let flags = std::env::var(&variable).ok().into_iter().chain(ours).collect::<Vec<_>>().join(" ");
    (variable, flags)
}

/// Whether binaries for this target run on this machine.
pub(crate) fn runs_here(target: &Target) -> bool {
    target.name == format!("{}-linux", std::env::consts::ARCH)
}

/// What a program prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command.output().map_err(|e| Failure::io("run", &program, e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::io(
            "run",
            &program,
            std::io::Error::other(format!("{}: {said}", output.status)),
        ));
    }
    String::from_utf8(output.stdout).map_err(|_| {
        Failure::io("read what is printed by", &program, std::io::Error::other("it is not text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_of_this_machine_goes_into_a_binary() {
        let renamed =
            [("/home/me/couchcopy".into(), "/couchcopy".into()), ("/home/me/t".into(), "/target".into())];
        let flags = flags_of_rust(&renamed);
        assert!(flags.ends_with(
            "--remap-path-prefix=/home/me/couchcopy=/couchcopy\x1f--remap-path-prefix=/home/me/t=/target"
        ));
        let (variable, flags) = flags_of_c("aarch64-unknown-linux-musl", &renamed);
        assert_eq!(variable, "CFLAGS_aarch64_unknown_linux_musl");
        assert!(flags.contains("-D__DATE__=\"no-date\" -D__TIME__=\"no-time\" "), "{flags}");
        assert!(flags.ends_with(
            "-ffile-prefix-map=/home/me/couchcopy=/couchcopy -ffile-prefix-map=/home/me/t=/target"
        ));
    }
}

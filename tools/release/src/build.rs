//! The workspace, its time, and the command that is built of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use outcome::{Code, Failure, Result};

use crate::target::Target;

/// The directory of the workspace.
pub(crate) fn workspace() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
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

/// Builds the command for a target, with the profile release; returns its path.
pub(crate) fn command(root: &Path, triple: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Paths of this machine would make other bytes than those of another one.
    let remap = format!("--remap-path-prefix={}=.", root.display());
    let flags = std::env::var("RUSTFLAGS").map_or_else(|_| remap.clone(), |flags| format!("{flags} {remap}"));
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--package", "couchcopy", "--target", triple]);
    let status = build.env("RUSTFLAGS", flags).current_dir(root).status();
    let status = status.map_err(|e| Failure::io("run", "cargo", e))?;
    if !status.success() {
        return Err(Failure::refused(
            Code::new("CC-X97"),
            format!("cargo does not build for {triple}: {status}"),
            format!(
                "Install the target with `rustup target add {triple}`, and a linker and C compiler for it (musl-tools)."
            ),
        ));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join(triple).join("release/couchcopy"))
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

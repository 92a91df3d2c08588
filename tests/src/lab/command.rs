//! Running programs, the command `couchcopy` among them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::wait::wait_for;
use crate::Result;

/// A program that ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Ended {
    /// What it said, with the lines put together again that an error message was broken into.
    #[must_use]
    pub fn unwrapped(mut self) -> Self {
        self.stderr = self.stderr.replace("\n  │ ", " ").replace("\n        ", " ");
        self
    }

    /// Its output; an error unless it succeeded.
    pub fn success(self) -> Result<String> {
        if self.code == Some(0) {
            return Ok(self.stdout);
        }
        Err(format!("it ended with {:?}:\n{}{}", self.code, self.stdout, self.stderr).into())
    }
}

/// Runs a program to its end.
///
/// Fails, and kills it, where it takes too long.
pub fn run(command: &mut Command) -> Result<Ended> {
    let (stdout, stderr) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    command.stdin(Stdio::null()).stdout(stdout.reopen()?).stderr(stderr.reopen()?);
    let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let ended = wait_for(&format!("{command:?}"), || Ok(child.try_wait()?));
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let text = |file: &tempfile::NamedTempFile| -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(file.path())?).into_owned())
    };
    let (stdout, stderr) = (text(&stdout)?, text(&stderr)?);
    let status = ended.map_err(|e| format!("{e}:\n{stdout}{stderr}"))?;
    Ok(Ended { code: status.code(), stdout, stderr })
}

/// Runs `couchcopy` with these arguments.
pub fn couchcopy<S: AsRef<OsStr>>(arguments: &[S]) -> Result<Ended> {
    run(Command::new(binary()?).args(arguments))
}

/// Backs up data directories of this machine: of one node, or of all nodes of a cluster.
pub fn back_up<P: AsRef<Path>>(folders: &[P], archive: &Path) -> Result<()> {
    let mut arguments = vec!["backup".to_owned()];
    arguments.extend(folders.iter().map(|folder| format!("localhost,{}", folder.as_ref().display())));
    arguments.push(archive.display().to_string());
    couchcopy(&arguments)?.success()?;
    Ok(())
}

/// Runs `couchcopy verify` on an archive.
pub fn verify(archive: &Path) -> Result<Ended> {
    couchcopy(&["verify".as_ref(), archive.as_os_str()])
}

/// The command: `COUCHCOPY_BIN`, or else built from this source, in the target folder and the profile of the running test,
/// as cargo makes it for its own package's tests only.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|e| e.to_string())).clone().map_err(Into::into)
}

fn build() -> Result<PathBuf> {
    if let Some(built) = std::env::var_os("COUCHCOPY_BIN") {
        return Ok(built.into());
    }
    let test = std::env::current_exe()?;
    let profile_dir = test.ancestors().nth(2).ok_or("a test outside of a target folder")?;
    let profile = match profile_dir.file_name().and_then(OsStr::to_str) {
        None | Some("debug") => "dev",
        Some(other) => other,
    };
    let target = profile_dir.parent().ok_or("a test outside of a target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        // The whole workspace: for the package alone, cargo would build its dependencies again with other features.
        .args(["build", "--quiet", "--workspace", "--bin", "couchcopy", "--profile", profile])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .stdin(Stdio::null())
        .output()?;
    if !built.status.success() {
        return Err(format!("cargo build: {}", String::from_utf8_lossy(&built.stderr)).into());
    }
    Ok(profile_dir.join("couchcopy"))
}

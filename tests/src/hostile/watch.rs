//! Running the command where a plugin may do its worst: with folders of its own, watched and ended if need be.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{Ended, binary};
use crate::{Result, memory};

/// A user's folders: nothing is installed, granted or compiled yet.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
}

/// A command that ended by itself.
#[derive(Debug)]
pub struct Watched {
    /// How it ended.
    pub ended: Ended,
    /// How long that took.
    pub took: Duration,
    /// The most memory that it held, in MiB, as far as it was seen.
    pub peak: u64,
}

impl Watched {
    /// What it printed with `--json`.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.ended.stdout).map_err(|e| format!("{e}: {self:?}"))?)
    }

    /// The text of its error and what to do, as JSON tells them.
    pub fn error(&self) -> Result<(String, String)> {
        let told = self.json()?;
        let text = |name: &str| told["error"][name].as_str().unwrap_or_default().to_owned();
        let causes = told["error"]["causes"].as_array().cloned().unwrap_or_default();
        let message = std::iter::once(text("message"))
            .chain(causes.iter().filter_map(|cause| cause.as_str().map(str::to_owned)))
            .collect::<Vec<_>>()
            .join(": ");
        Ok((message, text("remedy")))
    }

    /// Control characters that it printed: those a terminal obeys, but for ends of lines.
    pub fn control_characters(&self) -> Vec<char> {
        let all = self.ended.stdout.chars().chain(self.ended.stderr.chars());
        all.filter(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c)).collect()
    }
}

impl Home {
    /// An empty one.
    pub fn new() -> Result<Self> {
        Ok(Self { dir: tempfile::tempdir()? })
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The folder for plugins.
    pub fn plugins(&self) -> Result<PathBuf> {
        let folder = self.path("data/couchcopy/plugins");
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Writes a file; gives its path.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    }

    /// Runs `couchcopy` as this user; fails where it does not end within the time.
    pub fn couchcopy<S: AsRef<OsStr>>(&self, arguments: &[S], limit: Duration) -> Result<Watched> {
        let (stdout, stderr) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
        let begun = Instant::now();
        let mut child = Command::new(binary()?)
            .args(arguments)
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .stdin(Stdio::null())
            .stdout(stdout.reopen()?)
            .stderr(stderr.reopen()?)
            .spawn()?;
        let mut peak = 0;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Ok(status);
            }
            peak = peak.max(memory::peak(child.id()).unwrap_or(0) / 1024);
            if begun.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                break Err(format!("it did not end within {limit:?}"));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = begun.elapsed();
        let text = |file: &tempfile::NamedTempFile| -> Result<String> {
            Ok(String::from_utf8_lossy(&std::fs::read(file.path())?).into_owned())
        };
        let (stdout, stderr) = (text(&stdout)?, text(&stderr)?);
        let status = status.map_err(|e| format!("{e}:\n{stdout}{stderr}"))?;
        Ok(Watched { ended: Ended { code: status.code(), stdout, stderr }, took, peak })
    }
}

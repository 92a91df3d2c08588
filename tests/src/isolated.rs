//! The command with an environment of its own: nothing of the user's reaches a store or a repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Result;
use crate::lab::{Ended, binary};

/// The command with an environment of its own.
#[derive(Debug, Clone)]
pub struct Couchcopy {
    environment: Vec<(String, String)>,
}

impl Couchcopy {
    /// With these variables, and without those of stores that are set for the tests.
    pub fn with(environment: Vec<(String, String)>) -> Self {
        Self { environment }
    }

    /// With these variables, and directories below `home` for configuration, copies and state.
    pub fn at_home(home: &Path, environment: Vec<(String, String)>) -> Self {
        let folders =
            [("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache"), ("XDG_STATE_HOME", "state")];
        let folder =
            |(variable, name): (&str, &str)| (variable.to_owned(), home.join(name).display().to_string());
        Self::with(environment.into_iter().chain(folders.map(folder)).collect())
    }

    /// The same with more variables, or with other values.
    #[must_use]
    pub fn and(&self, more: &[(&str, &str)]) -> Self {
        let more = more.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Self { environment: self.environment.iter().cloned().chain(more).collect() }
    }

    /// The command with these arguments, to be started.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        self.program(&binary()?.display().to_string(), arguments)
    }

    /// Another program in the same environment.
    pub fn program(&self, program: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars() {
            if name.starts_with("AWS_") || name.starts_with("AZURE_") || name.starts_with("GOOGLE_") {
                command.env_remove(name);
            }
        }
        // No test asks a machine's own identity.
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", "/dev/null");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Runs the command to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Ended> {
        ended(&mut self.command(arguments)?)
    }

    /// Fails unless the command ends with this code.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Result<Ended> {
        let ended = self.run(arguments)?;
        if ended.code != Some(code) {
            return Err(format!("{arguments:?} ended with {ended:?} instead of {code}").into());
        }
        Ok(ended)
    }

    /// What the command prints as JSON. Fails unless it ends with 0.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        self.json_of(0, arguments)
    }

    /// What the command prints as JSON. Fails unless it ends with this code.
    pub fn json_of(&self, code: i32, arguments: &[&str]) -> Result<Value> {
        let ended = self.expect(code, &[arguments, &["--json"]].concat())?;
        Ok(serde_json::from_str(&ended.stdout)
            .map_err(|error| format!("{arguments:?}: {error}: {ended:?}"))?)
    }

    /// Everything that `restore --offline` writes, by path. The shard maps hold the time of the restore, and are left out.
    pub fn restored(&self, backup: &str, more: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let dir = tempfile::tempdir()?;
        let target = format!("{},couchdb@127.0.0.1", dir.path().join("data").display());
        self.expect(0, &[&["restore", "--offline", backup, &target], more].concat())?;
        let mut files = Vec::new();
        let mut folders: Vec<PathBuf> = vec![dir.path().join("data")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "couch") && !path.ends_with("_dbs.couch") {
                    let name = path.strip_prefix(dir.path())?.display().to_string();
                    files.push((name, std::fs::read(&path)?));
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Runs a program to its end.
pub fn ended(command: &mut Command) -> Result<Ended> {
    let output = command.output()?;
    Ok(Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

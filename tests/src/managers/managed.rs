//! A service under a manager, and couchcopy's plugin for it.

use std::path::Path;
use std::process::Command;

use super::{Daemon, Fake, Machine};
use crate::Result;
use crate::lab::{Ended, binary, run};

/// A service that is managed.
#[derive(Debug)]
pub struct Managed {
    /// Its process.
    pub daemon: Daemon,
    /// Where it all is.
    pub machine: Machine,
    /// The name of the plugin.
    pub plugin: &'static str,
    /// Its settings for this service.
    pub settings: Vec<(String, String)>,
    /// Those that are others for a service that the manager does not know.
    pub unknown: Vec<(String, String)>,
    /// What couchcopy wants in its environment to reach the manager.
    pub environment: Vec<(String, String)>,
    /// What takes the manager's place, where it is no real one.
    pub fake: Option<Fake>,
}

impl Managed {
    /// Runs `couchcopy plugin run` for the service.
    pub fn run<const N: usize>(&self, arguments: [&str; N]) -> Result<Ended> {
        self.run_with(&[], arguments)
    }

    /// The same for a service that the manager does not know.
    pub fn run_for_unknown<const N: usize>(&self, arguments: [&str; N]) -> Result<Ended> {
        let other: Vec<_> =
            self.unknown.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.run_with(&other, arguments)
    }

    /// The same with some settings changed or more of them.
    pub fn run_with<const N: usize>(&self, other: &[(&str, &str)], arguments: [&str; N]) -> Result<Ended> {
        let mut settings: Vec<_> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        settings.retain(|(name, _)| !other.iter().any(|(changed, _)| changed == name));
        settings.extend(other);
        let mut command = self.command(binary()?);
        run(command.args(["plugin", "run", &reference(self.plugin, &settings)]).args(arguments))
    }

    /// A program to be run where the manager is.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.machine.command(program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A plugin with its settings, as they are written on the command line.
pub fn reference(plugin: &str, settings: &[(&str, &str)]) -> String {
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace('\\', "\\\\").replace(',', "\\,")))
        .collect();
    if settings.is_empty() { plugin.to_owned() } else { format!("{plugin}:{}", settings.join(",")) }
}

/// One setting.
pub(super) fn setting(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

/// A path as text.
pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| format!("{} is not Unicode", path.display()).into())
}

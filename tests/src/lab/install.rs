//! What is installed on this machine.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// Names the folder of the installed CouchDB.
const COUCHDB_HOME: &str = "COUCHDB_HOME";
const DEFAULT_HOME: &str = "/opt/couchdb";
/// Names the folders of several installed CouchDBs, with `:` between them.
const COUCHDB_HOMES: &str = "COUCHDB_HOMES";
/// Where others are looked for: folders of this name with a `-` and more behind it.
const OTHER_HOMES: &str = "/opt/couchdb";
/// Names the Python couchcopy's command.
const COUCHCOPY_PY: &str = "COUCHCOPY_PY";
const DEFAULT_PY: &str = "/opt/couchcopy-py/bin/couchcopy";

/// An installed CouchDB.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Its folder.
    pub home: PathBuf,
}

impl Installation {
    /// The CouchDB in `COUCHDB_HOME`, or else in `/opt/couchdb`. Where there is none, says so on standard error.
    pub fn find() -> Option<Self> {
        let home = PathBuf::from(env::var_os(COUCHDB_HOME).unwrap_or_else(|| DEFAULT_HOME.into()));
        if home.join("bin/couchdb").is_file() {
            return Some(Self { home });
        }
        skipped(&format!("no CouchDB in {} ({COUCHDB_HOME} names another folder)", home.display()));
        None
    }

    /// Every CouchDB in `COUCHDB_HOMES`, or else the one that [`Self::find`] finds and those in `/opt/couchdb-*`; each version
    /// once, the oldest first.
    pub fn find_all() -> Result<Vec<Self>> {
        let mut homes: Vec<PathBuf> = if let Some(named) = env::var_os(COUCHDB_HOMES) {
            env::split_paths(&named).filter(|home| !home.as_os_str().is_empty()).collect()
        } else {
            let others = PathBuf::from(OTHER_HOMES);
            let (folder, name) = (others.parent(), others.file_name());
            let prefix = format!("{}-", name.unwrap_or_default().display());
            let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
            let entries = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
            let is_one = |home: &PathBuf| {
                home.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
            };
            Self::find().into_iter().map(|found| found.home).chain(entries.filter(is_one)).collect()
        };
        homes.retain(|home| home.join("bin/couchdb").is_file());
        let mut found: Vec<(Vec<u64>, Self)> = Vec::new();
        for home in homes {
            let installation = Self { home };
            let version = installation.numbers()?;
            if found.iter().all(|(other, _)| *other != version) {
                found.push((version, installation));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found.into_iter().map(|(_, installation)| installation).collect())
    }

    /// Its version, as the folder of its main application names it, e.g. `3.5.0`.
    pub fn version(&self) -> Result<String> {
        for entry in std::fs::read_dir(self.home.join("lib"))? {
            let name = entry?.file_name();
            if let Some(version) = name.to_string_lossy().strip_prefix("couch-") {
                return Ok(version.to_owned());
            }
        }
        Err(format!("{} does not say which version it is", self.home.display()).into())
    }

    fn numbers(&self) -> Result<Vec<u64>> {
        let numbers = self.version()?;
        Ok(numbers.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0)).collect())
    }

    /// Whether it is at least this version.
    pub fn is_at_least(&self, major: u64, minor: u64) -> Result<bool> {
        Ok(self.numbers()? >= vec![major, minor])
    }

    /// Sees to it that Erlang's port mapper runs where no test ends it: all nodes of this machine share the one that the
    /// first of them finds or starts.
    pub fn start_port_mapper(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.home)? {
            let mapper = entry?.path().join("bin/epmd");
            if mapper.is_file() {
                // It ends at once where one runs already.
                Command::new(mapper).arg("-daemon").stdin(Stdio::null()).status()?;
            }
        }
        Ok(())
    }
}

/// The Python couchcopy: `COUCHCOPY_PY`, or else the one in `/opt/couchcopy-py`. Where it or the `pigz` it needs is
/// missing, says so on standard error.
pub fn python_couchcopy() -> Option<PathBuf> {
    let command = PathBuf::from(env::var_os(COUCHCOPY_PY).unwrap_or_else(|| DEFAULT_PY.into()));
    if !command.is_file() {
        skipped(&format!("no couchcopy in {} ({COUCHCOPY_PY} names another)", command.display()));
        return None;
    }
    if on_path("pigz").is_none() {
        skipped("no pigz, which the Python couchcopy needs");
        return None;
    }
    Some(command)
}

/// A command that is killed when the thread that starts it ends, so that none outlives a test run that was killed.
pub(crate) fn dying_with_us(program: impl AsRef<OsStr>) -> Command {
    match on_path("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Finds a program.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| Path::is_file(file))
}

/// Tells it past the test runner's capture, which would hide it of a test that passes.
pub fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

//! What is kept on this machine of runs and verifications.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Verifications that are kept of a repository.
const KEPT: usize = 50;
/// The largest record that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// How a run ended: a backup, and what was done after it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Name of the cluster in the configuration file.
    pub cluster: String,
    /// Location of the repository.
    pub repository: String,
    /// When it began (RFC 3339, UTC).
    pub begun: String,
    /// When it ended (RFC 3339, UTC).
    pub ended: String,
    /// Duration in seconds.
    pub seconds: f64,
    /// The exit code of the worst step.
    pub exit_code: u8,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// Names of the nodes that were saved, if the backup was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Whether no backup was added, because nothing has changed since the newest one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unchanged: bool,
    /// Figures of the backup, if it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// Figures of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Its id in the repository.
    pub backup: String,
    /// Bytes of all files in it.
    pub content_bytes: u64,
    /// Bytes of content that were new.
    pub new_bytes: u64,
    /// Bytes that were stored.
    pub stored_bytes: u64,
    /// Shards that could not be saved.
    pub shards_not_saved: u64,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What was done: `backup`, `expire`, `prune`, `check` or `verify`.
    pub step: String,
    /// How it ended.
    pub outcome: StepOutcome,
    /// The exit code that the command of the same name would have had.
    pub exit_code: u8,
    /// Duration in seconds.
    pub seconds: f64,
    /// Its result, as `--json` prints it for the command of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// Everything was done.
    Done,
    /// It was done, and something is damaged or was left out.
    Problems,
    /// It was not done.
    Failed,
    /// It was not tried.
    Skipped,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// The code, as `docs/messages.md` lists it.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How a verification of a backup ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The backup: its id in a repository, or the hash of its manifest.
    pub backup: String,
    /// Names of the nodes that it holds.
    pub nodes: BTreeSet<String>,
    /// When it ended (RFC 3339, UTC).
    pub ended: String,
    /// The share of the files that was read, from 0 to 1.
    pub share: f64,
    /// Whether nothing is wrong.
    pub intact: bool,
}

/// The records on this machine.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// In this directory; without one, in `$XDG_STATE_HOME/couchcopy` or `~/.local/state/couchcopy`. `None` if there is no such
    /// place. Nothing is made.
    pub fn at(folder: Option<PathBuf>) -> Option<Self> {
        let absolute =
            |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let usual = || {
            let state =
                absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
            Some(state.join("couchcopy"))
        };
        folder.or_else(usual).map(|folder| Self { folder })
    }

    /// Records how a run ended; the results of its steps are left out, because they can be large.
    pub fn add_run(&self, run: &RunRecord) -> io::Result<()> {
        let mut run = run.clone();
        for step in &mut run.steps {
            step.result = None;
        }
        write(&self.path("runs", &run.cluster), &run, 0o600)
    }

    /// How the last run of a cluster ended.
    pub fn last_run(&self, cluster: &str) -> Option<RunRecord> {
        read(&self.path("runs", cluster))
    }

    /// Records how a verification ended. `of` is the id of the repository, or what identifies an archive.
    pub fn add_verification(&self, of: &str, verification: &Verification) -> io::Result<()> {
        let path = self.path("verifications", of);
        let mut all: Vec<Verification> = read(&path).unwrap_or_default();
        all.push(verification.clone());
        let surplus = all.len().saturating_sub(KEPT);
        write(&path, &all.split_off(surplus), 0o600)
    }

    /// The last verification of a backup of these nodes; of any nodes if none are given.
    pub fn last_verification(&self, of: &str, nodes: &[String]) -> Option<Verification> {
        let all: Vec<Verification> = read(&self.path("verifications", of))?;
        let nodes: BTreeSet<String> = nodes.iter().cloned().collect();
        all.into_iter().rev().find(|verification| nodes.is_empty() || verification.nodes == nodes)
    }

    fn path(&self, kind: &str, name: &str) -> PathBuf {
        self.folder.join(kind).join(format!("{}.json", file_name(name)))
    }
}

/// A name as the name of a file: other characters than letters, digits, `-` and `_` as `%` and two hexadecimal digits.
fn file_name(name: &str) -> String {
    let mut file = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            file.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(file, "%{byte:02x}");
        }
    }
    file
}

/// What a file holds; `None` if it is not there or holds something else. A record that is lost is made again by the next run.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    if fs::metadata(path).ok()?.len() > LARGEST {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write<T: Serialize>(path: &Path, value: &T, mode: u32) -> io::Result<()> {
    let text = serde_json::to_vec(value).map_err(io::Error::other)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    replace(path, &text, mode)
}

/// Puts a file in place of another one of this name: whoever reads it finds the old or the new content.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(partial);
    // One that a killed process has left.
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial).and_then(|mut file| {
            file.write_all(content)?;
            // Whatever the mask of this process is: somebody else reads it.
            rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode))?;
            file.sync_all()?;
            fs::rename(&partial, path)
        });
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verification(nodes: &[&str], ended: &str) -> Verification {
        let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        Verification { backup: "b".into(), nodes, ended: ended.into(), share: 1.0, intact: true }
    }

    #[test]
    fn the_last_verification_is_that_of_the_same_nodes() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::at(Some(folder.path().join("a/b"))).unwrap();
        assert_eq!(records.last_verification("id", &[]), None);
        for (nodes, ended) in [(&["a"][..], "1"), (&["b"], "2"), (&["a"], "3")] {
            records.add_verification("id", &verification(nodes, ended)).unwrap();
        }
        let ended = |nodes: &[&str]| {
            let nodes: Vec<String> = nodes.iter().map(|&node| node.to_owned()).collect();
            records.last_verification("id", &nodes).map(|found| found.ended)
        };
        assert_eq!(
            (ended(&["b"]), ended(&["a"]), ended(&[])),
            (Some("2".into()), Some("3".into()), Some("3".into()))
        );
        assert_eq!(ended(&["c"]), None);
        for i in 0..2 * KEPT {
            records.add_verification("id", &verification(&["x"], &i.to_string())).unwrap();
        }
        let all: Vec<Verification> = read(&records.path("verifications", "id")).unwrap();
        assert_eq!((all.len(), all[KEPT - 1].ended.as_str()), (KEPT, "99"));
    }

    #[test]
    fn a_run_is_recorded_without_results() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::at(Some(folder.path().to_owned())).unwrap();
        let step = Step {
            step: "backup".into(),
            outcome: StepOutcome::Done,
            exit_code: 0,
            seconds: 1.5,
            result: Some(Value::Bool(true)),
            error: None,
            reason: None,
        };
        let run = RunRecord { cluster: "../pröd".into(), steps: vec![step], ..RunRecord::default() };
        records.add_run(&run).unwrap();
        let found = records.last_run("../pröd").unwrap();
        assert_eq!((found.steps[0].result.clone(), found.steps[0].outcome), (None, StepOutcome::Done));
        let names: Vec<_> =
            fs::read_dir(folder.path().join("runs")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["%2e%2e%2fpr%c3%b6d.json"]);
        // Whatever else stands there counts as nothing.
        fs::write(records.path("runs", "x"), "{").unwrap();
        assert_eq!(records.last_run("x"), None);
    }
}

//! Running the command with a store, and folders to run it on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use couchcopy_tests::Result;
use couchcopy_tests::lab::Ended;
use couchcopy_tests::object_servers::{S3, SeaweedFs};
use scale_data::plan::{Attachments, Plan};
use serde_json::Value;

/// Tests share one store, each with a bucket of its own.
pub(crate) static STORE: LazyLock<Option<SeaweedFs>> = LazyLock::new(SeaweedFs::start);

/// A bucket of the shared store; `None` if no store is installed, which is reported.
pub(crate) fn bucket(name: &str) -> Result<Option<S3>> {
    let Some(store) = &*STORE else { return Ok(None) };
    store.create_bucket(name)?;
    Ok(Some(store.s3()))
}

/// The command with an environment of its own: nothing of the user's reaches the store.
pub(crate) struct Couchcopy {
    environment: Vec<(String, String)>,
}

impl Couchcopy {
    pub(crate) fn with(environment: Vec<(String, String)>) -> Self {
        Self { environment }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(couchcopy_tests::lab::binary()?);
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

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Ended> {
        let output = self.command(arguments)?.output()?;
        Ok(Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Fails unless the command ends with this code.
    pub(crate) fn expect(&self, code: i32, arguments: &[&str]) -> Result<Ended> {
        let ended = self.run(arguments)?;
        if ended.code != Some(code) {
            return Err(format!("{arguments:?} ended with {ended:?} instead of {code}").into());
        }
        Ok(ended)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let ended = self.expect(0, &[arguments, &["--json"]].concat())?;
        Ok(serde_json::from_str(&ended.stdout)
            .map_err(|error| format!("{arguments:?}: {error}: {ended:?}"))?)
    }
}

fn plan(databases: u64, docs: u64, doc_size: u64, q: u32) -> Plan {
    Plan {
        databases,
        empty: 0,
        docs,
        doc_size,
        revisions: 1,
        q,
        copies: 1,
        nodes: vec!["couchdb@127.0.9.90".into()],
        seed: 7,
        attachments: Attachments { per_document: 0, size: 0 },
    }
}

/// Where the data directory of a node with two databases is; each shard takes several parts of an upload.
pub(crate) fn data(folder: &Path) -> Result<PathBuf> {
    let plan = plan(2, 2600, 8192, 1);
    Ok(scale_data::build::build(&plan, &folder.join("data"))?.folders.remove(0).path)
}

/// The same with three small databases.
pub(crate) fn small_data(folder: &Path) -> Result<PathBuf> {
    let plan = plan(3, 10, 500, 2);
    Ok(scale_data::build::build(&plan, &folder.join("data"))?.folders.remove(0).path)
}

/// `localhost,DIR`.
pub(crate) fn node(folder: &Path) -> String {
    format!("localhost,{}", folder.display())
}

/// Everything that a restore of the archive writes, by path: to compare what came from a store with what came from a file.
pub(crate) fn restored(
    couchcopy: &Couchcopy,
    archive: &str,
    more: &[&str],
) -> Result<Vec<(String, Vec<u8>)>> {
    let dir = tempfile::tempdir()?;
    let target = format!("{},couchdb@127.0.0.1", dir.path().join("data").display());
    couchcopy.expect(0, &[&["restore", "--offline", archive, &target], more].concat())?;
    let mut files = Vec::new();
    let mut folders = vec![dir.path().join("data")];
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

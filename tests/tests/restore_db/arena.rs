//! A cluster, and the command for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{
    Cluster, Ended, Http, Installation, PASSWORD, Size, back_up, binary, read_databases_over_http, run,
    wait_for, wait_until_synchronised,
};
use couchcopy_tests::{Result, memory};
use serde_json::{Map, Value};

/// Most memory that the command may ever have resident, in KiB.
const MEMORY: u64 = 256 << 10;

/// A running cluster.
pub(super) struct Arena {
    pub(super) cluster: Cluster,
}

impl Arena {
    /// So many nodes; where no CouchDB is installed, says so.
    pub(super) fn new(nodes: u8, q: u32, n: u32) -> Result<Option<Self>> {
        let Some(couchdb) = Installation::find() else { return Ok(None) };
        Ok(Some(Self { cluster: Cluster::fresh(&couchdb, Size { nodes, q, n })? }))
    }

    pub(super) fn http(&self) -> &Http {
        self.cluster.http()
    }

    /// A path that goes away with the cluster.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.cluster.dir().join(name)
    }

    /// Saves the cluster.
    pub(super) fn back_up(&self) -> Result<PathBuf> {
        let archive = self.path("backup.tar.gz");
        back_up(&self.cluster.folders(), &archive)?;
        Ok(archive)
    }

    /// The first node as the command line names it.
    pub(super) fn node(&self) -> String {
        self.cluster.nodes[0].url().trim_start_matches("http://").to_owned()
    }

    /// `couchcopy restore` with these arguments, the archive and the first node.
    pub(super) fn command(&self, archive: &Path, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.arg("restore").args(arguments).arg(archive).arg(self.node());
        command.env("COUCHCOPY_PASSWORD", PASSWORD).env_remove("COUCHCOPY_TEST_KILL_AFTER_STEP");
        Ok(command)
    }

    /// Runs it.
    pub(super) fn restore(&self, archive: &Path, arguments: &[&str]) -> Result<Ended> {
        Ok(run(&mut self.command(archive, arguments)?)?.unwrapped())
    }

    /// Runs it; it has to end with this code. Gives what it printed as JSON.
    pub(super) fn json(&self, code: i32, archive: &Path, arguments: &[&str]) -> Result<Value> {
        let ended = self.restore(archive, &[&["--json"], arguments].concat())?;
        if ended.code != Some(code) {
            return Err(format!("{arguments:?} ended with {ended:#?} instead of {code}").into());
        }
        Ok(serde_json::from_str(&ended.stdout).map_err(|e| format!("{arguments:?}: {e}: {ended:#?}"))?)
    }

    /// What databases hold, as HTTP tells it.
    pub(super) fn read(&self, names: &[&str]) -> Result<Value> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        read_databases_over_http(self.http(), &names)
    }

    /// Fails unless every node tells just that content of these databases, and nothing of a restore is left in them.
    pub(super) fn check(&self, expected: &Value) -> Result<()> {
        let databases = expected.as_object().ok_or("no databases")?;
        assert!(!databases.is_empty());
        wait_until_synchronised(&self.cluster.nodes)?;
        let names: Vec<String> = databases.keys().cloned().collect();
        for node in &self.cluster.nodes {
            let found = read_databases_over_http(&node.http, &names)?;
            let wrong = compare(expected, &found);
            assert!(wrong.is_empty(), "{}: {}", node.name, wrong.join("\n"));
        }
        Ok(())
    }
}

/// Databases of an oracle under new names.
pub(super) fn renamed<'n>(
    oracle: &Value,
    names: impl IntoIterator<Item = (&'n str, &'n str)>,
) -> Result<Value> {
    let mut found = Map::new();
    for (from, to) in names {
        let content = oracle.get(from).ok_or_else(|| format!("no {from}"))?;
        found.insert(to.to_owned(), content.clone());
    }
    Ok(found.into())
}

/// Runs a command; it has to succeed, and never to have more memory resident than it may.
pub(super) fn within_memory(command: &mut Command) -> Result<()> {
    let log = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.reopen()?);
    let mut child = command.spawn()?;
    let mut peak = 0;
    let status = wait_for("its end", || {
        peak = peak.max(memory::peak(child.id()).unwrap_or(0));
        Ok(child.try_wait()?)
    })?;
    assert!(status.success(), "{status}: {}", std::fs::read_to_string(log.path())?);
    println!("at most {} MiB", peak >> 10);
    assert!((1..MEMORY).contains(&peak), "{peak} KiB");
    Ok(())
}

//! Running the command, and folders to run it on.

use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use couchcopy_tests::Result;
use couchcopy_tests::fixtures::Node;
use couchcopy_tests::lab::{Ended, couchcopy};
use flate2::read::MultiGzDecoder;
use scale_data::plan::{Attachments, Plan};
use serde_json::Value;
use tempfile::TempDir;

/// Runs the command.
pub(crate) fn run(arguments: &[&str]) -> Result<Ended> {
    couchcopy(arguments)
}

/// Fails unless the command ended with this code; gives what it printed.
pub(crate) fn expect(code: i32, arguments: &[&str]) -> Result<Ended> {
    let ended = couchcopy(arguments)?;
    if ended.code != Some(code) {
        return Err(format!("{arguments:?} ended with {ended:?} instead of {code}").into());
    }
    Ok(ended)
}

/// Runs the command with `--json`, expects a code and reads what it printed.
pub(crate) fn json(code: i32, arguments: &[&str]) -> Result<Value> {
    let ended = expect(code, &[arguments, &["--json"]].concat())?;
    Ok(serde_json::from_str(&ended.stdout).map_err(|e| format!("{arguments:?}: {e}: {ended:?}"))?)
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// `localhost,DIR`.
pub(crate) fn source(folder: &Path) -> String {
    format!("localhost,{}", folder.display())
}

/// Saves folders; fails unless the command ended with this code. Gives what it printed as JSON.
pub(crate) fn backup(code: i32, folders: &[&Path], archive: &Path) -> Result<Value> {
    let sources: Vec<String> = folders.iter().map(|folder| source(folder)).collect();
    let mut arguments = vec!["backup"];
    arguments.extend(sources.iter().map(String::as_str));
    arguments.push(text(archive));
    json(code, &arguments)
}

/// Restores to nodes; fails unless the command ended with this code. Gives what it printed as JSON.
pub(crate) fn restore(code: i32, archive: &Path, nodes: &[Node], more: &[&str]) -> Result<Value> {
    let targets: Vec<String> =
        nodes.iter().map(|node| format!("{},{}", node.data.display(), node.name)).collect();
    let mut arguments = vec!["restore", "--offline", text(archive)];
    arguments.extend(targets.iter().map(String::as_str));
    arguments.extend(more);
    json(code, &arguments)
}

/// New nodes whose folders do not exist yet.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) nodes: Vec<Node>,
    dir: TempDir,
}

impl Targets {
    pub(crate) fn new(count: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let node = |i| Node {
            name: format!("couchdb{}@127.0.9.{}", 60 + i, 60 + i),
            data: dir.path().join(format!("node-{i}/data")),
        };
        Ok(Self { nodes: (0..count).map(node).collect(), dir })
    }

    pub(crate) fn folders(&self) -> Vec<&Path> {
        self.nodes.iter().map(|node| node.data.as_path()).collect()
    }

    /// A path beside the nodes' folders.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Unpacks an archive as tar would; the files go away with the value returned.
pub(crate) fn unpack(archive: &Path) -> Result<TempDir> {
    let dir = tempfile::tempdir()?;
    let file = BufReader::new(File::open(archive)?);
    tar::Archive::new(MultiGzDecoder::new(file)).unpack(dir.path())?;
    Ok(dir)
}

/// Names in a folder, in order.
pub(crate) fn names(folder: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.sort();
    Ok(names)
}

/// A plan of small databases on so many nodes, each of which holds everything.
pub(crate) fn plan(databases: u64, docs: u64, nodes: usize) -> Plan {
    Plan {
        databases,
        empty: 0,
        docs,
        doc_size: 200,
        revisions: 1,
        q: 2,
        copies: nodes,
        nodes: (1..=nodes).map(|i| format!("couchdb@127.0.8.{i}")).collect(),
        seed: 7,
        attachments: Attachments::default(),
    }
}

//! The files of `tests/data`: data folders that CouchDB 3.5.0 wrote, and what its HTTP interface said of them.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::Result;

/// Path of a file of `tests/data`.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// Unpacks `NAME.tar.gz` of `tests/data` into a folder that goes away with the value returned.
pub fn unpack(name: &str) -> Result<TempDir> {
    let dir = tempfile::tempdir()?;
    let file = path(&format!("{name}.tar.gz"));
    let open = File::open(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    tar::Archive::new(GzDecoder::new(BufReader::new(open))).unpack(dir.path())?;
    Ok(dir)
}

/// What HTTP said of a fixture: `NAME.json.gz` of `tests/data`.
pub fn oracle(name: &str) -> Result<Value> {
    let file = path(&format!("{name}.json.gz"));
    let mut text = String::new();
    let open = File::open(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    GzDecoder::new(BufReader::new(open)).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

/// A node of an unpacked cluster.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name, e.g. `couchdb51@127.0.0.51`.
    pub name: String,
    /// Its data folder.
    pub data: PathBuf,
}

/// Commands that take data directories take nodes, too.
impl AsRef<Path> for Node {
    fn as_ref(&self) -> &Path {
        &self.data
    }
}

/// An unpacked cluster; the files go away with it.
#[derive(Debug)]
pub struct Cluster {
    /// Its nodes, in the order of their names.
    pub nodes: Vec<Node>,
    dir: TempDir,
}

impl Cluster {
    /// The folder that everything was unpacked to.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The nodes' data folders.
    pub fn folders(&self) -> Vec<&Path> {
        self.nodes.iter().map(|node| node.data.as_path()).collect()
    }
}

/// One node that holds one of every kind of thing; its oracle is `single-node`.
pub fn single_node() -> Result<Cluster> {
    let dir = unpack("single-node")?;
    let node = Node { name: "couchdb41@127.0.0.41".into(), data: dir.path().join("data") };
    Ok(Cluster { nodes: vec![node], dir })
}

/// Much the same content on four nodes, two copies of each shard: no node holds everything. Its oracle is
/// `four-nodes-n2`.
pub fn four_nodes() -> Result<Cluster> {
    let dir = unpack("four-nodes-n2")?;
    let mut nodes = Vec::new();
    for entry in fs::read_dir(dir.path())? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| "a node's name that is no text")?;
        nodes.push(Node { name, data: entry.path().join("data") });
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Cluster { nodes, dir })
}

/// Single files with a past: see the README beside the fixtures.
#[derive(Debug)]
pub struct CouchFiles {
    dir: TempDir,
}

impl CouchFiles {
    /// A data folder before (`pre`) or after (`post`) the compaction of its databases.
    pub fn data(&self, moment: &str) -> PathBuf {
        self.dir.path().join("couch-files").join(moment).join("data")
    }

    /// What HTTP said at that moment.
    pub fn expected(&self, moment: &str) -> Result<Value> {
        let file = self.dir.path().join("couch-files").join(moment).join("expected.json");
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }

    /// A file of the folder `special`.
    pub fn special(&self, name: &str) -> PathBuf {
        self.dir.path().join("couch-files/special").join(name)
    }
}

/// Unpacks the single files.
pub fn couch_files() -> Result<CouchFiles> {
    Ok(CouchFiles { dir: unpack("couch-files")? })
}

/// Paths of all regular files below `folder`, relative to it, in order.
pub fn files_below(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
            } else {
                let path = entry.path();
                let relative = path.strip_prefix(folder)?.to_str().ok_or("a path that is no text")?;
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The same, of the files with this ending (without its dot) only.
pub fn files_ending(folder: &Path, ending: &str) -> Result<Vec<String>> {
    let mut found = files_below(folder)?;
    found.retain(|path| Path::new(path).extension().is_some_and(|found| found == ending));
    Ok(found)
}

//! The data folder of a node.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::FileBytes;

use super::FolderArgument;
use crate::error::{OperationError, Result};

/// A node's data folder, its shard maps open.
#[derive(Debug)]
pub struct NodeFolder {
    /// The folder.
    pub path: PathBuf,
    /// The node's name as the user gave it, or as the newest epoch of `_dbs.couch` tells it.
    pub name: Option<String>,
    /// Its shard maps as they were when the backup began. The file may grow or be replaced, this stays.
    pub(super) maps: std::result::Result<Database<FileBytes>, CouchFileError>,
    /// When `_dbs.couch` was last changed, in seconds since 1970.
    pub(super) maps_mtime: u64,
}

/// Opens all folders.
///
/// Fails where a path is no data folder, or where two are the same node.
pub(super) fn open_all(arguments: &[FolderArgument]) -> Result<Vec<NodeFolder>> {
    let folders: Vec<NodeFolder> = arguments.iter().map(open).collect::<Result<_>>()?;
    let mut seen: HashMap<&str, &Path> = HashMap::new();
    for folder in &folders {
        if let Some(name) = &folder.name
            && let Some(other) = seen.insert(name, &folder.path)
        {
            return Err(OperationError::refused(
                format!("{} and {} both belong to node {name}", other.display(), folder.path.display()),
                "Give every node's data folder once. If one is a copy under another name, give the name after it: \
                 localhost,DIR,NODENAME.",
            ));
        }
    }
    Ok(folders)
}

fn open(argument: &FolderArgument) -> Result<NodeFolder> {
    let path = &argument.path;
    let maps_path = path.join(SHARD_MAPS);
    let file = match File::open(&maps_path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && path.is_dir() => {
            return Err(OperationError::refused(
                format!(
                    "{} is not the data folder of a CouchDB node: it has no {SHARD_MAPS}",
                    path.display()
                ),
                "Give the folder that `[couchdb] database_dir` names in the node's configuration.",
            ));
        }
        Err(e) => return Err(OperationError::io("open", maps_path, e)),
    };
    let failed = |e| OperationError::io("read", &maps_path, e);
    let mtime = file.metadata().and_then(|m| m.modified()).map_err(failed)?;
    let maps = Database::open(FileBytes::new(file).map_err(failed)?);
    let name = argument.node.clone().or_else(|| {
        maps.as_ref().ok().and_then(|maps| maps.header().epochs.first().map(|epoch| epoch.node.clone()))
    });
    Ok(NodeFolder { path: path.clone(), name, maps, maps_mtime: super::file::unix_seconds(mtime) })
}

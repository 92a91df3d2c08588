//! The data directory of a node.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use contents::unusable;
use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::header::DbHeader;
use couchfile::read_at::{FileBytes, ReadAt};
use node::{FileKind, NodeFiles};
use outcome::{Code, Failure, Result};
use store::Limiter;

use crate::FolderArgument;
use crate::asked::Asked;
use crate::couchdb1;
use crate::mirror::Mirror;
use crate::origin::Origin;
use crate::patience::Patience;

/// Why there are no shard maps if there is no file.
pub(super) const MISSING_MAPS: &str = "the file is missing";

/// A node's data directory with open shard maps.
pub struct NodeFolder {
    /// The directory.
    pub path: PathBuf,
    /// The directory of which it shows what is there, if it is only a view.
    pub(super) shows: Option<PathBuf>,
    /// The node's name: from the user, from its CouchDB, or from the newest epoch of `_dbs.couch`.
    pub name: Option<String>,
    /// Where its files come from.
    pub(super) origin: Origin,
    /// Its shard maps as they were when the backup began, or why there are none. The file may grow or be replaced, this stays.
    pub(super) maps: std::result::Result<Database<MapsBytes>, String>,
    /// When `_dbs.couch` was last changed, in seconds since 1970.
    pub(super) maps_mtime: u64,
    /// With files that may be about to appear.
    pub(super) patience: Patience,
    /// How fast files of this machine that are saved may be read, if that is limited.
    pub(super) limiter: Option<Arc<Limiter>>,
    /// The bytes of the shard maps, if they were rebuilt.
    pub(super) rebuilt: Option<MapsBytes>,
    /// What the shard maps were before they were rebuilt.
    pub(super) lost: Option<std::result::Result<Database<MapsBytes>, String>>,
}

/// The bytes of an opened `_dbs.couch`: an open file of this machine, or fetched bytes.
#[derive(Clone)]
pub(super) struct MapsBytes(Arc<dyn ReadAt>);

impl MapsBytes {
    pub(super) fn new(bytes: impl ReadAt + 'static) -> Self {
        Self(Arc::new(bytes))
    }
}

impl ReadAt for MapsBytes {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn hole_end(&self, offset: u64) -> u64 {
        self.0.hole_end(offset)
    }
}

impl NodeFolder {
    /// The directory for messages, with the name of its machine if it is another one.
    pub(super) fn display_name(&self) -> String {
        self.file_display_name("")
    }

    /// The node's name for messages, or else its location.
    pub(super) fn node_display_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.display_name())
    }

    /// The same for a file by its path below the directory.
    pub(super) fn file_display_name(&self, path: &str) -> String {
        self.origin.display_name(&self.path.join(path))
    }

    /// Why the node's own shard maps cannot be read; `None` if they can.
    pub(super) fn maps_problem(&self) -> Option<&str> {
        self.lost.as_ref().unwrap_or(&self.maps).as_ref().err().map(String::as_str)
    }

    /// Opens the current `_dbs.couch` and returns when it was last changed. `None` if it does not exist.
    pub(super) fn open_maps(&self) -> Result<Option<(MapsBytes, u64)>> {
        if let Some(rebuilt) = &self.rebuilt {
            return Ok(Some((rebuilt.clone(), self.maps_mtime)));
        }
        self.origin.open_maps(&self.path)
    }
}

/// Opens all data directories.
///
/// A directory whose shard maps are missing or damaged is opened too: another node may have them. Fails if a path is not a data
/// directory, or if two belong to the same node. The content of their files is read no faster than the limiter allows.
pub(super) fn open_all(
    arguments: &[FolderArgument],
    asked: &Asked<'_>,
    mirror: Option<&Mirror>,
    limiter: Option<&Arc<Limiter>>,
) -> Result<Vec<NodeFolder>> {
    let folders: Vec<NodeFolder> = arguments
        .iter()
        .map(|argument| open(argument, asked.name_of(argument), mirror, limiter))
        .collect::<Result<_>>()?;
    let mut seen: HashMap<&str, String> = HashMap::new();
    for folder in &folders {
        if let Some(name) = &folder.name
            && let Some(other) = seen.insert(name, folder.display_name())
        {
            return Err(Failure::refused(
                Code::new("CC-B02"),
                format!("{other} and {} both belong to node {name}", folder.display_name()),
                "Give the data directory of every node once. If one is a copy under another name, give the name after it: \
                 HOST,DIR,NODENAME.",
            ));
        }
    }
    Ok(folders)
}

fn open(
    argument: &FolderArgument,
    reported: Option<&str>,
    mirror: Option<&Mirror>,
    limiter: Option<&Arc<Limiter>>,
) -> Result<NodeFolder> {
    let FolderArgument { path, node, files, .. } = argument;
    let origin = Origin::of(files.as_ref(), path, mirror, limiter)?;
    let far = origin.far().map(|files| &**files);
    let opened = origin.open_maps(path)?;
    if opened.is_none() && !has_shards(far, path)? {
        if let Some(files) = far {
            couchdb1::refuse_far(files, path)?;
        }
        return Err(Failure::refused(
            Code::new("CC-B03"),
            format!(
                "{} is not the data directory of a CouchDB node: it has no {SHARD_MAPS}",
                origin.display_name(path)
            ),
            "Give the directory that `[couchdb] database_dir` names in the node's configuration.",
        ));
    }
    let (maps, maps_mtime) = match opened {
        Some((bytes, mtime)) => match Database::open(bytes) {
            Err(e @ CouchFileError::Newer { .. }) => {
                return Err(unusable(origin.display_name(&path.join(SHARD_MAPS)), e));
            }
            opened => (opened.map_err(|e| e.to_string()), mtime),
        },
        None => (Err(MISSING_MAPS.to_owned()), 0),
    };
    let name = node.clone().or_else(|| reported.map(str::to_owned));
    let name = name.or_else(|| newest_node(maps.as_ref().ok()?.header()));
    // A node whose shard maps are lost has its name in the shards that it opened last.
    let name = name.or_else(|| if origin.is_local() { node_of_shards(path) } else { None });
    let patience = Patience::default();
    let (path, shows) = (path.clone(), argument.shows.clone());
    Ok(NodeFolder {
        path,
        shows,
        name,
        origin,
        maps,
        maps_mtime,
        patience,
        limiter: limiter.cloned(),
        rebuilt: None,
        lost: None,
    })
}

pub(super) fn newest_node(header: &DbHeader) -> Option<String> {
    header.epochs.first().map(|epoch| epoch.node.clone())
}

/// Whether a directory holds shards and so is a data directory, whatever else is missing.
fn has_shards(remote: Option<&dyn NodeFiles>, folder: &Path) -> Result<bool> {
    match remote {
        None => Ok(folder.join("shards").is_dir()),
        Some(files) => {
            let entries = files.list(folder)?.unwrap_or_default();
            Ok(entries.iter().any(|entry| entry.name == "shards" && entry.kind != FileKind::File))
        }
    }
}

/// The node that last opened the shards of a directory of this machine, according to the shard that was changed last.
fn node_of_shards(folder: &Path) -> Option<String> {
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    let mut folders = vec![folder.join("shards")];
    while let Some(below) = folders.pop() {
        for entry in std::fs::read_dir(below).ok()?.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|ending| ending == "couch")
                && newest.as_ref().is_none_or(|(newest, _)| changed > *newest)
            {
                newest = Some((changed, entry.path()));
            }
        }
    }
    let database = Database::open(FileBytes::new(File::open(newest?.1).ok()?).ok()?).ok()?;
    newest_node(database.header())
}

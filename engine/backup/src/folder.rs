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

use crate::asked::Asked;
use crate::mirror::{Mirror, NodeMirror};
use crate::{FolderArgument, remote};

/// A node's data directory with open shard maps.
pub struct NodeFolder {
    /// The directory.
    pub path: PathBuf,
    /// The node's name: from the user, from its CouchDB, or from the newest epoch of `_dbs.couch`.
    pub name: Option<String>,
    /// Access to its files; `None`: they are opened by their paths.
    pub(super) remote: Option<Arc<dyn NodeFiles>>,
    /// The mirror of files of another machine, if there is one.
    pub(super) mirror: Option<NodeMirror>,
    /// Its shard maps when the backup began, or why there are none. They stay the same if the file grows or is replaced.
    pub(super) maps: std::result::Result<Database<MapsBytes>, String>,
    /// When `_dbs.couch` was last changed, in seconds since 1970.
    pub(super) maps_mtime: u64,
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

    /// A file of the directory for messages, by its path below the directory.
    pub(super) fn file_display_name(&self, path: &str) -> String {
        display_path(self.remote.as_deref(), &self.path.join(path))
    }

    /// Whether its files come through streams.
    pub(super) fn is_streamed(&self) -> bool {
        self.remote.is_some() && self.mirror.is_none()
    }

    /// Where a file can be opened on this machine, by its path below the directory; `None` if it cannot.
    pub(super) fn near(&self, path: &str) -> Option<PathBuf> {
        match (&self.remote, &self.mirror) {
            (None, _) => Some(self.path.join(path)),
            (Some(_), Some(mirror)) => Some(mirror.folder.join(path)),
            (Some(_), None) => None,
        }
    }

    /// Opens the current `_dbs.couch` and returns when it was last changed. `None` if it does not exist.
    pub(super) fn open_maps(&self) -> Result<Option<(MapsBytes, u64)>> {
        open_maps(self.remote.as_deref(), self.mirror.as_ref(), &self.path)
    }
}

fn display_path(remote: Option<&dyn NodeFiles>, path: &Path) -> String {
    let path = path.display().to_string();
    let path = path.trim_end_matches('/');
    match remote {
        None => path.to_owned(),
        Some(files) => format!("{}:{path}", files.node()),
    }
}

/// Opens all data directories.
///
/// A directory whose shard maps are missing or damaged is opened too: another node may have them. Fails if a path is not a data
/// directory, or if two belong to the same node.
pub(super) fn open_all(
    arguments: &[FolderArgument],
    asked: &Asked<'_>,
    mirror: Option<&Mirror>,
) -> Result<Vec<NodeFolder>> {
    let folders: Vec<NodeFolder> = arguments
        .iter()
        .map(|argument| open(argument, asked.name_of(argument), mirror))
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

fn open_maps(
    remote: Option<&dyn NodeFiles>,
    mirror: Option<&NodeMirror>,
    folder: &Path,
) -> Result<Option<(MapsBytes, u64)>> {
    match (remote, mirror) {
        (None, _) => {}
        (Some(files), None) => return remote::fetch_maps(files, folder),
        (Some(files), Some(mirror)) => {
            let opened = mirror.open_maps()?;
            if opened.is_none() {
                remote::refuse_unreadable(files, folder)?;
            }
            return Ok(opened.map(|(bytes, mtime)| (MapsBytes::new(bytes), mtime)));
        }
    }
    let path = folder.join(SHARD_MAPS);
    let failed = |e| Failure::io("read", &path, e);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && folder.is_dir() => return Ok(None),
        Err(e) => return Err(Failure::io("open", path, e)),
    };
    let mtime = file.metadata().and_then(|m| m.modified()).map_err(failed)?;
    let bytes = MapsBytes::new(FileBytes::new(file).map_err(failed)?);
    Ok(Some((bytes, super::file::unix_seconds(mtime))))
}

fn open(argument: &FolderArgument, reported: Option<&str>, mirror: Option<&Mirror>) -> Result<NodeFolder> {
    let FolderArgument { path, node, files, .. } = argument;
    let remote = files.clone().filter(|files| files.streams().is_some());
    let mirror = match (&remote, mirror) {
        (Some(files), Some(mirror)) => Some(mirror.of_node(files, path)?),
        _ => None,
    };
    let opened = open_maps(remote.as_deref(), mirror.as_ref(), path)?;
    if opened.is_none() && !has_shards(remote.as_deref(), path)? {
        return Err(Failure::refused(
            Code::new("CC-B03"),
            format!(
                "{} is not the data directory of a CouchDB node: it has no {SHARD_MAPS}",
                display_path(remote.as_deref(), path)
            ),
            "Give the directory that `[couchdb] database_dir` names in the node's configuration.",
        ));
    }
    let (maps, maps_mtime) = match opened {
        Some((bytes, mtime)) => match Database::open(bytes) {
            Err(e @ CouchFileError::Newer { .. }) => {
                return Err(unusable(display_path(remote.as_deref(), &path.join(SHARD_MAPS)), e));
            }
            opened => (opened.map_err(|e| e.to_string()), mtime),
        },
        None => (Err("the file is missing".to_owned()), 0),
    };
    let name = node.clone().or_else(|| reported.map(str::to_owned));
    let name = name.or_else(|| newest_node(maps.as_ref().ok()?.header()));
    // A node whose shard maps are lost has its name in the shards that it opened last.
    let name = name.or_else(|| if remote.is_none() { node_of_shards(path) } else { None });
    Ok(NodeFolder { path: path.clone(), name, remote, mirror, maps, maps_mtime })
}

fn newest_node(header: &DbHeader) -> Option<String> {
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

//! Where a node's files come from.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use couchfile::data_dir::SHARD_MAPS;
use couchfile::read_at::FileBytes;
use node::NodeFiles;
use outcome::{Failure, Result};
use store::Limiter;

use crate::folder::MapsBytes;
use crate::limited::LimitedFiles;
use crate::mirror::{Mirror, NodeMirror};
use crate::{file, remote};

/// Where a node's files come from. Everything else asks what it needs to know, not which one this is.
pub(crate) enum Origin {
    /// They are opened by their paths.
    Local,
    /// They come through streams of the node.
    Streamed(Arc<dyn NodeFiles>),
    /// They are brought up to date on this machine first, and opened there.
    Mirrored(Arc<dyn NodeFiles>, NodeMirror),
}

impl Origin {
    /// That of the data directory `path`, reached by `files` if it is not on this machine. What is on another machine is read no
    /// faster than the limiter allows.
    pub(crate) fn of(
        files: Option<&Arc<dyn NodeFiles>>,
        path: &Path,
        mirror: Option<&Mirror>,
        limiter: Option<&Arc<Limiter>>,
    ) -> Result<Self> {
        let Some(files) = files.filter(|files| files.streams().is_some()) else { return Ok(Self::Local) };
        let files = match limiter {
            Some(limiter) => Arc::new(LimitedFiles::new(Arc::clone(files), Arc::clone(limiter))),
            None => Arc::clone(files),
        };
        Ok(match mirror {
            Some(mirror) => {
                let mirror = mirror.of_node(&files, path)?;
                Self::Mirrored(files, mirror)
            }
            None => Self::Streamed(files),
        })
    }

    /// How files of another machine are reached; `None` on this machine.
    pub(crate) fn far(&self) -> Option<&Arc<dyn NodeFiles>> {
        match self {
            Self::Local => None,
            Self::Streamed(files) | Self::Mirrored(files, _) => Some(files),
        }
    }

    /// The mirror of the files, if there is one.
    pub(crate) fn mirror(&self) -> Option<&NodeMirror> {
        match self {
            Self::Mirrored(_, mirror) => Some(mirror),
            Self::Local | Self::Streamed(_) => None,
        }
    }

    /// Whether the files are on this machine.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }

    /// Whether the files come through streams.
    pub(crate) fn is_streamed(&self) -> bool {
        matches!(self, Self::Streamed(_))
    }

    /// Where a file can be opened on this machine, by its path below the data directory `folder`; `None` if it cannot.
    pub(crate) fn near(&self, folder: &Path, path: &str) -> Option<PathBuf> {
        match self {
            Self::Local => Some(folder.join(path)),
            Self::Mirrored(_, mirror) => Some(mirror.folder.join(path)),
            Self::Streamed(_) => None,
        }
    }

    /// A path for messages: with its machine, if that is another one.
    pub(crate) fn display_name(&self, path: &Path) -> String {
        let path = path.display().to_string();
        let path = path.trim_end_matches('/');
        match self.far() {
            None => path.to_owned(),
            Some(files) => format!("{}:{path}", files.node()),
        }
    }

    /// Opens `_dbs.couch` of the data directory `folder` as it is now; returns when it was last changed, too. `None` if it is
    /// not there.
    pub(crate) fn open_maps(&self, folder: &Path) -> Result<Option<(MapsBytes, u64)>> {
        match self {
            Self::Local => open_local_maps(folder),
            Self::Streamed(files) => remote::fetch_maps(&**files, folder),
            Self::Mirrored(files, mirror) => {
                let opened = mirror.open_maps()?;
                if opened.is_none() {
                    remote::confirm_missing(&**files, folder)?;
                }
                Ok(opened.map(|(bytes, mtime)| (MapsBytes::new(bytes), mtime)))
            }
        }
    }
}

fn open_local_maps(folder: &Path) -> Result<Option<(MapsBytes, u64)>> {
    let path = folder.join(SHARD_MAPS);
    let failed = |e| Failure::io("read", &path, e);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && folder.is_dir() => return Ok(None),
        Err(e) => return Err(Failure::io("open", path, e)),
    };
    let mtime = file.metadata().and_then(|m| m.modified()).map_err(failed)?;
    let bytes = MapsBytes::new(FileBytes::new(file).map_err(failed)?);
    Ok(Some((bytes, file::unix_seconds(mtime))))
}

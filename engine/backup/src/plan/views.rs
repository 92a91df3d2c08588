//! Which view indexes are saved.

use std::path::Path;

use archive::FileStat;
use couchfile::data_dir::DataFile;
use node::{FileKind, FoundFile};
use outcome::{Failure, Result};

use super::{Plan, PlannedView};
use crate::folder::NodeFolder;
use crate::remote;

impl Plan<'_> {
    /// The view indexes of the chosen copies.
    pub(crate) fn views(&self, folders: &[NodeFolder]) -> Result<FoundViews> {
        let mut views = FoundViews::default();
        for (number, folder) in folders.iter().enumerate() {
            let found = match folder.origin.far() {
                None => {
                    let mut found = Vec::new();
                    collect_views(&folder.path, ".shards", &mut found)?;
                    found
                }
                Some(files) => remote::find_views(&**files, &folder.path)?,
            };
            for file in found {
                let stat = folder.origin.far().map(|_| remote::stat_of(&file));
                let FoundFile { path, kind, size, .. } = file;
                let Some(DataFile::View { shard, .. }) = DataFile::parse(&path) else {
                    // Whatever a link leads to is not looked into.
                    if kind == FileKind::Link {
                        views.left_out.push(format!("{} (a symbolic link)", folder.file_display_name(&path)));
                    }
                    continue;
                };
                let shard_path = shard.path();
                let Ok(i) = self.shards.binary_search_by(|shard| shard.path.as_str().cmp(&shard_path)) else {
                    continue;
                };
                if self.shards[i].folders.first() != Some(&(number as u16)) {
                    continue;
                }
                match kind {
                    FileKind::File => {
                        views.bytes += size;
                        views.planned.push(PlannedView { path, folder: number as u16, stat });
                    }
                    FileKind::Folder => views.left_out.push(format!("{path} (a directory)")),
                    FileKind::Link => views.left_out.push(format!("{path} (a symbolic link)")),
                    FileKind::Other => views.left_out.push(format!("{path} (not a regular file)")),
                }
            }
        }
        views.planned.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(views)
    }
}

/// The entries of a directory of view indexes.
#[derive(Debug, Default)]
pub(crate) struct FoundViews {
    /// The view indexes to be saved, in the order of their paths.
    pub(crate) planned: Vec<PlannedView>,
    /// Bytes of these files.
    pub(crate) bytes: u64,
    /// Entries that are named like view indexes, or may hold some, and cannot be saved, with the reason.
    pub(crate) left_out: Vec<String>,
}

/// Everything below `.shards` that is not a directory, and directories that are named like a view index. Directories may vanish
/// in the meantime.
pub(crate) fn collect_views(root: &Path, folder: &str, found: &mut Vec<FoundFile>) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Failure::io("list", path, e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| Failure::io("list", &path, e))?;
            let Ok(kind) = entry.file_type() else { continue };
            let Ok(name) = entry.file_name().into_string() else { continue };
            let below = format!("{folder}/{name}");
            let kind = match kind {
                kind if kind.is_file() => FileKind::File,
                kind if kind.is_dir() => FileKind::Folder,
                kind if kind.is_symlink() => FileKind::Link,
                _ => FileKind::Other,
            };
            let is_index = matches!(DataFile::parse(&below), Some(DataFile::View { .. }));
            if kind == FileKind::Folder && !is_index {
                folders.push(below);
            } else {
                let stat = entry.metadata().map(|found| FileStat::of(&found)).ok();
                let size = stat.map_or(0, |stat| stat.length);
                let (device, inode) = stat.map_or((0, 0), |stat| (stat.device, stat.inode));
                let changed = stat.map_or(0, |stat| stat.changed.div_euclid(1_000_000_000));
                found.push(FoundFile { path: below, kind, size, device, inode, changed });
            }
        }
    }
    Ok(())
}

//! Data directories of CouchDB 1.x.
//!
//! Such a directory holds `NAME.couch` for each database, also in directories for names with a `/`, and view indexes in directories
//! whose names begin with a dot. For the time of a backup, a temporary directory shows it as the data directory of a node: links to
//! the files as shards of one range, and shard maps for them.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use contents::rebuild::write_maps;
use contents::{COUCHDB_1, map_of_couchdb_1};
use couchfile::data_dir::{LOST_AND_FOUND, SHARD_MAPS};
use couchfile::database_name;
use couchfile::read_at::ReadAt;
use node::{FileKind, NodeFiles};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result};
use tempfile::TempDir;

use crate::options::BackupOptions;

/// What the names of database files end with.
const ENDING: &str = ".couch";
/// Directories in directories that are searched for databases with a `/` in their names.
const DEPTH: usize = 32;

/// The options of a backup that reads data directories of CouchDB 1.x through temporary ones.
pub(crate) struct Linked {
    pub(crate) options: BackupOptions,
    /// Removed when this is dropped.
    _folders: Vec<TempDir>,
}

/// The options, if a directory of this machine among them is one of CouchDB 1.x.
pub(crate) fn linked(options: &BackupOptions, reporter: &dyn Reporter) -> Result<Option<Linked>> {
    let mut changed = options.clone();
    let mut folders = Vec::new();
    for argument in &mut changed.folders {
        if argument.files.is_some() {
            continue;
        }
        if ["shards", SHARD_MAPS].iter().any(|name| fs::symlink_metadata(argument.path.join(name)).is_ok()) {
            continue;
        }
        let mut names = Vec::new();
        find(&argument.path, "", DEPTH, &mut names)?;
        if names.is_empty() {
            continue;
        }
        names.sort();
        reporter.notice(&Notice {
            // View indexes are left out.
            severity: Severity::Warning,
            text: format!(
                "{} is a data directory of CouchDB 1.x: {} databases, without their view indexes",
                argument.path.display(),
                names.len()
            ),
        });
        let folder = link(&argument.path, &names)?;
        let shown = std::mem::replace(&mut argument.path, folder.path().to_owned());
        argument.shows = Some(shown);
        argument.node = Some(COUCHDB_1.to_owned());
        argument.http = None;
        folders.push(folder);
    }
    Ok((!folders.is_empty()).then_some(Linked { options: changed, _folders: folders }))
}

/// Finds the names of the databases below a directory of CouchDB 1.x.
fn find(root: &Path, below: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
    let folder = root.join(below);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(_) if below.is_empty() => return Ok(()),
        Err(e)
            if below.strip_suffix('/') == Some(LOST_AND_FOUND) && e.kind() == ErrorKind::PermissionDenied =>
        {
            return Ok(());
        }
        Err(e) => return Err(Failure::io("list", folder, e)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| Failure::io("list", &folder, e))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // View indexes are in `.NAME_design`, deleted files in `.delete`.
        if name.starts_with('.') {
            continue;
        }
        let kind = fs::metadata(entry.path()).map_err(|e| Failure::io("read", entry.path(), e))?;
        let path = format!("{below}{name}");
        if kind.is_dir() && depth > 0 {
            find(root, &format!("{path}/"), depth - 1, names)?;
        } else if let Some(db) = path.strip_suffix(ENDING)
            && kind.is_file()
            && database_name::check(db).is_ok()
            && !matches!(db, "_dbs" | "_nodes")
        {
            names.push(db.to_owned());
        }
    }
    Ok(())
}

/// Makes a directory that shows these databases as shards.
fn link(root: &Path, names: &[String]) -> Result<TempDir> {
    let temporary = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix("couchcopy-").tempdir_in(&temporary);
    let made = made.map_err(|e| Failure::io("create a directory in", &temporary, e))?;
    let root = root.canonicalize().map_err(|e| Failure::io("read", root, e))?;
    let mut maps = Vec::with_capacity(names.len());
    for name in names {
        let map = map_of_couchdb_1(name);
        for shard in map.shards() {
            let to = made.path().join(shard.path());
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(|e| Failure::io("create the directory", folder, e))?;
            }
            symlink(root.join(format!("{name}{ENDING}")), &to).map_err(|e| Failure::io("create", &to, e))?;
        }
        maps.push(map);
    }
    let bytes = write_maps(&maps, COUCHDB_1, |_| Ok(()))?;
    let path = made.path().join(SHARD_MAPS);
    let io = |e| Failure::io("write", &path, e);
    let mut content = vec![0; bytes.len() as usize];
    bytes.read_exact_at(&mut content, 0).map_err(io)?;
    File::create(&path).and_then(|mut file| file.write_all(&content)).map_err(io)?;
    Ok(made)
}

/// Refuses a directory of another machine that is not one of a node, if it is one of CouchDB 1.x.
pub(crate) fn refuse_far(files: &dyn NodeFiles, path: &Path) -> Result<()> {
    let entries = files.list(path)?.unwrap_or_default();
    let is_database = |name: &str| {
        name.strip_suffix(ENDING).is_some_and(|db| database_name::check(db).is_ok() && db != "_nodes")
    };
    let databases =
        entries.iter().filter(|entry| entry.kind == FileKind::File && is_database(&entry.name)).count();
    if databases == 0 {
        return Ok(());
    }
    Err(Failure::refused(
        Code::new("CC-B15"),
        format!(
            "{} is a data directory of CouchDB 1.x ({databases} databases) on another machine",
            path.display()
        ),
        "Copy the directory to this machine, for example with `rsync -a`, and give the copy: localhost,DIR.",
    ))
}

//! Finds the files to recover documents from: in data directories, backups, and single files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use contents::{AnySource, Files, Source, SpooledFiles};
use couchfile::data_dir::{DataFile, locate};
use couchfile::read_at::FileBytes;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result, with_causes};
use store::{Location, Place};

use crate::copy::Copy;
use crate::shard::Shard;

/// What a compaction leaves behind next to `NAME.couch`, whatever becomes of that file.
const LEFTOVERS: [&str; 3] = ["", ".compact.data", ".compact"];
/// The ids of documents that a compaction was sorting, with pointers into `.compact.data`. It holds no bodies, and no header names
/// what is in it.
///
/// Source: `couch_bt_engine_compactor.erl` (`open_compaction_files/4`, `sort_meta_data/1`), `couch_emsort.erl`.
const SORTED: &str = ".couch.compact.meta";
/// The cluster's members: a new cluster makes its own.
const MEMBERS: &str = "_nodes.couch";
/// Directories are looked through to this depth.
const MAX_DEPTH: usize = 64;

/// Where the files come from that are to be recovered.
#[derive(Default)]
pub(crate) struct Inputs {
    /// The copies of each shard, by the path of the new file.
    pub(crate) shards: BTreeMap<String, Vec<Member>>,
    backups: Vec<(String, Box<dyn Files>)>,
    /// What could not be opened, and why.
    pub(crate) unusable: Vec<String>,
    /// Files of CouchDB that hold nothing to be recovered.
    pub(crate) not_needed: Vec<String>,
}

/// A file of an input.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    file: Kind,
    /// Bytes.
    pub(crate) size: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    Path(PathBuf),
    /// Number of the backup, and name in it.
    InBackup(usize, String),
}

impl Inputs {
    /// Looks through places. What cannot be opened is noted, and the others are used.
    pub(crate) fn find(places: &[Place], threads: usize, reporter: &dyn Reporter) -> Self {
        let mut inputs = Self::default();
        for place in places {
            if let Err(error) = inputs.add(place, threads, reporter) {
                let text = format!("{place}: {}", with_causes(&error));
                let text_shown = format!("cannot use {text}");
                reporter.notice(&Notice { severity: Severity::Problem, text: text_shown });
                inputs.unusable.push(text);
            }
        }
        inputs
    }

    fn add(&mut self, place: &Place, threads: usize, reporter: &dyn Reporter) -> Result<()> {
        if let Location::Path(path) = place.location() {
            if path.is_file() && path.to_string_lossy().ends_with(SORTED) {
                self.not_needed.push(path.display().to_string());
                return Ok(());
            }
            if path.is_dir() {
                let before = self.shards.len();
                self.directory(path, path, 0)?;
                if self.shards.len() > before || has_data(path) {
                    return Ok(());
                }
            } else if is_database_file(path)? {
                return self.file(path, path);
            }
        }
        self.backup(contents::open(place)?, threads, reporter)
    }

    fn directory(&mut self, root: &Path, folder: &Path, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Ok(());
        }
        let failed = |e| Failure::io("read the directory", folder, e);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                self.directory(root, &path, depth + 1)?;
            } else if kind.is_file() && target(&entry.file_name().to_string_lossy()).is_some() {
                self.file(&path, path.strip_prefix(root).unwrap_or(&path))?;
            } else if kind.is_file() && entry.file_name().to_string_lossy().ends_with(SORTED) {
                self.not_needed.push(path.display().to_string());
            }
        }
        Ok(())
    }

    /// Adds a file under the name that it has below its data directory.
    fn file(&mut self, path: &Path, name: &Path) -> Result<()> {
        let size = fs::metadata(path).map_err(|e| Failure::io("open", path, e))?.len();
        let full = path.to_string_lossy();
        let name = name.to_string_lossy();
        // The complete path shows the range, also if a single file is given.
        let key =
            key(&full).filter(|key| key.starts_with("shards/")).or_else(|| key(&name)).unwrap_or_else(|| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                target(&name).map_or_else(|| format!("{name}.couch"), str::to_owned)
            });
        if key != MEMBERS {
            self.shards.entry(key).or_default().push(Member { file: Kind::Path(path.to_owned()), size });
        }
        Ok(())
    }

    fn backup(&mut self, source: Box<dyn Source>, threads: usize, reporter: &dyn Reporter) -> Result<()> {
        let name = source.name().to_owned();
        let files: Box<dyn Files> = match source.into_files() {
            Ok(files) => files,
            Err(source) => {
                let wanted = |file: &DataFile| !matches!(file, DataFile::View { .. });
                let folder = std::env::temp_dir();
                let (files, damage) =
                    SpooledFiles::read_until_damage(&*source, threads, &folder, &wanted, reporter)?;
                if let Some(damage) = damage {
                    self.unusable.push(format!("{name}, from the damage on: {}", with_causes(&damage)));
                }
                Box::new(files)
            }
        };
        let number = self.backups.len();
        for entry in files.entries() {
            let entry = entry?;
            let Some((_, file)) = locate(&entry.name) else { continue };
            if matches!(file, DataFile::View { .. }) {
                continue;
            }
            let member = Member { file: Kind::InBackup(number, entry.name), size: entry.size };
            self.shards.entry(file.path()).or_default().push(member);
        }
        self.backups.push((name, files));
        Ok(())
    }

    /// Opens the copies of a shard. What cannot be opened is noted.
    pub(crate) fn open(&self, members: &[Member], notes: &mut Vec<String>) -> Vec<Copy> {
        let mut copies = Vec::with_capacity(members.len());
        for member in members {
            let (name, bytes) = match &member.file {
                Kind::Path(path) => {
                    let bytes = File::open(path).and_then(FileBytes::new);
                    let bytes = bytes.map(|bytes| Box::new(bytes) as AnySource);
                    (path.display().to_string(), bytes.map_err(|e| e.to_string()))
                }
                Kind::InBackup(number, file) => {
                    let Some((backup, files)) = self.backups.get(*number) else { continue };
                    let open = files.open(file).map_err(|e| with_causes(&e));
                    let bytes = open.and_then(|open| open.ok_or_else(|| "it is missing".into()));
                    (format!("{backup}: {file}"), bytes.map(|open| open.content))
                }
            };
            match bytes {
                Ok(bytes) => copies.push(Copy { name, bytes }),
                Err(why) => notes.push(format!("cannot open {name}: {why}")),
            }
        }
        copies
    }
}

/// The name of the database file that a file is, or that it is a leftover of; `None` for other files.
fn target(name: &str) -> Option<&str> {
    let end = name.rfind(".couch")? + ".couch".len();
    LEFTOVERS.contains(&name.get(end..)?).then(|| &name[..end])
}

/// The path below the data directory.
fn key(name: &str) -> Option<String> {
    locate(target(name)?).map(|(_, file)| file.path())
}

fn has_data(folder: &Path) -> bool {
    folder.join("shards").is_dir() || folder.join("_dbs.couch").exists()
}

/// Whether a single file is one of a database, not an archive. What is left of a file may have lost its name.
fn is_database_file(path: &Path) -> Result<bool> {
    if path.file_name().is_some_and(|name| target(&name.to_string_lossy()).is_some()) {
        return Ok(true);
    }
    let mut file = File::open(path).map_err(|e| Failure::io("open", path, e))?;
    let mut start = [0u8; 300];
    let mut read = 0;
    while read < start.len() {
        match file.read(&mut start[read..]).map_err(|e| Failure::io("read", path, e))? {
            0 => break,
            n => read += n,
        }
    }
    let is_archive = start.starts_with(&[0x1f, 0x8b])
        || start.starts_with(b"age-encryption.org/")
        || start[257..].starts_with(b"ustar");
    Ok(!is_archive)
}

/// What the files of this path are.
pub(crate) fn shard(path: &str, strict: bool) -> Shard {
    let (database, range) = match locate(path).map(|(_, file)| file) {
        Some(DataFile::Shard(shard)) => (shard.db, Some(shard.range)),
        _ => (path.strip_suffix(".couch").unwrap_or(path).to_owned(), None),
    };
    Shard { path: path.to_owned(), database, range, strict }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_belong_to_their_file() {
        let shard = "shards/00000000-7fffffff/a/b.1795355234.couch";
        for name in [shard.to_owned(), format!("{shard}.compact.data"), format!("/x/y/{shard}.compact")] {
            assert_eq!(key(&name).as_deref(), Some(shard), "{name}");
        }
        assert_eq!(key("/data/_dbs.couch").as_deref(), Some("_dbs.couch"));
        for other in [format!("{shard}.compact.meta"), "x.view".into(), "shards/x.txt".into()] {
            assert_eq!(key(&other), None, "{other}");
        }
        let one = self::shard(shard, false);
        assert_eq!((one.database.as_str(), one.range.unwrap().end), ("a/b", 0x7fff_ffff));
        assert_eq!(self::shard("found.couch", false).database, "found");
    }
}

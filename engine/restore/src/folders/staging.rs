//! A target directory that is being written.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use couchfile::data_dir::{LOST_AND_FOUND, SHARD_MAPS};
use node::Modes;
use outcome::{Code, Failure, Result};
use rustix::fs::{FlockOperation, Gid, Uid};

/// The staging directory inside the target.
const STAGING: &str = ".couchcopy-restore";
/// The lock file, held while a restore runs.
const LOCK: &str = "lock";
/// Exists from the time when everything is written and renaming begins.
const NAMING: &str = "naming";
/// What is renamed before the shard maps.
const NAMED_FIRST: [&str; 2] = [".shards", "shards"];
/// What a new file system may hold.
const HARMLESS: [&str; 1] = [LOST_AND_FOUND];

/// A target directory whose content is being written.
#[derive(Debug)]
pub(crate) struct Staging {
    target: PathBuf,
    folder: PathBuf,
    /// Directories that exist already.
    made: Mutex<HashSet<PathBuf>>,
    /// The owner of everything, if it is not the current user.
    owner: Option<(Uid, Gid)>,
    /// The permissions of the owner and group.
    modes: Modes,
    /// The directory, open from the beginning: a file system reports lost writes only to descriptors that were open at that time.
    handle: File,
    /// Whether the data must survive a failure of the machine.
    durable: bool,
    _lock: Option<File>,
}

/// Refuses a directory that holds anything except the leftovers of an interrupted restore.
pub(crate) fn check_empty(target: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(target) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Failure::io("list", target, e)),
    };
    for entry in entries {
        let name = entry.map_err(|e| Failure::io("list", target, e))?.file_name();
        let name = name.to_string_lossy();
        if name != STAGING && !HARMLESS.contains(&name.as_ref()) && !is_half_named(target, &name) {
            return Err(Failure::refused(
                Code::new("CC-R05"),
                format!("{} is not empty: it holds {name}", target.display()),
                "An offline restore writes only into new or empty directories. Move the old data out of the way first, for \
                 example to DIR.old on the same file system.",
            ));
        }
    }
    Ok(())
}

/// Whether a restore was interrupted between renaming this entry and renaming the shard maps.
fn is_half_named(target: &Path, name: &str) -> bool {
    let there = |path: PathBuf| std::fs::symlink_metadata(path).is_ok();
    let staging = target.join(STAGING);
    NAMED_FIRST.contains(&name)
        && there(staging.join(NAMING))
        && there(staging.join(SHARD_MAPS))
        && !there(staging.join(name))
        && !there(target.join(SHARD_MAPS))
}

impl Staging {
    /// Begins staging. Leftovers of an interrupted restore in its staging directory are removed.
    ///
    /// Fails if another restore uses the directory, or if there is no space for `bytes`.
    pub(crate) fn create(target: &Path, bytes: u64) -> Result<Self> {
        let folder = target.join(STAGING);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(target)
            .map_err(|e| Failure::io("create the directory", target, e))?;
        check_empty(target)?;
        let owner = foreign_owner(target)?;
        let modes = modes_within(target)?;
        check_room(target, bytes)?;
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                // Never through a link: what is behind it is not ours.
                let found =
                    std::fs::symlink_metadata(&folder).map_err(|e| Failure::io("read", &folder, e))?;
                if !found.is_dir() {
                    return Err(Failure::refused(
                        Code::new("CC-R06"),
                        format!("{} is not a directory", folder.display()),
                        "Remove it and try again.",
                    ));
                }
            }
            Err(e) => return Err(Failure::io("create the directory", folder, e)),
        }
        let lock = lock(&folder)?;
        for name in NAMED_FIRST {
            if is_half_named(target, name) {
                match std::fs::rename(target.join(name), folder.join(name)) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        return Err(Failure::io("move back", target.join(name), e));
                    }
                    _ => {}
                }
            }
        }
        for left in std::fs::read_dir(&folder).map_err(|e| Failure::io("list", &folder, e))? {
            let left = left.map_err(|e| Failure::io("list", &folder, e))?;
            if left.file_name() != LOCK {
                remove(&left.path())?;
            }
        }
        let handle = File::open(&folder).map_err(|e| Failure::io("open", &folder, e))?;
        let made = Mutex::new(HashSet::new());
        let target = target.to_owned();
        Ok(Self { target, folder, made, owner, modes, handle, durable: true, _lock: Some(lock) })
    }

    /// Begins staging of data that need not survive a failure of the machine: nothing waits for the disk.
    pub(crate) fn for_now(self) -> Self {
        Self { durable: false, ..self }
    }

    /// Writes into an existing directory that its creator renames later. If couchcopy runs as root, files get the owner of
    /// `like`, and the group gets the same permissions as for `like`.
    pub(crate) fn within(folder: &Path, like: &Path) -> Result<Self> {
        let handle = File::open(folder).map_err(|e| Failure::io("open", folder, e))?;
        Ok(Self {
            target: folder.to_owned(),
            folder: folder.to_owned(),
            made: Mutex::new(HashSet::new()),
            owner: foreign_owner(like)?,
            modes: modes_within(like)?,
            handle,
            durable: true,
            _lock: None,
        })
    }

    /// Creates a new file, by its path below the data directory, with the directories above it.
    pub(crate) fn create_file(&self, path: &str) -> Result<File> {
        let full = self.folder.join(path);
        if let Some(parent) = full.parent() {
            self.make_folder(parent)?;
        }
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(self.modes.file)
            .open(&full)
            .map_err(|e| Failure::io("create", &full, e))?;
        self.allow(&full, self.modes.file)?;
        if let Some((uid, gid)) = self.owner {
            rustix::fs::fchown(&file, Some(uid), Some(gid))
                .map_err(|e| Failure::io("change the owner of", &full, e.into()))?;
        }
        Ok(file)
    }

    /// The full path of a file that is being written, for messages.
    pub(crate) fn path_of(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Creates a directory, by its path below the data directory, with the directories above it.
    pub(crate) fn create_folder(&self, path: &str) -> Result<()> {
        self.make_folder(&self.folder.join(path))
    }

    /// Sets the permissions of a new file or directory, in case the process's umask has removed some.
    fn allow(&self, path: &Path, mode: u32) -> Result<()> {
        if self.modes.are_default() {
            return Ok(());
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .map_err(|e| Failure::io("change the permissions of", path, e))
    }

    fn make_folder(&self, folder: &Path) -> Result<()> {
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if folder == self.folder || made().contains(folder) {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.make_folder(parent)?;
        }
        match DirBuilder::new().mode(self.modes.folder).create(folder) {
            Ok(()) => {
                self.allow(folder, self.modes.folder)?;
                if let Some((uid, gid)) = self.owner {
                    rustix::fs::chown(folder, Some(uid), Some(gid))
                        .map_err(|e| Failure::io("change the owner of", folder, e.into()))?;
                }
            }
            // Another thread was faster.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Failure::io("create the directory", folder, e)),
        }
        made().insert(folder.to_owned());
        Ok(())
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        if !self.durable {
            return Ok(());
        }
        rustix::fs::syncfs(&self.handle).map_err(|e| Failure::io("make durable", &self.folder, e.into()))
    }

    /// Renames everything except the shard maps: without them there are no databases yet.
    pub(crate) fn name_data(&self) -> Result<()> {
        let naming = self.folder.join(NAMING);
        File::create(&naming).map_err(|e| Failure::io("create", naming, e))?;
        self.name(&NAMED_FIRST)
    }

    /// Renames the shard maps and removes the staging directory.
    pub(crate) fn complete(&self) -> Result<()> {
        self.name(&[SHARD_MAPS])?;
        let durable = |path: &Path| {
            if !self.durable {
                return Ok(());
            }
            outcome::sync_folder(path).map_err(|e| Failure::io("make durable", path, e))
        };
        durable(&self.target)?;
        remove(&self.folder)?;
        durable(&self.target)
    }

    /// Removes everything that was written.
    pub(crate) fn discard(&self) -> Result<()> {
        remove(&self.folder)
    }

    fn name(&self, names: &[&str]) -> Result<()> {
        for &name in names {
            let from = self.folder.join(name);
            let to = self.target.join(name);
            match node::rename_to_free(&from, &to) {
                Ok(()) => {}
                // There may be no view indexes, or no databases at all.
                Err(e) if e.kind() == io::ErrorKind::NotFound && name != SHARD_MAPS => {}
                Err(e) => return Err(Failure::io("give its name to", to, e)),
            }
        }
        Ok(())
    }
}

/// Takes the lock of a staging directory; it ends with the process.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| Failure::io("create", &path, e))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::refused(
            Code::new("CC-R07"),
            format!("another restore is running in {}", folder.display()),
            "Wait until it ends, or end it.",
        )),
        Err(e) => Err(Failure::io("lock", path, e.into())),
    }
}

fn remove(path: &Path) -> Result<()> {
    let found = std::fs::symlink_metadata(path).map_err(|e| Failure::io("read", path, e))?;
    let removed = if found.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.map_err(|e| Failure::io("remove", path, e))
}

/// The owner of a directory, if root creates files for another user.
fn foreign_owner(target: &Path) -> Result<Option<(Uid, Gid)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = std::fs::metadata(target).map_err(|e| Failure::io("read", target, e))?;
    if found.uid() == 0 && found.gid() == 0 {
        return Ok(None);
    }
    Ok(Some((Uid::from_raw(found.uid()), Gid::from_raw(found.gid()))))
}

/// Permissions that fit a directory.
fn modes_within(folder: &Path) -> Result<Modes> {
    let found = std::fs::metadata(folder).map_err(|e| Failure::io("read", folder, e))?;
    Ok(Modes::within(found.mode()))
}

fn check_room(target: &Path, bytes: u64) -> Result<()> {
    let found =
        rustix::fs::statvfs(target).map_err(|e| Failure::io("query the free space of", target, e.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < bytes {
        return Err(Failure::refused(
            Code::new("CC-R08"),
            format!(
                "{} has {} MiB free, but the restore needs about {} MiB",
                target.display(),
                free >> 20,
                bytes >> 20
            ),
            "Free some space, or restore to a larger file system.",
        ));
    }
    Ok(())
}

//! A mirror of nodes' files on this machine, so that only new data crosses the network.
//!
//! ```text
//! DIR/couchcopy-mirror           tells that this is one; locked while a backup uses it
//! DIR/unfinished                 there while a backup uses it, and when one did not come to its end
//! DIR/HOST,%2Fdata%2Ffolder/     a node's files, by their paths below its data folder
//! ```
//!
//! A mirrored file is a prefix of the node's file, and gets the node's time of last change when it is complete. So the next
//! backup can continue after a backup that was killed. Only a power failure can leave wrong files: everything that the
//! interrupted backup wrote is then removed.

mod node;

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ::node::NodeFiles;
use outcome::report::{Counter, Reporter};
use outcome::{Code, Failure, Result, parallel, sync_folder};

use crate::folder::NodeFolder;
use crate::plan::{PlannedShard, PlannedView};

pub(super) use self::node::NodeMirror;

const MARK: &str = "couchcopy-mirror";
const MARK_TEXT: &str = "A mirror of CouchDB nodes' files, made by `couchcopy backup --rsync-reuse-dir`.\n\
                         Backups keep it up to date. It may be removed; the next backup then fetches everything.\n";
const UNFINISHED: &str = "unfinished";
/// Distinguishes one start of this machine from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Longest name of a node's directory in bytes, without a number after it.
const LONGEST_NAME: usize = 200;

/// The directory with the mirrors of all nodes, locked as long as this value exists.
pub(super) struct Mirror {
    folder: PathBuf,
    _lock: File,
    /// Directories that are assigned to nodes.
    taken: Mutex<Vec<PathBuf>>,
}

impl Mirror {
    /// Opens a mirror, or creates an empty one.
    ///
    /// Fails if another backup uses it, or if the directory is not a mirror.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let failed = |doing| move |e| Failure::io(doing, folder, e);
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed("create the directory")(e)),
        }
        let is_mark = |name: &str| fs::symlink_metadata(folder.join(name)).is_ok_and(|found| found.is_file());
        let mut entries = fs::read_dir(folder).map_err(failed("list"))?;
        if entries.next().is_some() && !is_mark(MARK) {
            return Err(Failure::refused(
                Code::new("CC-B11"),
                format!("{} is not empty and is not a mirror made by couchcopy", folder.display()),
                "Choose a new directory: files that do not belong to the mirror would be removed from it.",
            ));
        }
        // It holds everything that the nodes hold.
        let mode = fs::metadata(folder).map_err(failed("inspect"))?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(folder, Permissions::from_mode(0o700))
                .map_err(failed("restrict access to"))?;
        }
        let path = folder.join(MARK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Failure::io("open", &path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::refused(
                    Code::new("CC-B12"),
                    format!("another backup is using the mirror {}", folder.display()),
                    "Wait until it is done, or choose another directory with --rsync-reuse-dir.",
                ));
            }
            Err(TryLockError::Error(e)) => return Err(Failure::io("lock", path, e)),
        }
        if lock.metadata().is_ok_and(|found| found.len() == 0) {
            lock.write_all(MARK_TEXT.as_bytes()).map_err(|e| Failure::io("write", &path, e))?;
        }
        let mirror = Self { folder: folder.to_owned(), _lock: lock, taken: Mutex::default() };
        mirror.begin()?;
        Ok(mirror)
    }

    /// Records that the mirror is going to change. If an earlier backup was interrupted by a power failure, removes everything
    /// that it wrote.
    fn begin(&self) -> Result<()> {
        let path = self.folder.join(UNFINISHED);
        let failed = |doing| {
            let path = path.clone();
            move |e| Failure::io(doing, path, e)
        };
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        match File::open(&path) {
            Ok(mut file) => {
                let mut of_last = String::new();
                file.read_to_string(&mut of_last).map_err(failed("read"))?;
                let begun = file.metadata().map_err(failed("inspect"))?.ctime();
                if boot.is_empty() || of_last != boot {
                    remove_since(&self.folder, begun)?;
                    rustix::fs::syncfs(&file).map_err(|e| failed("make durable")(e.into()))?;
                }
                // What it wrote is as unsure as what we are going to write: the mark stays.
                if of_last == boot && !boot.is_empty() {
                    return Ok(());
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("open")(e)),
        }
        let written =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).and_then(
                |mut file| {
                    file.write_all(boot.as_bytes())?;
                    file.sync_all()
                },
            );
        written.and_then(|()| sync_folder(&self.folder)).map_err(failed("write"))
    }

    /// Makes the mirror durable, so that the next backup can rely on it whatever happens.
    pub(super) fn finish(&self) -> Result<()> {
        let failed = |e| Failure::io("make durable", &self.folder, e);
        let folder = File::open(&self.folder).map_err(failed)?;
        rustix::fs::syncfs(&folder).map_err(|e| failed(e.into()))?;
        let path = self.folder.join(UNFINISHED);
        fs::remove_file(&path).map_err(|e| Failure::io("remove", &path, e))?;
        sync_folder(&self.folder).map_err(failed)
    }

    /// The part of the mirror that belongs to a node, which is identified by its machine and data directory.
    pub(super) fn of_node(&self, files: &Arc<dyn NodeFiles>, data: &Path) -> Result<NodeMirror> {
        let name = folder_name(&files.node(), data);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // Containers on one machine may be called the same. Should they be mistaken for each other, nothing comes of it but
        // files that are fetched whole.
        let mut folder = self.folder.join(&name);
        for i in 2.. {
            if !taken.contains(&folder) {
                break;
            }
            folder = self.folder.join(format!("{name} {i}"));
        }
        taken.push(folder.clone());
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Failure::io("create the directory", folder, e));
            }
            _ => {}
        }
        Ok(NodeMirror::new(Arc::clone(files), data.to_owned(), folder))
    }
}

/// Updates the mirrors of all nodes: the view indexes first, then the shards, so that no index is ahead of its shard. Files that
/// are not saved from a node are removed from its mirror.
pub(super) fn update(
    folders: &[NodeFolder],
    views: &[PlannedView],
    shards: &[PlannedShard],
    reporter: &dyn Reporter,
) -> Result<()> {
    if folders.iter().all(|folder| folder.origin.mirror().is_none()) {
        return Ok(());
    }
    let (mut of_views, mut of_shards) = (vec![Vec::new(); folders.len()], vec![Vec::new(); folders.len()]);
    let mut total = 0;
    let mut add = |paths: &mut Vec<Vec<String>>, number: u16, path: &str| {
        let number = usize::from(number);
        if folders[number].origin.mirror().is_some() {
            paths[number].push(path.to_owned());
            total += 1;
        }
    };
    for view in views {
        add(&mut of_views, view.folder, &view.path);
    }
    for shard in shards {
        if let Some(&first) = shard.folders.first() {
            add(&mut of_shards, first, &shard.path);
        }
    }
    reporter.phase("updating the mirror", Some(total));
    let progress = Counter::new(reporter);
    let step = |files, bytes| progress.add(files, bytes);
    parallel::all_at_once(folders, |number, folder| -> Result<()> {
        let Some(mirror) = folder.origin.mirror() else { return Ok(()) };
        let (views, shards) = (&of_views[number], &of_shards[number]);
        mirror.update(views, &step, reporter)?;
        mirror.update(shards, &step, reporter)?;
        mirror.keep_only(&[views, shards])
    })
    .into_iter()
    .collect()
}

/// Name of the directory of a node's mirror.
fn folder_name(node: &str, data: &Path) -> String {
    let whole = format!("{node},{}", data.display());
    let mut name = String::new();
    for c in whole.chars() {
        match c {
            '/' => name.push_str("%2F"),
            '%' => name.push_str("%25"),
            c => name.push(c),
        }
    }
    if name.len() > LONGEST_NAME {
        let end = (0..=LONGEST_NAME).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
        name.truncate(end);
        let _ = write!(name, ",{:08x}", crc32fast::hash(whole.as_bytes()));
    }
    name
}

/// Removes all files of all nodes that were changed at this second or later.
fn remove_since(folder: &Path, second: i64) -> Result<()> {
    walk(folder, &mut |path, found| {
        let is_mark = path.parent() == Some(folder);
        if !is_mark && found.ctime() >= second {
            fs::remove_file(path).map_err(|e| Failure::io("remove", path, e))?;
        }
        Ok(())
    })
}

/// Calls `each` for everything below a directory that is not a directory, without following links.
fn walk(folder: &Path, each: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<()>) -> Result<()> {
    let failed = |e| Failure::io("list", folder, e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let found = entry.metadata().map_err(|e| Failure::io("inspect", &path, e))?;
        if found.is_dir() {
            walk(&path, each)?;
        } else {
            each(&path, &found)?;
        }
    }
    Ok(())
}

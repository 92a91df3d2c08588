//! Files of this machine.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::odd::{MOUNTS, OddEntry, Oddity, mounts_below};
use super::{FileEntry, FileKind, NodeFiles, NodeStreams};
use crate::error::{NodeError, Result};
use outcome::sync_folder;

/// Files that this process can open itself.
#[derive(Debug, Clone)]
pub struct LocalFiles {
    node: String,
}

impl LocalFiles {
    /// Files of this machine; `node` is what messages call it.
    pub fn new(node: String) -> Self {
        Self { node }
    }

    /// Calls `each` with every entry below a folder, links not followed. What vanishes in the meantime is left out.
    fn walk(&self, folder: &Path, each: &mut dyn FnMut(&Path, fs::FileType) -> Result<()>) -> Result<()> {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(self.io("list", &folder)(e)),
            };
            for entry in entries {
                let entry = entry.map_err(self.io("list", &folder))?;
                let path = entry.path();
                let kind = match entry.file_type() {
                    Ok(kind) => kind,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(self.io("read", &path)(e)),
                };
                each(&path, kind)?;
                if kind.is_dir() {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    fn io<'a>(&'a self, doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> NodeError + 'a {
        move |source| NodeError::Io { node: self.node.clone(), doing, path: path.to_owned(), source }
    }
}

/// Threads that remove files: where a file system discards what is removed, each one waits for the disk.
const REMOVERS: usize = 16;

/// Removes a folder and all below it; links are removed, not followed.
fn remove_tree(folder: &Path) -> io::Result<()> {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<PathBuf>(10_000);
    let receiver = std::sync::Mutex::new(receiver);
    std::thread::scope(|scope| {
        for _ in 0..REMOVERS {
            scope.spawn(|| {
                loop {
                    let next = receiver.lock().ok().and_then(|receiver| receiver.recv().ok());
                    let Some(path) = next else { return };
                    // What cannot be removed is met again, and told, when the folder is.
                    let _ = fs::remove_file(path);
                }
            });
        }
        let mut folders = vec![folder.to_owned()];
        while let Some(below) = folders.pop() {
            for entry in fs::read_dir(below)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if sender.send(entry.path()).is_err() {
                    break;
                }
            }
        }
        drop(sender);
        Ok::<(), io::Error>(())
    })?;
    fs::remove_dir_all(folder)
}

/// Moves a file or folder to a path that nothing may have yet.
///
/// Fails with [`io::ErrorKind::AlreadyExists`] where something has it.
pub fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags};
    use rustix::io::Errno;
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know how. Nobody else has anything to do with these names, so that a look before will do.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            // A file would be replaced, an empty folder too.
            match fs::symlink_metadata(to) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
                Err(e) => Err(e),
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            }
        }
        moved => Ok(moved?),
    }
}

impl NodeFiles for LocalFiles {
    fn node(&self) -> String {
        self.node.clone()
    }

    fn streams(&self) -> Option<&dyn NodeStreams> {
        None
    }

    fn while_stopped(&self) -> Result<Option<Box<dyn NodeFiles>>> {
        Ok(None)
    }

    fn list(&self, folder: &Path) -> Result<Option<Vec<FileEntry>>> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.io("list", folder)(e)),
        };
        let mut listed = Vec::new();
        for entry in entries {
            let entry = entry.map_err(self.io("list", folder))?;
            let found = match entry.metadata() {
                Ok(found) => found,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(self.io("read", &entry.path())(e)),
            };
            let kind = match found.file_type() {
                kind if kind.is_file() => FileKind::File,
                kind if kind.is_dir() => FileKind::Folder,
                kind if kind.is_symlink() => FileKind::Link,
                _ => FileKind::Other,
            };
            listed.push(FileEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                kind,
                size: found.size(),
                device: found.dev(),
                uid: found.uid(),
                gid: found.gid(),
                mode: found.mode() & 0o7777,
                inode: found.ino(),
                changed: found.mtime(),
            });
        }
        Ok(Some(listed))
    }

    fn paths(&self, folder: &Path) -> Result<Vec<String>> {
        let mut paths = Vec::new();
        self.walk(folder, &mut |path, kind| {
            if kind.is_file()
                && let Ok(below) = path.strip_prefix(folder)
            {
                paths.push(below.to_string_lossy().into_owned());
            }
            Ok(())
        })?;
        Ok(paths)
    }

    fn odd_entries(&self, folder: &Path) -> Result<Vec<OddEntry>> {
        let device = |path: &Path| match fs::symlink_metadata(path) {
            Ok(found) => Ok(Some(found)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.io("read", path)(e)),
        };
        let above = folder.parent().unwrap_or(folder);
        let (Some(top), Some(above)) = (device(folder)?, device(above)?) else { return Ok(Vec::new()) };
        let mut odd = Vec::new();
        if top.is_symlink() {
            // What is behind it may be as large as a disk, and the link alone is enough to know.
            return Ok(vec![OddEntry { path: folder.to_owned(), oddity: Oddity::Link }]);
        }
        if top.dev() != above.dev() {
            odd.push(OddEntry { path: folder.to_owned(), oddity: Oddity::Mount });
        }
        self.walk(folder, &mut |path, kind| {
            let oddity = if kind.is_symlink() {
                Oddity::Link
            } else if kind.is_dir() {
                match device(path)? {
                    Some(found) if found.dev() != top.dev() => Oddity::Mount,
                    _ => return Ok(()),
                }
            } else if kind.is_file() {
                return Ok(());
            } else {
                Oddity::Special
            };
            odd.push(OddEntry { path: path.to_owned(), oddity });
            Ok(())
        })?;
        // A folder of the same file system may be mounted, too. Systems without that list have no such mounts.
        if let (Ok(list), Ok(real)) = (fs::read_to_string(MOUNTS), folder.canonicalize()) {
            let real_above = real.parent().unwrap_or(&real);
            for point in mounts_below(&list, real_above) {
                if let Ok(below) = point.strip_prefix(&real) {
                    let path =
                        if below.as_os_str().is_empty() { folder.to_owned() } else { folder.join(below) };
                    odd.push(OddEntry { path, oddity: Oddity::Mount });
                }
            }
        }
        odd.sort_unstable();
        odd.dedup();
        Ok(odd)
    }

    fn sum(&self, folder: &Path) -> Result<(u64, u64)> {
        let mut folders = vec![folder.to_owned()];
        let (mut files, mut bytes) = (0, 0);
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(self.io("list", &folder))?,
            };
            for entry in entries {
                let entry = entry.map_err(self.io("list", &folder))?;
                match entry.metadata() {
                    Ok(found) if found.is_dir() => folders.push(entry.path()),
                    Ok(found) if found.is_file() => {
                        files += 1;
                        bytes += found.len();
                    }
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        return Err(self.io("read", &entry.path())(e));
                    }
                    _ => {}
                }
            }
        }
        Ok((files, bytes))
    }

    fn tail(&self, path: &Path, bytes: u64) -> Result<Option<Vec<u8>>> {
        let mut file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(self.io("open", path))?,
        };
        let mut tail = Vec::new();
        let read = file
            .metadata()
            .and_then(|found| file.seek(SeekFrom::Start(found.len().saturating_sub(bytes))))
            .and_then(|_| file.take(bytes).read_to_end(&mut tail));
        read.map_err(self.io("read", path))?;
        Ok(Some(tail))
    }

    fn read(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.io("open", path)(e)),
        };
        let mut content = Vec::new();
        file.take(most + 1).read_to_end(&mut content).map_err(self.io("read", path))?;
        if content.len() as u64 > most {
            return Err(self.io("read", path)(io::Error::other(format!("it has more than {most} bytes"))));
        }
        Ok(Some(content))
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let written = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&partial, path));
        written.map_err(self.io("write", path))?;
        match path.parent() {
            Some(folder) => sync_folder(folder).map_err(self.io("make durable", folder)),
            None => Ok(()),
        }
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        DirBuilder::new().mode(0o700).create(path).map_err(self.io("create the folder", path))
    }

    fn move_into(&self, paths: &[PathBuf], folder: &Path) -> Result<()> {
        for path in paths {
            let to = folder.join(path.file_name().unwrap_or_default());
            rename_to_free(path, &to).map_err(|e| {
                let is_taken = e.kind() == io::ErrorKind::AlreadyExists;
                if is_taken { self.io("move to", &to)(e) } else { self.io("move", path)(e) }
            })?;
        }
        Ok(())
    }

    fn remove(&self, paths: &[PathBuf]) -> Result<()> {
        for path in paths {
            let removed = match fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => remove_tree(path),
                Ok(_) => fs::remove_file(path),
                Err(e) => Err(e),
            };
            match removed {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(self.io("remove", path)(e)),
                _ => {}
            }
        }
        Ok(())
    }

    fn free_bytes(&self, folder: &Path) -> Result<u64> {
        let found = rustix::fs::statvfs(folder).map_err(|e| self.io("ask for room in", folder)(e.into()))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn sync(&self, folder: &Path) -> Result<()> {
        let handle = File::open(folder).map_err(self.io("open", folder))?;
        rustix::fs::syncfs(&handle).map_err(|e| self.io("make durable", folder)(e.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ever_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (from, to) in [("file", "taken"), ("folder", "full"), ("folder", "empty"), ("file", "link")] {
            for name in ["folder", "full", "empty"] {
                fs::create_dir_all(path(name)).unwrap();
            }
            for name in ["file", "taken", "full/inside"] {
                fs::write(path(name), name).unwrap();
            }
            let _ = std::os::unix::fs::symlink("nowhere", path("link"));
            let refused = rename_to_free(&path(from), &path(to)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{from} {to}");
            assert!(path(from).exists());
        }
        assert_eq!(fs::read_to_string(path("taken")).unwrap(), "taken");
        rename_to_free(&path("folder"), &path("free")).unwrap();
        assert!(path("free").is_dir() && !path("folder").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_passed_over() {
        // As on CIFS.
        let refused = File::open("/proc").unwrap().sync_all().unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::INVAL.raw_os_error()));
        sync_folder(Path::new("/proc")).unwrap();
        assert!(sync_folder(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn sums_and_tails() {
        let folder = tempfile::tempdir().unwrap();
        let files = LocalFiles::new("here".into());
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/a"), "12345").unwrap();
        fs::write(folder.path().join("b"), "123").unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("link")).unwrap();
        assert_eq!(files.sum(folder.path()).unwrap(), (2, 8));
        assert_eq!(files.sum(&folder.path().join("none")).unwrap(), (0, 0));
        assert_eq!(files.tail(&folder.path().join("below/a"), 2).unwrap().unwrap(), b"45");
        assert_eq!(files.tail(&folder.path().join("below/a"), 9).unwrap().unwrap(), b"12345");
        assert_eq!(files.tail(&folder.path().join("none"), 9).unwrap(), None);
    }
}

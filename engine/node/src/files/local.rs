//! Files of this machine.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{FileEntry, FileKind, NodeFiles, NodeStreams};
use crate::error::{NodeError, Result};

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
            });
        }
        Ok(Some(listed))
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
            Some(folder) => File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(self.io("make durable", folder)),
            None => Ok(()),
        }
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        DirBuilder::new().mode(0o700).create(path).map_err(self.io("create the folder", path))
    }

    fn move_into(&self, paths: &[PathBuf], folder: &Path) -> Result<()> {
        for path in paths {
            let to = folder.join(path.file_name().unwrap_or_default());
            // A file would be replaced, an empty folder too.
            if fs::symlink_metadata(&to).is_ok() {
                return Err(self.io("move to", &to)(io::Error::from(io::ErrorKind::AlreadyExists)));
            }
            fs::rename(path, &to).map_err(self.io("move", path))?;
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

//! The files of a node.

mod framing;
pub(crate) mod local;
pub(crate) mod odd;
pub(crate) mod remote;
pub(crate) mod rests;
mod tails;
pub(crate) mod unpack;

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::Result;
use odd::OddEntry;
use rests::{RestOf, TakeRest};
use unpack::{Owner, Unpacking};

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// An entry of a folder, links not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name in the folder.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// The device that it lies on.
    pub device: u64,
    /// Number of the user that owns it.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
    /// Permissions, and the bits for set user, set group and sticky.
    pub mode: u32,
    /// Number of the file on its device. It stays when the file is moved.
    pub inode: u64,
    /// Time of its last change, in seconds since 1970.
    pub changed: i64,
}

/// What was found below a folder: a file, or anything that is called like a view index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Path below the folder that was searched.
    pub path: String,
    /// What it is; links are not followed.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// The device that it lies on.
    pub device: u64,
    /// Number of the file on its device.
    pub inode: u64,
    /// Time of its last change, in seconds since 1970.
    pub changed: i64,
}

/// What is known of a regular file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// Its size in bytes.
    pub size: u64,
    /// Time of its last change, in seconds since 1970.
    pub mtime: u64,
}

/// A file as a node packs it up: as it was from its beginning to the end that it had when it was opened, read through one
/// open descriptor.
pub struct PackedFile<'r> {
    /// Path below the folder.
    pub path: String,
    /// Bytes that follow.
    pub size: u64,
    /// Time of its last change, in seconds since 1970.
    pub mtime: u64,
    /// Its content.
    pub content: &'r mut dyn Read,
}

/// How a packing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// All files that are there have come.
    Whole,
    /// Whoever took the files wanted no more.
    Ended,
}

/// Takes packed files; `false` ends the packing.
pub type TakeFile<'t> = dyn FnMut(PackedFile<'_>) -> std::io::Result<bool> + 't;

/// Reads and changes the files of one node. All paths are absolute paths on the node.
///
/// Changes are made durable by [`NodeFiles::sync`] only.
pub trait NodeFiles: Send + Sync {
    /// The node's name for messages.
    fn node(&self) -> String;

    /// How files come and go as streams; `None` if paths are paths of this machine that can be opened as they are.
    fn streams(&self) -> Option<&dyn NodeStreams>;

    /// The files as they are reached while CouchDB is stopped, whether it is stopped now or not; `None` if the access does
    /// not differ. Fails if they cannot be reached then.
    fn while_stopped(&self) -> Result<Option<Box<dyn NodeFiles>>>;

    /// The entries of a folder, in no order; `None` if there is no such folder.
    fn list(&self, folder: &Path) -> Result<Option<Vec<FileEntry>>>;

    /// Paths of all regular files below a folder, relative to it, in no order; none where it is not there. Links are not
    /// followed, but the folder itself may be one.
    fn paths(&self, folder: &Path) -> Result<Vec<String>>;

    /// Links, mount points and special files below a folder, itself among them; none where it is not there.
    fn odd_entries(&self, folder: &Path) -> Result<Vec<OddEntry>>;

    /// The entries of several folders, as [`NodeFiles::list`] gives them.
    fn list_all(&self, folders: &[&Path]) -> Result<Vec<Option<Vec<FileEntry>>>> {
        folders.iter().map(|folder| self.list(folder)).collect()
    }

    /// Number and bytes of all regular files below a folder; nothing of them is kept in the meantime.
    fn sum(&self, folder: &Path) -> Result<(u64, u64)>;

    /// The last `bytes` bytes of a file, or all of a shorter one; `None` if it is not there.
    fn tail(&self, path: &Path, bytes: u64) -> Result<Option<Vec<u8>>>;

    /// The content of a file; `None` if it is not there. Fails if it has more than `most` bytes.
    fn read(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>>;

    /// Writes a file, or replaces it: readers see either the old or the new content. Reads it again to verify it.
    fn write(&self, path: &Path, content: &[u8]) -> Result<()>;

    /// Makes a folder that only its owner can enter.
    ///
    /// Fails if it is there already.
    fn create_folder(&self, path: &Path) -> Result<()>;

    /// Moves files and directories into a directory of the same file system, keeping their names, and checks that they are
    /// there.
    ///
    /// Fails if the folder holds such a name already; nothing is ever replaced.
    fn move_into(&self, paths: &[PathBuf], folder: &Path) -> Result<()>;

    /// Removes files and folders with all that is in them, and looks whether they are gone. What is not there is fine.
    fn remove(&self, paths: &[PathBuf]) -> Result<()>;

    /// Bytes that may still be written to the file system of a folder.
    fn free_bytes(&self, folder: &Path) -> Result<u64>;

    /// Makes all changes below a folder durable.
    fn sync(&self, folder: &Path) -> Result<()>;
}

/// Streams of files from and to a node whose files cannot be opened from here.
pub trait NodeStreams: Send + Sync {
    /// Everything below a folder that is not a folder, and folders that are called like a view index, in no order; none
    /// where it is not there. Files and folders may vanish in the meantime.
    fn find(&self, folder: &Path) -> Result<Vec<FoundFile>>;

    /// Begins to unpack files below a folder that is there. Root gives them to `owner`.
    fn unpack(&self, folder: &Path, owner: Option<Owner>) -> Result<Box<dyn Unpacking>>;

    /// Packs up files by their paths below a folder, in this order. A file that is not there is left out silently.
    ///
    /// Fails if the connection breaks or the stream does not come to its end, after the files that came before; also where
    /// there is no such folder.
    fn pack(&self, folder: &Path, paths: &[String], take: &mut TakeFile<'_>) -> Result<Packing>;

    /// The last `bytes` bytes of files by their paths below a folder, or all of a shorter one; `None` for a file that cannot
    /// be read. All of it is held in memory.
    fn tails(&self, folder: &Path, paths: &[String], bytes: u64) -> Result<Vec<Option<Vec<u8>>>>;

    /// Looks at regular files by their paths below a folder; `None` for what is not there, or none.
    fn stats(&self, folder: &Path, paths: &[String]) -> Result<Vec<Option<FileStat>>>;

    /// What has been appended to files, in this order. A file that cannot be read, or is not the one that was expected, is left
    /// out silently.
    ///
    /// Fails if the connection breaks, after the files that came before.
    fn rests(&self, folder: &Path, files: &[RestOf], take: &mut TakeRest<'_>) -> Result<Packing>;

    /// The size of a file in bytes; `None` if it is not there.
    fn size(&self, path: &Path) -> Result<Option<u64>>;

    /// Bytes of a file: `count` blocks of 4096 bytes from block number `first` on, or fewer where it ends before. Each call
    /// opens the file again. A caller that knows its size checks whether all bytes arrived.
    fn blocks(&self, path: &Path, first: u64, count: u64) -> Result<Vec<u8>>;
}

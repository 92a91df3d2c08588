//! Files that are sent to a node, as a stream that the node's `tar` unpacks.

use std::collections::HashSet;
use std::io::{self, BufWriter, Read, Write};
use std::process::ChildStdin;

use tar::{Builder, EntryType, Header};

use crate::error::{NodeError, Result};
use crate::way::{Running, problem};

/// Who owns new files, and what they may do: numbers of user and group, and permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Permissions.
    pub modes: Modes,
}

/// Permissions of new files and folders of CouchDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    /// Of a folder.
    pub folder: u32,
    /// Of a file.
    pub file: u32,
}

impl Default for Modes {
    fn default() -> Self {
        Self { folder: 0o750, file: 0o640 }
    }
}

/// The group may write.
const GROUP_WRITES: u32 = 0o020;
/// New entries of a folder get its group.
const KEEPS_GROUP: u32 = 0o2000;

impl Modes {
    /// What fits into a folder with these permissions: its group may write to what is in it where it may write to the folder.
    /// CouchDB may run as any user of that group, as in OpenShift.
    pub fn within(folder: u32) -> Self {
        let Self { folder: plain, file } = Self::default();
        let writes = folder & GROUP_WRITES;
        Self { folder: plain | writes | folder & KEEPS_GROUP, file: file | writes }
    }

    /// Whether they are those of every other program.
    pub fn are_default(self) -> bool {
        self == Self::default()
    }
}

/// Takes files, one after the other. Dropped without [`Unpacking::finish`] it leaves what has been unpacked.
pub trait Unpacking: Send {
    /// Sends a file by its path below the folder: `size` bytes of `content`. Folders above it are made.
    fn file(&mut self, path: &str, size: u64, content: &mut dyn Read) -> Result<()>;

    /// Makes a folder by its path below the folder; the one that it is in is there.
    fn folder(&mut self, path: &str) -> Result<()>;

    /// Waits until everything is unpacked.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Bytes that wait to be sent.
const BUFFER: usize = 256 << 10;

/// A stream to a `tar` on the node.
pub(super) struct TarStream {
    running: Running,
    builder: Option<Builder<BufWriter<ChildStdin>>>,
    owner: Owner,
    mtime: u64,
    folders: HashSet<String>,
    node: String,
}

impl TarStream {
    pub(super) fn new(mut running: Running, node: String, owner: Owner) -> Result<Self> {
        let stdin = running.stdin().ok_or_else(|| NodeError::Connection {
            node: node.clone(),
            doing: "unpack files".into(),
            problem: "the program has no input".into(),
        })?;
        let mtime = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Ok(Self {
            running,
            builder: Some(Builder::new(BufWriter::with_capacity(BUFFER, stdin))),
            owner,
            mtime,
            folders: HashSet::new(),
            node,
        })
    }

    fn header(&self, kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(self.mtime);
        header.set_uid(self.owner.uid.into());
        header.set_gid(self.owner.gid.into());
        header
    }

    fn append(&mut self, path: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut above = Vec::new();
        let mut folder = path;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            if self.folders.contains(parent) {
                break;
            }
            above.push(parent.to_owned());
            folder = parent;
        }
        let file = self.header(EntryType::Regular, self.owner.modes.file, size);
        let folder = self.header(EntryType::Directory, self.owner.modes.folder, 0);
        let builder = self.builder.as_mut().ok_or_else(|| io::Error::other("the stream has ended"))?;
        // The outermost first. Made by tar on its own, they would belong to root.
        for parent in above.into_iter().rev() {
            builder.append_data(&mut folder.clone(), format!("{parent}/"), io::empty())?;
            self.folders.insert(parent);
        }
        let mut counted = content.take(size);
        builder.append_data(&mut file.clone(), path, &mut counted)?;
        match counted.limit() {
            0 => Ok(()),
            missing => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{missing} bytes of {path} are missing"),
            )),
        }
    }

    /// What the program on the other side said, after a write to it failed.
    fn broken(&mut self, error: &io::Error) -> NodeError {
        self.builder = None;
        let doing = "unpack files";
        match self.running.finish(doing, false) {
            Err(e) => e,
            Ok((code, said)) => NodeError::Program {
                node: self.node.clone(),
                doing: doing.into(),
                command: self.running.command().to_owned(),
                problem: if code == 0 { error.to_string() } else { problem(code, &said) },
            },
        }
    }
}

impl Unpacking for TarStream {
    fn file(&mut self, path: &str, size: u64, content: &mut dyn Read) -> Result<()> {
        self.append(path, size, content).map_err(|e| self.broken(&e))
    }

    fn folder(&mut self, path: &str) -> Result<()> {
        let mut header = self.header(EntryType::Directory, self.owner.modes.folder, 0);
        let appended = match self.builder.as_mut() {
            Some(builder) => builder.append_data(&mut header, format!("{path}/"), io::empty()),
            None => Err(io::Error::other("the stream has ended")),
        };
        appended.map_err(|e| self.broken(&e))?;
        self.folders.insert(path.to_owned());
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if let Some(builder) = self.builder.take() {
            let flushed = builder.into_inner().and_then(|mut out| out.flush());
            if let Err(e) = flushed {
                return Err(self.broken(&e));
            }
        }
        let (code, said) = self.running.finish("unpack files", false)?;
        if code == 0 {
            return Ok(());
        }
        Err(NodeError::Program {
            node: self.node.clone(),
            doing: "unpack files".into(),
            command: self.running.command().to_owned(),
            problem: problem(code, &said),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_gets_what_the_folder_gives_it() {
        let modes = |folder| {
            let Modes { folder, file } = Modes::within(folder);
            (folder, file)
        };
        assert_eq!(modes(0o755), (0o750, 0o640));
        assert_eq!(modes(0o700), (0o750, 0o640));
        assert_eq!(modes(0o775), (0o770, 0o660));
        assert_eq!(modes(0o2770), (0o2770, 0o660));
        assert_eq!(modes(0o2750), (0o2750, 0o640));
    }
}

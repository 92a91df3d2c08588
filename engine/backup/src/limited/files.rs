//! Files of a node that are read no faster than allowed, whoever reads them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use node::{
    FileEntry, FileStat, FoundFile, NodeError, NodeFiles, NodeStreams, OddEntry, Owner, PackedFile, Packing,
    RestOf, TakeFile, TakeRest, Unpacking,
};
use store::Limiter;

use super::wait_for;

type Result<T> = node::Result<T>;

/// Bytes that are waited for at once, so that a connection is never idle for long.
const PIECE: usize = 64 << 10;

/// Files of a node. The content of those that come as streams comes no faster than the limiter allows; lists and the like are not
/// limited.
pub(crate) struct LimitedFiles {
    inner: Arc<dyn NodeFiles>,
    limiter: Arc<Limiter>,
}

impl LimitedFiles {
    /// The same files.
    pub(crate) fn new(inner: Arc<dyn NodeFiles>, limiter: Arc<Limiter>) -> Self {
        Self { inner, limiter }
    }

    /// Only whoever got them of [`NodeFiles::streams`] calls the methods that need them.
    fn inner_streams(&self) -> Result<&dyn NodeStreams> {
        self.inner.streams().ok_or_else(|| NodeError::Io {
            node: self.inner.node(),
            doing: "read as a stream",
            path: PathBuf::new(),
            source: io::ErrorKind::Unsupported.into(),
        })
    }

    fn limited<'r>(&'r self, content: &'r mut dyn Read) -> LimitedStream<'r> {
        LimitedStream { content, limiter: &self.limiter }
    }
}

/// Bytes that arrive no faster than allowed.
struct LimitedStream<'r> {
    content: &'r mut dyn Read,
    limiter: &'r Limiter,
}

impl Read for LimitedStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(PIECE);
        let count = self.content.read(&mut buf[..most])?;
        wait_for(Some(self.limiter), count);
        Ok(count)
    }
}

impl NodeFiles for LimitedFiles {
    fn node(&self) -> String {
        self.inner.node()
    }

    fn streams(&self) -> Option<&dyn NodeStreams> {
        self.inner.streams().map(|_| self as &dyn NodeStreams)
    }

    fn while_stopped(&self) -> Result<Option<Box<dyn NodeFiles>>> {
        let stopped = self.inner.while_stopped()?;
        Ok(stopped.map(|inner| Box::new(Self::new(Arc::from(inner), Arc::clone(&self.limiter))) as Box<_>))
    }

    fn list(&self, folder: &Path) -> Result<Option<Vec<FileEntry>>> {
        self.inner.list(folder)
    }

    fn paths(&self, folder: &Path) -> Result<Vec<String>> {
        self.inner.paths(folder)
    }

    fn odd_entries(&self, folder: &Path) -> Result<Vec<OddEntry>> {
        self.inner.odd_entries(folder)
    }

    fn list_all(&self, folders: &[&Path]) -> Result<Vec<Option<Vec<FileEntry>>>> {
        self.inner.list_all(folders)
    }

    fn sum(&self, folder: &Path) -> Result<(u64, u64)> {
        self.inner.sum(folder)
    }

    fn tail(&self, path: &Path, bytes: u64) -> Result<Option<Vec<u8>>> {
        self.inner.tail(path, bytes)
    }

    fn read(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        self.inner.read(path, most)
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        self.inner.write(path, content)
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        self.inner.create_folder(path)
    }

    fn move_into(&self, paths: &[PathBuf], folder: &Path) -> Result<()> {
        self.inner.move_into(paths, folder)
    }

    fn remove(&self, paths: &[PathBuf]) -> Result<()> {
        self.inner.remove(paths)
    }

    fn free_bytes(&self, folder: &Path) -> Result<u64> {
        self.inner.free_bytes(folder)
    }

    fn sync(&self, folder: &Path) -> Result<()> {
        self.inner.sync(folder)
    }
}

impl NodeStreams for LimitedFiles {
    fn find(&self, folder: &Path) -> Result<Vec<FoundFile>> {
        self.inner_streams()?.find(folder)
    }

    fn unpack(&self, folder: &Path, owner: Option<Owner>) -> Result<Box<dyn Unpacking>> {
        self.inner_streams()?.unpack(folder, owner)
    }

    fn pack(&self, folder: &Path, paths: &[String], take: &mut TakeFile<'_>) -> Result<Packing> {
        self.inner_streams()?.pack(folder, paths, &mut |PackedFile { path, size, mtime, content }| {
            take(PackedFile { path, size, mtime, content: &mut self.limited(content) })
        })
    }

    fn tails(&self, folder: &Path, paths: &[String], bytes: u64) -> Result<Vec<Option<Vec<u8>>>> {
        let tails = self.inner_streams()?.tails(folder, paths, bytes)?;
        wait_for(Some(&self.limiter), tails.iter().flatten().map(Vec::len).sum());
        Ok(tails)
    }

    fn stats(&self, folder: &Path, paths: &[String]) -> Result<Vec<Option<FileStat>>> {
        self.inner_streams()?.stats(folder, paths)
    }

    fn rests(&self, folder: &Path, files: &[RestOf], take: &mut TakeRest<'_>) -> Result<Packing> {
        self.inner_streams()?
            .rests(folder, files, &mut |number, content| take(number, &mut self.limited(content)))
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        self.inner_streams()?.size(path)
    }

    fn blocks(&self, path: &Path, first: u64, count: u64) -> Result<Vec<u8>> {
        let blocks = self.inner_streams()?.blocks(path, first, count)?;
        wait_for(Some(&self.limiter), blocks.len());
        Ok(blocks)
    }
}

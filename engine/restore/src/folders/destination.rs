//! Where the files of a restored node go: into a directory of this machine, or through a stream to another machine.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use couchfile::read_at::ReadAt;
use node::Unpacking;
use outcome::{Failure, Result};

use super::staging::Staging;

/// Bytes read, and reported, at a time.
const PIECE: u64 = 1 << 20;

/// The staging directory of one node.
pub(crate) enum Destination {
    /// A directory of this machine.
    Folder(Staging),
    /// A stream that another machine unpacks.
    Stream(Mutex<Stream>),
}

/// A stream to a node; `None` after it has ended or broken.
pub(crate) struct Stream {
    unpacking: Option<Box<dyn Unpacking>>,
    /// Files that were sent through the stream, and their bytes.
    sent: (u64, u64),
}

impl Destination {
    pub(crate) fn stream(unpacking: Box<dyn Unpacking>) -> Self {
        Self::Stream(Mutex::new(Stream { unpacking: Some(unpacking), sent: (0, 0) }))
    }

    /// Whether large files can be written piece by piece.
    pub(crate) fn folder(&self) -> Option<&Staging> {
        match self {
            Self::Folder(staging) => Some(staging),
            Self::Stream(_) => None,
        }
    }

    /// Creates a directory, by its path below the data directory; its parent exists.
    pub(crate) fn create_folder(&self, path: &str) -> Result<()> {
        match self {
            Self::Folder(staging) => staging.create_folder(path),
            Self::Stream(stream) => {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(unpacking) = stream.unpacking.as_mut() else {
                    return Err(Failure::bug(format!(
                        "{path} was to be created through a stream that has ended"
                    )));
                };
                Ok(unpacking.folder(path)?)
            }
        }
    }

    /// Writes a file of these parts.
    pub(crate) fn put(&self, path: &str, parts: &[&[u8]]) -> Result<()> {
        match self {
            Self::Folder(staging) => {
                let mut file = staging.create_file(path)?;
                file.write_all(&parts.concat()).map_err(|e| Failure::io("write", staging.path_of(path), e))
            }
            Self::Stream(stream) => {
                let bytes = parts.concat();
                send(stream, path, bytes.len() as u64, &mut bytes.as_slice())
            }
        }
    }

    /// Writes a file of the first `keep` bytes of `source`, followed by `tail`. `progress` is called with numbers of bytes that were
    /// read of `source`: in the end, with `keep`.
    pub(crate) fn copy(
        &self,
        path: &str,
        source: &dyn ReadAt,
        keep: u64,
        tail: &[u8],
        progress: &dyn Fn(u64),
    ) -> Result<()> {
        let mut content = Part { source, offset: 0, end: keep, unreported: 0, progress }.chain(tail);
        match self {
            Self::Folder(staging) => {
                let mut file = staging.create_file(path)?;
                copy_pieces(&mut content, &mut file)
                    .map_err(|e| Failure::io("write", staging.path_of(path), e))
            }
            Self::Stream(stream) => send(stream, path, keep + tail.len() as u64, &mut content),
        }
    }

    /// Makes the data durable, if that is possible from this machine.
    pub(crate) fn sync(&self) -> Result<()> {
        self.folder().map_or(Ok(()), Staging::sync)
    }

    /// Ends the stream; returns how many files and bytes were sent through it.
    pub(crate) fn finish(&self) -> Result<(u64, u64)> {
        let Self::Stream(stream) = self else { return Ok((0, 0)) };
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unpacking) = stream.unpacking.take() {
            unpacking.finish()?;
        }
        Ok(stream.sent)
    }
}

fn send(stream: &Mutex<Stream>, path: &str, size: u64, content: &mut dyn Read) -> Result<()> {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(unpacking) = stream.unpacking.as_mut() else {
        return Err(Failure::bug(format!("{path} was to be sent through a stream that has ended")));
    };
    match unpacking.file(path, size, content) {
        Ok(()) => {
            stream.sent.0 += 1;
            stream.sent.1 += size;
            Ok(())
        }
        Err(error) => {
            stream.unpacking = None;
            Err(error.into())
        }
    }
}

fn copy_pieces(content: &mut dyn Read, file: &mut File) -> io::Result<()> {
    let mut piece = vec![0; PIECE as usize];
    loop {
        match content.read(&mut piece)? {
            0 => return Ok(()),
            n => file.write_all(&piece[..n])?,
        }
    }
}

/// A part of a source, as a reader.
struct Part<'s> {
    source: &'s dyn ReadAt,
    offset: u64,
    end: u64,
    /// Bytes that were read since `progress` was called.
    unreported: u64,
    progress: &'s dyn Fn(u64),
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (self.end - self.offset).min(buffer.len() as u64) as usize;
        self.source.read_exact_at(&mut buffer[..n], self.offset)?;
        self.offset += n as u64;
        self.unreported += n as u64;
        if self.unreported >= PIECE || self.offset == self.end {
            (self.progress)(std::mem::take(&mut self.unreported));
        }
        Ok(n)
    }
}

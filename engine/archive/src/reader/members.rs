//! Members of an archive file, read and checked one by one.

use std::sync::{Arc, Mutex};

use couchfile::read_at::ReadAt;
use outcome::Lock;

use crate::entry::Entry;
use crate::error::{ArchiveError, Result};
use crate::gzip::{Inflater, content_size, largest_content, longest_member};
use crate::tar::encode::{check_header, header_length};
use crate::tar::padding;

/// What is known of the size of a member's content, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentSize {
    Exactly(u64),
    UpTo(u64),
}

impl ContentSize {
    pub(super) fn fits(self, size: u64) -> bool {
        match self {
            Self::Exactly(told) => size == told,
            Self::UpTo(limit) => size <= limit,
        }
    }
}

/// Tools that are kept for later, at most.
const SPARE_TOOLS: usize = 4;

/// The archive file.
pub(crate) struct Members {
    source: Arc<dyn ReadAt>,
    name: String,
    /// For members that are read now and then, by any thread.
    spare: Mutex<Vec<Tools>>,
}

/// What it takes to read members without new memory.
struct Tools {
    inflater: Inflater,
    compressed: Vec<u8>,
    content: Vec<u8>,
}

/// Reads members one after the other without new memory.
pub(super) struct MemberReader<'a> {
    members: &'a Members,
    tools: Tools,
}

impl Tools {
    fn new() -> Self {
        Self { inflater: Inflater::new(), compressed: Vec::new(), content: Vec::new() }
    }
}

impl Members {
    pub(super) fn new(source: Arc<dyn ReadAt>, name: &str) -> Self {
        Self { source, name: name.to_owned(), spare: Mutex::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn length(&self) -> u64 {
        self.source.len()
    }

    /// Reads bytes of the file.
    pub(crate) fn read_raw(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.source.read_exact_at(buf, offset).map_err(|error| {
            ArchiveError::io(&self.name, format!("read {} bytes at {offset}", buf.len()), error)
        })
    }

    /// Fills `content` with that of the member at `offset`.
    pub(crate) fn read(
        &self,
        offset: u64,
        length: u64,
        size: ContentSize,
        content: &mut Vec<u8>,
    ) -> Result<()> {
        self.with_tools(|tools| {
            let told = self.fetch(offset, length, size, &mut tools.compressed)?;
            tools
                .inflater
                .member(&tools.compressed, told, content)
                .map_err(|reason| self.damaged(offset, reason))
        })
    }

    /// Gives `take` the content of the member at `offset` up to `end`; `None` if it has to be read completely.
    ///
    /// The member's checksum stays unchecked: what it holds has to be verified otherwise.
    pub(super) fn read_beginning<T>(
        &self,
        offset: u64,
        length: u64,
        size: ContentSize,
        end: usize,
        take: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        self.with_tools(|tools| {
            let told = self.fetch(offset, length, size, &mut tools.compressed).ok()?;
            take(tools.inflater.beginning(&tools.compressed, told, end, &mut tools.content)?)
        })
    }

    fn with_tools<T>(&self, work: impl FnOnce(&mut Tools) -> T) -> T {
        let spare = || self.spare.locked();
        let tools = spare().pop();
        let mut tools = tools.unwrap_or_else(Tools::new);
        let done = work(&mut tools);
        let mut spare = spare();
        if spare.len() < SPARE_TOOLS {
            spare.push(tools);
        }
        done
    }

    /// Reads a member as it is in the file; gives the size of its content, which may be allocated.
    fn fetch(&self, offset: u64, length: u64, size: ContentSize, compressed: &mut Vec<u8>) -> Result<usize> {
        let (ContentSize::Exactly(limit) | ContentSize::UpTo(limit)) = size;
        if length > longest_member(limit) {
            return Err(self.damaged(offset, "it is longer than its content could make it"));
        }
        if offset.checked_add(length).is_none_or(|end| end > self.length()) {
            return Err(ArchiveError::truncated(
                &self.name,
                format!("before the {length} bytes at byte {offset} that its table of contents names"),
            ));
        }
        compressed.resize(length as usize, 0);
        self.read_raw(offset, compressed)?;
        let told = match size {
            ContentSize::Exactly(size) => size,
            ContentSize::UpTo(_) => content_size(compressed)
                .map(u64::from)
                .ok_or_else(|| self.damaged(offset, "it is too short for gzip"))?,
        };
        // Neither number decides alone what is allocated.
        if told > limit || told > largest_content(length) {
            return Err(self.damaged(offset, "its content claims an absurd size"));
        }
        Ok(told as usize)
    }

    fn damaged(&self, offset: u64, reason: &str) -> ArchiveError {
        ArchiveError::member(&self.name, offset, reason)
    }

    /// Checks headers, padding and hash of an entry in a packed member with this content; gives its time and
    /// its content. `offset` is that of the member.
    pub(crate) fn check_packed<'a>(
        &self,
        entry: &Entry,
        skip: u64,
        content: &'a [u8],
        offset: u64,
    ) -> Result<(u64, &'a [u8])> {
        let damaged = |reason: &str| {
            ArchiveError::tar(&self.name, skip, &entry.name, format!("{reason}; member at {offset}"))
        };
        let parts =
            usize::try_from(skip).ok().zip(usize::try_from(entry.size).ok()).and_then(|(skip, size)| {
                let header = content.get(skip.checked_sub(header_length(&entry.name))?..skip)?;
                let (bytes, rest) = content.get(skip..)?.split_at_checked(size)?;
                Some((header, bytes, rest.get(..padding(entry.size))?))
            });
        let Some((header, bytes, zeros)) = parts else {
            return Err(damaged("it lies beyond its member"));
        };
        let mtime = check_header(header, &entry.name, entry.size).map_err(damaged)?;
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(damaged("its padding is not zero"));
        }
        if blake3::hash(bytes) != entry.blake3 {
            return Err(ArchiveError::hash(&self.name, &entry.name));
        }
        Ok((mtime, bytes))
    }

    /// Checks the member with the headers of a large entry; gives its time.
    pub(super) fn check_large_header(&self, name: &str, size: u64, offset: u64, length: u64) -> Result<u64> {
        let mut header = Vec::new();
        self.read(offset, length, ContentSize::Exactly(header_length(name) as u64), &mut header)?;
        check_header(&header, name, size)
            .map_err(|reason| ArchiveError::tar(&self.name, 0, name, format!("{reason}; member at {offset}")))
    }

    /// Checks the padding of a chunk of `name`, `length` bytes long, and gives the chunk without it.
    pub(super) fn check_chunk<'a>(&self, name: &str, content: &'a [u8], length: u64) -> Result<&'a [u8]> {
        let (bytes, zeros) = content.split_at_checked(length as usize).unwrap_or((content, &[]));
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::tar(&self.name, length, name, "its padding is not zero"));
        }
        Ok(bytes)
    }
}

/// Size of the content of a chunk's member and of the chunk itself, in bytes.
pub(super) fn chunk_sizes(size: u64, chunk_size: u64, index: u64) -> (u64, u64) {
    let rest = size.saturating_sub(index.saturating_mul(chunk_size));
    if rest > chunk_size { (chunk_size, chunk_size) } else { (rest + padding(size) as u64, rest) }
}

impl<'a> MemberReader<'a> {
    pub(super) fn new(members: &'a Members) -> Self {
        Self { members, tools: Tools::new() }
    }

    /// The content of the member at `offset`.
    pub(super) fn read(&mut self, offset: u64, length: u64, size: u64) -> Result<&[u8]> {
        let Tools { inflater, compressed, content } = &mut self.tools;
        let told = self.members.fetch(offset, length, ContentSize::Exactly(size), compressed)?;
        inflater.member(compressed, told, content).map_err(|reason| self.members.damaged(offset, reason))?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_an_entry() {
        assert_eq!(chunk_sizes(2049, 1024, 0), (1024, 1024));
        assert_eq!(chunk_sizes(2049, 1024, 2), (512, 1));
        assert_eq!(chunk_sizes(2048, 1024, 1), (1024, 1024));
        assert_eq!(chunk_sizes(2048, 1024, 9), (0, 0));
    }
}

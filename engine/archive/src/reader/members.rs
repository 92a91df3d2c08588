//! Members of an archive file, read and checked one by one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use couchfile::read_at::ReadAt;

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

/// The archive file.
pub(crate) struct Members {
    source: Arc<dyn ReadAt>,
    name: String,
}

/// Reads members one after the other without new memory.
pub(super) struct MemberReader<'a> {
    members: &'a Members,
    inflater: Inflater,
    compressed: Vec<u8>,
    content: Vec<u8>,
}

impl Members {
    pub(super) fn new(source: Arc<dyn ReadAt>, name: &str) -> Self {
        Self { source, name: name.to_owned() }
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
        self.read_with(&mut Inflater::new(), &mut Vec::new(), offset, length, size, content)
    }

    fn read_with(
        &self,
        inflater: &mut Inflater,
        compressed: &mut Vec<u8>,
        offset: u64,
        length: u64,
        size: ContentSize,
        content: &mut Vec<u8>,
    ) -> Result<()> {
        let damaged = |reason: &str| ArchiveError::member(&self.name, offset, reason);
        let (ContentSize::Exactly(limit) | ContentSize::UpTo(limit)) = size;
        if length > longest_member(limit) {
            return Err(damaged("it is longer than its content could make it"));
        }
        if offset.checked_add(length).is_none_or(|end| end > self.length()) {
            return Err(ArchiveError::truncated(
                &self.name,
                format!("before the {length} bytes at byte {offset} that its table of contents tells of"),
            ));
        }
        compressed.clear();
        compressed.resize(length as usize, 0);
        self.read_raw(offset, compressed)?;
        let told = match size {
            ContentSize::Exactly(size) => size,
            ContentSize::UpTo(_) => {
                content_size(compressed).map(u64::from).ok_or_else(|| damaged("it is too short for gzip"))?
            }
        };
        // Neither number decides alone what is allocated.
        if told > limit || told > largest_content(length) {
            return Err(damaged("its content claims an absurd size"));
        }
        inflater.member(compressed, told as usize, content).map_err(damaged)
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
        Self { members, inflater: Inflater::new(), compressed: Vec::new(), content: Vec::new() }
    }

    /// The content of the member at `offset`.
    pub(super) fn read(&mut self, offset: u64, length: u64, size: u64) -> Result<&[u8]> {
        let size = ContentSize::Exactly(size);
        self.members.read_with(
            &mut self.inflater,
            &mut self.compressed,
            offset,
            length,
            size,
            &mut self.content,
        )?;
        Ok(&self.content)
    }
}

/// Decompressed members, those used last.
pub(super) struct Cache {
    capacity: usize,
    state: Mutex<CacheState>,
}

/// The content of a member.
struct Kept {
    content: Arc<Vec<u8>>,
    /// Time of the last use.
    used: u64,
}

#[derive(Default)]
struct CacheState {
    /// By offset and length of the member.
    members: HashMap<(u64, u64), Kept>,
    bytes: usize,
    clock: u64,
}

impl Cache {
    /// A cache of up to `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    fn get(&self, offset: u64, length: u64) -> Option<Arc<Vec<u8>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let clock = state.clock;
        let kept = state.members.get_mut(&(offset, length))?;
        kept.used = clock;
        Some(Arc::clone(&kept.content))
    }

    fn put(&self, offset: u64, length: u64, content: &Arc<Vec<u8>>) {
        /// What a small member costs beside its content.
        const OVERHEAD: usize = 256;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let clock = state.clock;
        let weight = |content: &Vec<u8>| content.len() + OVERHEAD;
        state.bytes += weight(content);
        let kept = Kept { content: Arc::clone(content), used: clock };
        if let Some(old) = state.members.insert((offset, length), kept) {
            state.bytes -= weight(&old.content);
        }
        while state.bytes > self.capacity {
            let oldest = state.members.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
            let Some(old) = oldest.and_then(|key| state.members.remove(&key)) else {
                break;
            };
            state.bytes -= weight(&old.content);
        }
    }

    /// The content of a member of `members`, out of the cache where it is there.
    pub(super) fn read(
        &self,
        members: &Members,
        offset: u64,
        length: u64,
        size: ContentSize,
    ) -> Result<Arc<Vec<u8>>> {
        if let Some(content) = self.get(offset, length) {
            let fits = match size {
                ContentSize::Exactly(size) => content.len() == size,
                ContentSize::UpTo(size) => content.len() <= size,
            };
            if fits {
                return Ok(content);
            }
        }
        let mut content = Vec::new();
        members.read(offset, length, size, &mut content)?;
        let content = Arc::new(content);
        self.put(offset, length, &content);
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_keeps_what_was_used_last_within_its_bytes() {
        let cache = Cache::new(4 * 1256);
        for offset in 0..4 {
            cache.put(offset, 1, &Arc::new(vec![0; 1000]));
        }
        assert!(cache.get(0, 1).is_some());
        cache.put(4, 1, &Arc::new(vec![0; 1000]));
        assert!(cache.get(1, 1).is_none());
        assert!(cache.get(0, 1).is_some());
        cache.put(5, 1, &Arc::new(vec![0; 100_000]));
        assert!(cache.get(5, 1).is_none(), "larger than the cache");
        assert_eq!(cache.state.lock().unwrap().bytes, 0);
    }

    #[test]
    fn chunks_of_an_entry() {
        assert_eq!(chunk_sizes(2049, 1024, 0), (1024, 1024));
        assert_eq!(chunk_sizes(2049, 1024, 2), (512, 1));
        assert_eq!(chunk_sizes(2048, 1024, 1), (1024, 1024));
        assert_eq!(chunk_sizes(2048, 1024, 9), (0, 0));
    }
}

//! A single `.couch` file as a backup of one database.
//!
//! The file is read as one of CouchDB 1.x: it is the only shard of a database with one range. A shard of a newer CouchDB is read the
//! same way; the database then has the documents of that shard.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use archive::{ArchiveError, EntryInfo, Facts, Visitor};
use couchfile::data_dir::{DataFile, SHARD_MAPS, ShardName, split_suffix};
use couchfile::database::Database;
use couchfile::database_name;
use couchfile::read_at::{FileBytes, Prefix, ReadAt};
use outcome::{Failure, Result};

use super::{FileEntry, FileToVerify, Files, OPEN_FILE, OpenFile, Source, Visited};
use crate::couchdb1::{COUCHDB_1, map_of_couchdb_1};
use crate::headers::{SMALL, shard_header};
use crate::rebuild::{properties, write_maps};
use crate::unusable::unusable;

/// What the names of such files end with.
const ENDING: &str = ".couch";
/// The name of a database whose file has a name that no database can have.
const NAMELESS: &str = "database";
/// Bytes at the end of a file that identify it.
const IDENTIFYING: u64 = 64 << 10;
/// Bytes that are read at a time.
const PIECE: u64 = 1 << 20;

/// The name of the database as which a `.couch` file is read: that of the file, without the suffix of a shard. `None` if the path
/// does not name such a file.
pub fn database_of_file(path: &Path) -> Option<String> {
    let stem = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
    if !path.is_file() {
        return None;
    }
    let (db, _) = split_suffix(stem);
    Some(if database_name::check(db).is_ok() { db } else { NAMELESS }.to_owned())
}

/// What tells a file from others. Those of CouchDB 1.x have no uuid, but their last tree nodes differ, which name documents and
/// their revisions.
fn identity(content: &impl ReadAt, name: &str, seq: u64) -> std::io::Result<String> {
    let length = content.len().min(IDENTIFYING);
    let mut end = vec![0; length as usize];
    content.read_exact_at(&mut end, content.len() - length)?;
    Ok(format!("{name}-{seq}-{}", &blake3::hash(&end).to_hex()[..32]))
}

/// A `.couch` file.
pub(super) struct CouchFile {
    name: String,
    identity: String,
    record: serde_json::Value,
    shard: ShardName,
    /// The file up to the end of its last header.
    content: Prefix<Arc<FileBytes>>,
    maps: Arc<FileBytes>,
    entries: Vec<FileEntry>,
}

impl CouchFile {
    /// Opens it.
    ///
    /// Fails if it has no valid header.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| Failure::io("open", path, e))?;
        let bytes = Arc::new(FileBytes::new(file).map_err(|e| Failure::io("read", path, e))?);
        let (header, end) = shard_header(&bytes).map_err(|e| unusable(&name, e))?;
        let content = Prefix::new(Arc::clone(&bytes), end);
        let database = Database::open(&content).map_err(|e| unusable(&name, e))?;
        let db = database_of_file(path).unwrap_or_else(|| NAMELESS.to_owned());
        let mut map = map_of_couchdb_1(&db);
        if let Some(properties) = properties(&database) {
            map.set_properties(properties);
        }
        let maps = write_maps(std::slice::from_ref(&map), COUCHDB_1, |_| Ok(()))?;
        let opened = Database::open(&maps).map_err(|e| unusable(SHARD_MAPS, e))?;
        let maps_facts = Facts::ShardMaps {
            node: Some(COUCHDB_1.to_owned()),
            maps: 1,
            uuid: opened.header().uuid.clone(),
            seq: opened.header().update_seq,
            header: opened.header_offset(),
        };
        drop(opened);
        let shard = map.shards().next().ok_or_else(|| Failure::bug("a map without a shard"))?;
        let identity = identity(&content, header.uuid.as_deref().unwrap_or(&db), header.seq)
            .map_err(|e| Failure::io("read", path, e))?;
        let entries = vec![
            FileEntry { name: SHARD_MAPS.to_owned(), size: maps.len(), blake3: None, facts: maps_facts },
            FileEntry {
                name: shard.path(),
                size: end,
                blake3: None,
                facts: header.facts(shard.clone(), Some(COUCHDB_1.to_owned())),
            },
        ];
        let record = serde_json::Value::Null;
        Ok(Self { name, identity, record, shard, content, maps: Arc::new(maps), entries })
    }

    /// The content of a file.
    fn content(&self, name: &str) -> Option<Box<dyn ReadAt>> {
        match DataFile::parse(name)? {
            DataFile::ShardMaps => Some(Box::new(Arc::clone(&self.maps))),
            DataFile::Shard(shard) if shard == self.shard => Some(Box::new(self.content.clone())),
            _ => None,
        }
    }
}

impl Source for CouchFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn files(&self) -> Option<&dyn Files> {
        Some(self)
    }

    fn into_files(self: Box<Self>) -> Result<Box<dyn Files>, Box<dyn Source>> {
        Ok(self)
    }

    fn visit(
        &self,
        _: usize,
        wanted: &(dyn Fn(&str) -> bool + Sync),
        visitor: &dyn Visitor,
    ) -> Result<Visited> {
        for entry in self.entries.iter().filter(|entry| wanted(&entry.name)) {
            let Some(content) = self.content(&entry.name) else { continue };
            let mut info = EntryInfo {
                name: &entry.name,
                size: entry.size,
                mtime: 0,
                blake3: None,
                facts: Some(&entry.facts),
            };
            let read = |buf: &mut [u8], at| {
                content.read_exact_at(buf, at).map_err(|e| Failure::io("read", Path::new(&self.name), e))
            };
            if entry.size <= SMALL {
                let mut bytes = vec![0; entry.size as usize];
                read(&mut bytes, 0)?;
                info.blake3 = Some(blake3::hash(&bytes));
                visitor.small(&info, &bytes).map_err(ArchiveError::Visit)?;
                continue;
            }
            let Some(sink) = visitor.large(&info).map_err(ArchiveError::Visit)? else { continue };
            let (mut hasher, mut at) = (blake3::Hasher::new(), 0);
            let mut piece = vec![0; PIECE as usize];
            while at < entry.size {
                let piece = &mut piece[..PIECE.min(entry.size - at) as usize];
                read(piece, at)?;
                hasher.update(piece);
                sink.chunk(at, piece).map_err(ArchiveError::Visit)?;
                at += piece.len() as u64;
            }
            sink.finish(&hasher.finalize()).map_err(ArchiveError::Visit)?;
        }
        Ok(Visited { record: None, content_bytes: self.content_bytes() })
    }

    fn verify(&self, threads: usize, visitor: &dyn Visitor) -> Result<()> {
        self.visit(threads, &|_| true, visitor).map(drop)
    }
}

impl Files for CouchFile {
    fn root(&self) -> &'static str {
        ""
    }

    fn record(&self) -> &serde_json::Value {
        &self.record
    }

    fn content_bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    fn entries(&self) -> Box<dyn Iterator<Item = Result<FileEntry>> + Send + '_> {
        Box::new(self.entries.iter().cloned().map(Ok))
    }

    fn open(&self, name: &str) -> Result<Option<OpenFile>> {
        Ok(self.content(name).map(|content| OpenFile { content, memory: OPEN_FILE }))
    }

    fn open_to_verify<'p>(
        &self,
        name: &str,
        progress: &'p (dyn Fn(u64) + Sync),
    ) -> Result<Option<Box<dyn FileToVerify + 'p>>> {
        let content = self.content(name).filter(|content| content.len() > SMALL);
        Ok(content.map(|content| Box::new(Unrecorded { content, progress }) as Box<dyn FileToVerify + 'p>))
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(content) = self.content(name) else { return Ok(None) };
        if content.len() > limit {
            return Err(Failure::bug(format!("{name} of {} is larger than {limit} bytes", self.name)));
        }
        let mut bytes = vec![0; content.len() as usize];
        content.read_exact_at(&mut bytes, 0).map_err(|e| Failure::io("read", Path::new(&self.name), e))?;
        Ok(Some(bytes))
    }
}

/// A file of which no hash is recorded: only its own checksums prove it.
struct Unrecorded<'p> {
    content: Box<dyn ReadAt>,
    progress: &'p (dyn Fn(u64) + Sync),
}

impl ReadAt for Unrecorded<'_> {
    fn len(&self) -> u64 {
        self.content.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.content.read_exact_at(buf, offset)
    }
}

impl FileToVerify for Unrecorded<'_> {
    fn finish(&self, _: usize) -> Result<()> {
        (self.progress)(self.content.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_only_near_their_end_are_not_the_same() {
        let mut one = vec![7; 100_000];
        let first = identity(&one, "shop", 12).unwrap();
        assert_eq!(identity(&one, "shop", 12).unwrap(), first);
        one[60_000] = 8;
        assert_ne!(identity(&one, "shop", 12).unwrap(), first);
        assert_ne!(identity(&vec![7; 99_999], "shop", 13).unwrap(), first);
        assert!(identity(&Vec::<u8>::new(), "shop", 0).is_ok());
    }
}

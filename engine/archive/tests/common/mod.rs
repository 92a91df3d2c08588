//! What the tests share: sources in memory, visitors that collect, archives made of both.
#![allow(dead_code, missing_docs, clippy::missing_panics_doc, unreachable_pub)]

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use archive::{
    ArchiveWriter, EntryInfo, EntrySource, Facts, Hash, IndexedArchive, LargeSink, METADATA, Opened,
    SequentialArchive, Visitor, WriterOptions,
};
use couchfile::read_at::ReadAt;

pub const MTIME: u64 = 1_795_355_234;

/// Name and content of every entry.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// An entry in memory.
#[derive(Clone)]
pub struct Memory {
    pub name: String,
    pub content: Vec<u8>,
    pub large: bool,
}

impl EntrySource for Memory {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, outcome::Failure> {
        assert!(buf.is_empty());
        let (name, mtime, facts) = (self.name, MTIME, Facts::Other);
        if self.large {
            return Ok(Opened::Large { name, mtime, facts, seen: None, data: Box::new(self.content) });
        }
        buf.extend_from_slice(&self.content);
        Ok(Opened::Small { name, mtime, facts, seen: None })
    }
}

/// Bytes that compress a little, the same for the same seed.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b"0123456789abcdef{}\":,"[(state % 21) as usize]
        })
        .collect()
}

pub fn metadata() -> Vec<u8> {
    b"backup:\n  date: 2026-11-22\n".to_vec()
}

/// Writes an archive; entries in memory of odd index come as `Large`, whatever their size.
pub fn write(entries: &Contents, threads: usize, level: i32, chunk_size: usize) -> Vec<u8> {
    let options = WriterOptions { level, threads };
    let mut writer = ArchiveWriter::with_chunk_size(Vec::new(), options, chunk_size);
    writer.add_bytes(METADATA, MTIME, Facts::Metadata, &metadata()).unwrap();
    let sources =
        entries.iter().filter(|(name, _)| *name != METADATA).enumerate().map(|(index, (name, content))| {
            Memory { name: name.clone(), content: content.clone(), large: index % 2 == 1 }
        });
    writer.add_all(sources.collect::<Vec<_>>().into_iter(), &|_| {}).unwrap();
    writer.finish(serde_json::json!({"databases": 3})).unwrap().out
}

/// Entries of every kind of size for chunks of `chunk` bytes.
pub fn sample(chunk: usize) -> Contents {
    let mut entries = Contents::new();
    entries.insert(METADATA.to_owned(), metadata());
    let range = "data/shards/00000000-ffffffff";
    entries.insert("data/_dbs.couch".to_owned(), bytes(1, 4096));
    let sizes = [0, 1, 511, 512, 513, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk - 1, 5 * chunk + 7];
    for (index, size) in sizes.into_iter().enumerate() {
        entries.insert(format!("{range}/sized{index:02}.1795355234.couch"), bytes(index as u64 + 2, size));
    }
    for (index, name) in
        ["odd$()+-/and_nested.1.couch", "odd$()+-.1.couch", &"l".repeat(238), &"l".repeat(200)]
            .into_iter()
            .enumerate()
    {
        entries.insert(format!("{range}/{name}"), bytes(index as u64 + 40, 700));
    }
    // Names of 99, 100 and 101 bytes.
    for length in 69..=71 {
        entries.insert(format!("{range}/{}", "n".repeat(length)), bytes(length as u64, 10));
    }
    entries.insert(
        format!("data/.shards/00000000-ffffffff/{}.1_design/mrview/{}.view", "v".repeat(200), "0".repeat(32)),
        bytes(60, 3 * chunk),
    );
    for index in 0..40 {
        entries.insert(format!("{range}/small{index:03}.1795355234.couch"), bytes(index + 100, 300));
    }
    entries
}

/// A source that counts what is read of it.
pub struct Counting {
    pub bytes: Vec<u8>,
    pub read: AtomicU64,
}

impl Counting {
    pub fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { bytes, read: AtomicU64::new(0) })
    }

    pub fn take_count(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
    }
}

impl ReadAt for Counting {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.bytes.read_exact_at(buf, offset)
    }
}

/// Collects what it is given. A large entry that is never finished is not collected.
#[derive(Default)]
pub struct Collector {
    pub contents: Mutex<Contents>,
}

pub struct CollectingSink<'a> {
    collector: &'a Collector,
    name: String,
    size: u64,
    chunks: Mutex<BTreeMap<u64, Vec<u8>>>,
}

impl Visitor for Collector {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> Result<(), outcome::Failure> {
        assert_eq!(entry.size, content.len() as u64);
        assert_eq!(entry.blake3, Some(blake3::hash(content)));
        let before = self.contents.lock().unwrap().insert(entry.name.to_owned(), content.to_vec());
        assert!(before.is_none(), "{} comes twice", entry.name);
        Ok(())
    }

    fn large<'a>(
        &'a self,
        entry: &EntryInfo<'_>,
    ) -> Result<Option<Box<dyn LargeSink + 'a>>, outcome::Failure> {
        Ok(Some(Box::new(CollectingSink {
            collector: self,
            name: entry.name.to_owned(),
            size: entry.size,
            chunks: Mutex::default(),
        })))
    }
}

impl LargeSink for CollectingSink<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Result<(), outcome::Failure> {
        assert!(self.chunks.lock().unwrap().insert(offset, bytes.to_vec()).is_none());
        Ok(())
    }

    fn finish(&self, blake3: &Hash) -> Result<(), outcome::Failure> {
        let mut content = Vec::new();
        for (offset, bytes) in &*self.chunks.lock().unwrap() {
            assert_eq!(*offset, content.len() as u64);
            content.extend_from_slice(bytes);
        }
        assert_eq!(content.len() as u64, self.size);
        assert_eq!(*blake3, blake3::hash(&content));
        self.collector.contents.lock().unwrap().insert(self.name.clone(), content);
        Ok(())
    }
}

pub fn indexed(archive: &[u8]) -> IndexedArchive {
    IndexedArchive::from_source(Arc::new(archive.to_vec()), "test.tar.gz").unwrap().unwrap()
}

pub fn sequential(archive: &[u8]) -> SequentialArchive {
    SequentialArchive::from_source(Arc::new(archive.to_vec()), "test.tar.gz")
}

/// Everything in an archive with a table of contents, after `verify`.
pub fn verified(archive: &[u8]) -> archive::Result<Contents> {
    let collector = Collector::default();
    indexed(archive).verify(2, &collector)?;
    Ok(collector.contents.into_inner().unwrap())
}

/// Everything in an archive, in one pass.
pub fn streamed(archive: &[u8]) -> archive::Result<Contents> {
    let collector = Collector::default();
    sequential(archive).visit(2, &collector)?;
    Ok(collector.contents.into_inner().unwrap())
}

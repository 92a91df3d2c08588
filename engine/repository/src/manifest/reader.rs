//! Reads manifests: one file by its name, or all in order.

use std::iter::Peekable;
use std::sync::{Arc, Mutex};

use lru::LruCache;
use outcome::Lock as _;

use super::{Block, Changed, Footer, Line, MAGIC, MOST_FOOTER, MOST_PART, PackTable, TRAILER, order};
use crate::error::{RepositoryError, Result};
use crate::record::FileRecord;
use crate::repository::Repository;
use crate::snapshot::{ManifestPart, Snapshot};

/// Parts that are kept.
const KEPT: std::num::NonZeroUsize = std::num::NonZeroUsize::new(4).unwrap();

/// A part that was read, and has the hash that the snapshot says.
struct Part {
    name: String,
    content: Vec<u8>,
    footer: Footer,
    /// The block that was read last, decompressed.
    recent: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

impl Part {
    fn read(repository: &Repository, part: &ManifestPart) -> Result<Self> {
        let name = repository.directory().name_of(&part.key);
        let damaged = |problem: &str| RepositoryError::damaged(&name, problem);
        let open = |sealed: Vec<u8>| {
            if blake3::hash(&sealed).to_hex().as_str() != part.blake3 {
                return Err(damaged("it is not what the snapshot names: its hash differs").into());
            }
            repository.unseal_index(&name, sealed)
        };
        let content = repository
            .read_kept(&part.key, MOST_PART, open)?
            .ok_or_else(|| RepositoryError::Missing { object: name.clone(), needed_by: "a backup".into() })?;
        let trailer = content.len().checked_sub(TRAILER).and_then(|at| content.get(at..));
        let trailer: [u8; TRAILER] =
            trailer.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| damaged("it is too short"))?;
        let (offset, rest) = trailer.split_at(8);
        let (length, magic) = rest.split_at(8);
        if magic != MAGIC {
            return Err(damaged("it does not end as a manifest does").into());
        }
        let number = |bytes: &[u8]| bytes.try_into().map_or(u64::MAX, u64::from_le_bytes);
        let footer =
            slice(&content, number(offset), number(length)).ok_or_else(|| damaged("it has no footer"))?;
        let size = zstd::zstd_safe::get_frame_content_size(footer).ok().flatten().unwrap_or(u64::MAX);
        if size > MOST_FOOTER as u64 {
            return Err(damaged("its footer claims an absurd size").into());
        }
        let footer = zstd::bulk::decompress(footer, size as usize)
            .map_err(|_| damaged("its footer cannot be decompressed"))?;
        let footer: Footer = serde_json::from_slice(&footer)
            .map_err(|error| damaged(&format!("its footer cannot be read: {error}")))?;
        Ok(Self { name, content, footer, recent: Mutex::default() })
    }

    /// The lines of a block.
    fn block(&self, number: usize) -> Result<Arc<Vec<u8>>> {
        if let Some((_, lines)) = self.recent.locked().as_ref().filter(|(recent, _)| *recent == number) {
            return Ok(Arc::clone(lines));
        }
        let damaged = |problem: &str| RepositoryError::damaged(&self.name, problem);
        let block = self.footer.blocks.get(number).ok_or_else(|| damaged("a block is missing"))?;
        let Block { offset, length, size, .. } = block;
        let member =
            slice(&self.content, *offset, *length).ok_or_else(|| damaged("a block lies beyond its end"))?;
        if *size > MOST_FOOTER as u64 {
            return Err(damaged("a block claims an absurd size").into());
        }
        let lines = zstd::bulk::decompress(member, *size as usize)
            .map_err(|_| damaged("a block cannot be decompressed"))?;
        let lines = Arc::new(lines);
        *self.recent.locked() = Some((number, Arc::clone(&lines)));
        Ok(lines)
    }

    fn parse(&self, line: &[u8], table: &PackTable) -> Result<Changed> {
        Ok(Changed::parse(line, &|number| table.name(number))
            .map_err(|problem| RepositoryError::damaged(&self.name, problem))?)
    }
}

fn slice(content: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    content.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// One manifest: its parts and their packs.
struct Listing {
    repository: Repository,
    parts: Vec<ManifestPart>,
    table: PackTable,
    summary: serde_json::Value,
    kept: Mutex<LruCache<usize, Arc<Part>>>,
}

impl Listing {
    fn open(repository: &Repository, parts: &[ManifestPart]) -> Result<Self> {
        let mut kept = LruCache::new(KEPT);
        let (mut table, mut summary) = (PackTable::default(), serde_json::Value::Null);
        if let Some((number, last)) = parts.iter().enumerate().next_back() {
            let mut part = Part::read(repository, last)?;
            table = PackTable::of(std::mem::take(&mut part.footer.packs));
            summary = part.footer.summary.take();
            kept.put(number, Arc::new(part));
        }
        Ok(Self {
            repository: repository.clone(),
            parts: parts.to_vec(),
            table,
            summary,
            kept: Mutex::new(kept),
        })
    }

    fn part(&self, number: usize) -> Result<Option<Arc<Part>>> {
        if let Some(part) = self.kept.locked().get(&number) {
            return Ok(Some(Arc::clone(part)));
        }
        let Some(named) = self.parts.get(number) else { return Ok(None) };
        let part = Arc::new(Part::read(&self.repository, named)?);
        self.kept.locked().put(number, Arc::clone(&part));
        Ok(Some(part))
    }

    /// The line about a file.
    fn find(&self, name: &str) -> Result<Option<Changed>> {
        let wanted = order(name);
        let Some(number) = self.parts.partition_point(|part| order(&part.first) <= wanted).checked_sub(1)
        else {
            return Ok(None);
        };
        let Some(part) = self.part(number)? else { return Ok(None) };
        let Some(block) =
            part.footer.blocks.partition_point(|block| order(&block.first) <= wanted).checked_sub(1)
        else {
            return Ok(None);
        };
        let lines = part.block(block)?;
        // The name comes first in a line, as JSON: most lines need not be parsed.
        let quoted = serde_json::to_vec(name).unwrap_or_default();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let value = line.iter().position(|byte| *byte == b':').and_then(|at| line.get(at + 1..));
            if value.is_some_and(|value| value.starts_with(&quoted)) {
                let line = part.parse(line, &self.table)?;
                if line.name() == name {
                    return Ok(Some(line));
                }
            }
        }
        Ok(None)
    }

    fn lines(self: &Arc<Self>) -> Lines {
        Lines {
            listing: Arc::clone(self),
            number: 0,
            part: None,
            block: 0,
            text: Arc::default(),
            at: 0,
            last: None,
        }
    }
}

/// All lines of a manifest, in order.
struct Lines {
    listing: Arc<Listing>,
    /// Number of the next part.
    number: usize,
    part: Option<Arc<Part>>,
    /// Number of the next block.
    block: usize,
    /// The lines of the block that is read.
    text: Arc<Vec<u8>>,
    at: usize,
    last: Option<String>,
}

impl Lines {
    fn next_line(&mut self) -> Result<Option<Changed>> {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if let (Some(end), Some(part)) = (rest.iter().position(|byte| *byte == b'\n'), &self.part) {
                let line = part.parse(rest.get(..end).unwrap_or_default(), &self.listing.table)?;
                self.at += end + 1;
                if self.last.as_deref().is_some_and(|last| order(last) >= order(line.name())) {
                    let problem = format!("{} is not in order", line.name());
                    return Err(RepositoryError::damaged(&part.name, problem).into());
                }
                self.last = Some(line.name().to_owned());
                return Ok(Some(line));
            }
            if let Some(part) = self.part.as_ref().filter(|part| self.block < part.footer.blocks.len()) {
                self.text = part.block(self.block)?;
                (self.block, self.at) = (self.block + 1, 0);
            } else {
                self.part = self.listing.part(self.number)?;
                (self.number, self.block, self.at) = (self.number + 1, 0, 0);
                self.text = Arc::default();
                if self.part.is_none() {
                    return Ok(None);
                }
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Changed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

/// The manifest of a backup: its base, and what differs from it.
#[derive(Clone)]
pub(crate) struct Manifest {
    base: Arc<Listing>,
    changes: Option<Arc<Listing>>,
}

impl Manifest {
    /// Opens it: reads the last part of the base and of the changes.
    pub(crate) fn open(repository: &Repository, snapshot: &Snapshot) -> Result<Self> {
        let base = Arc::new(Listing::open(repository, &snapshot.base)?);
        let changes = match snapshot.changes.as_slice() {
            [] => None,
            parts => Some(Arc::new(Listing::open(repository, parts)?)),
        };
        Ok(Self { base, changes })
    }

    fn newest(&self) -> &Listing {
        self.changes.as_ref().unwrap_or(&self.base)
    }

    /// The record of the backup run.
    pub(crate) fn summary(&self) -> &serde_json::Value {
        &self.newest().summary
    }

    /// The packs that the backup needs, with what it needs of each.
    pub(crate) fn packs(&self) -> &PackTable {
        &self.newest().table
    }

    /// A file; `None` if the backup has none of this name.
    pub(crate) fn find(&self, name: &str) -> Result<Option<FileRecord>> {
        let complete =
            |line: Changed, base: Option<&FileRecord>, of: &Listing| -> Result<Option<FileRecord>> {
                let place = of.repository.name();
                match line.complete(base).map_err(|problem| RepositoryError::damaged(place, problem))? {
                    Line::File(file) => Ok(Some(file)),
                    Line::Gone(_) => Ok(None),
                }
            };
        let in_base = || match self.base.find(name)? {
            Some(line) => complete(line, None, &self.base),
            None => Ok(None),
        };
        let changed = self.changes.as_ref().map(|changes| changes.find(name)).transpose()?.flatten();
        match (changed, &self.changes) {
            (Some(line @ Changed::Keeps(..)), Some(changes)) => complete(line, in_base()?.as_ref(), changes),
            (Some(line), Some(changes)) => complete(line, None, changes),
            _ => in_base(),
        }
    }

    /// All files in order.
    pub(crate) fn records(&self) -> Records {
        Records {
            base: self.base.lines().peekable(),
            changes: self.changes.as_ref().map(|changes| changes.lines().peekable()),
            place: self.base.repository.name(),
            failed: false,
        }
    }
}

/// The files of a backup in order.
pub(crate) struct Records {
    base: Peekable<Lines>,
    changes: Option<Peekable<Lines>>,
    place: String,
    failed: bool,
}

/// A file of a backup, and what the manifests say of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) file: FileRecord,
    /// The line of the base about the same file, if there is one: the same if the file has no line in the changes.
    pub(crate) base: BaseLine,
}

/// What the manifests say of a name.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // Nearly all are files.
pub(crate) enum Listed {
    /// A file of the backup.
    File(Record),
    /// A file that only the base has.
    Gone(FileRecord),
}

/// The line of the base about a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BaseLine {
    /// It is this file's only line.
    Same,
    /// There is another one in the changes.
    Other(Box<FileRecord>),
    /// There is none.
    None,
}

impl Records {
    fn next_record(&mut self) -> Result<Option<Listed>> {
        let damaged = |problem| RepositoryError::damaged(&self.place, problem);
        let name = |line: &Result<Changed>| line.as_ref().ok().map(|line| line.name().to_owned());
        let base = self.base.peek().map(name);
        let changed = self.changes.as_mut().and_then(Peekable::peek).map(name);
        // An error comes out where it is taken.
        let (take_base, take_changed) = match (&base, &changed) {
            (None, None) => return Ok(None),
            (Some(None), _) | (Some(_), None) => (true, false),
            (_, Some(None)) | (None, Some(_)) => (false, true),
            (Some(Some(base)), Some(Some(changed))) => {
                (order(base) <= order(changed), order(changed) <= order(base))
            }
        };
        let base = if take_base { self.base.next().transpose()? } else { None };
        let changed =
            if take_changed { self.changes.as_mut().and_then(Iterator::next).transpose()? } else { None };
        let base = match base.map(|line| line.complete(None)).transpose().map_err(damaged)? {
            Some(Line::File(file)) => Some(file),
            Some(Line::Gone(name)) => return Err(damaged(format!("{name} is gone from a base")).into()),
            None => None,
        };
        let Some(changed) = changed else {
            return Ok(base.map(|file| Listed::File(Record { file, base: BaseLine::Same })));
        };
        match changed.complete(base.as_ref()).map_err(damaged)? {
            Line::File(file) => {
                let base = base.map_or(BaseLine::None, |base| BaseLine::Other(Box::new(base)));
                Ok(Some(Listed::File(Record { file, base })))
            }
            Line::Gone(name) => match base {
                Some(base) => Ok(Some(Listed::Gone(base))),
                None => Err(damaged(format!("{name} is gone, and was never there")).into()),
            },
        }
    }
}

impl Iterator for Records {
    type Item = Result<Listed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_record().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

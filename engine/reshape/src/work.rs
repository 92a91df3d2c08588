//! Writes the new shards of a job in one pass over the old ones.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use couchfile::data_dir::document_hash;
use couchfile::document::{DocInfo, LocalDocument, Purge};
use couchfile::error::CouchFileError;
use couchfile::writer::{SequencedWriter, Settings, SortedTree, SortedTrees};
use outcome::{Failure, Result};

use crate::error::ReshapeError;
use crate::job::Job;
use crate::judge::Judge;
use crate::local;
use crate::merge::ByAge;
use crate::run::{Counts, NewShards, OldShard, Reshaping};
use crate::sort::{Sorted, Sorter, Sorting};

/// Bytes that are collected before a file is written to.
const BUFFER: usize = 128 << 10;
/// Bytes after which progress is reported.
const STEP: u64 = 1 << 20;
/// Time after which progress is reported.
const PAUSE: Duration = Duration::from_millis(200);

/// A job and what it works with.
pub(crate) struct Work<'w> {
    pub(crate) reshaping: &'w Reshaping<'w>,
    /// The settings of all new shards, without uuid and node.
    pub(crate) settings: &'w Settings,
    pub(crate) job: &'w Job,
    /// Bytes of entries that are sorted in memory.
    pub(crate) memory: usize,
    pub(crate) out: &'w dyn NewShards,
}

/// A new shard that is being written.
type Growing = SequencedWriter<BufWriter<File>>;

/// A failure of a copy: of the old file, of the new one, or of the filter.
enum Failed {
    Write(CouchFileError),
    Read(CouchFileError),
    Filter(Failure),
}

impl From<CouchFileError> for Failed {
    fn from(error: CouchFileError) -> Self {
        match error {
            CouchFileError::Write(_) | CouchFileError::Invalid(_) => Self::Write(error),
            error => Self::Read(error),
        }
    }
}

impl Work<'_> {
    pub(crate) fn run(&self) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut sorter = Sorter::new(self.reshaping.scratch, self.memory);
        let mut growing = Vec::with_capacity(self.job.targets.len());
        for number in self.job.targets.clone() {
            let shard = &self.reshaping.new[number];
            let mut settings = self.settings.clone();
            (settings.uuid, settings.node) = (shard.uuid.clone(), shard.node.clone());
            let file = BufWriter::with_capacity(BUFFER, self.out.create(number)?);
            growing.push(SequencedWriter::new(file, settings).map_err(|e| self.unwritten(number, e))?);
        }
        self.documents(&mut growing, &mut sorter, &mut counts)?;
        if self.reshaping.filter.is_none() {
            self.others(&mut growing, &mut sorter, &mut counts)?;
        }
        let mut sorted = sorter.finish().map_err(|e| self.unsorted(e))?;
        let mut next = sorted.next().map_err(|e| self.unsorted(e))?;
        for (number, growing) in self.job.targets.clone().zip(growing) {
            let before = growing.position();
            let trees = growing.into_sorted().map_err(|e| self.unwritten(number, e))?;
            let (file, end) = self.trees(number, trees, &mut sorted, &mut next)?;
            self.out.passed(end - before)?;
            self.out.finish(number, file)?;
        }
        Ok(counts)
    }

    /// Copies all documents of the job's ranges.
    fn documents(&self, growing: &mut [Growing], sorter: &mut Sorter, counts: &mut Counts) -> Result<()> {
        let sources: Vec<&OldShard> = self.job.sources.iter().map(|&i| &self.reshaping.old[i]).collect();
        let files: Vec<_> = sources.iter().map(|shard| &shard.file).collect();
        let unread = |(source, e): (usize, CouchFileError)| contents::unusable(&sources[source].name, e);
        let mut judge = self.reshaping.filter.map(|filter| Judge::new(filter, self.reshaping.database));
        let mut unreported = 0;
        let mut reported = Instant::now();
        let mut by_age = ByAge::new(&files).map_err(unread)?;
        let mut next = by_age.next(None).map_err(unread)?;
        while let Some(document) = next {
            let source = sources[document.source];
            let damaged =
                |e| contents::unusable(&source.name, CouchFileError::damaged("entry of the seq tree", 0, e));
            let id = document.id().map_err(damaged)?;
            let hash = document_hash(id, self.reshaping.partitioned);
            if !source.range.contains(hash) {
                return Err(self.misplaced(id, source));
            }
            if let Some(at) = self.target_of(hash) {
                let doc = DocInfo::from_seq_tree(&document.entry()).map_err(damaged)?;
                let writer = &mut growing[at];
                let before = writer.position();
                match copied(writer, source, &doc, judge.as_mut()).map_err(|e| self.failed(e, source, at))? {
                    Some(value) => {
                        self.sort(sorter, at, SortedTree::Documents, id, &value)?;
                        counts.documents += 1;
                    }
                    None => counts.left_out += 1,
                }
                unreported += writer.position() - before;
            }
            // A filter may take long for a document.
            if unreported >= STEP || (judge.is_some() && reported.elapsed() >= PAUSE) {
                self.out.passed(std::mem::take(&mut unreported))?;
                reported = Instant::now();
            }
            next = by_age.next(Some(document)).map_err(unread)?;
        }
        self.out.passed(unreported)
    }

    /// Copies purges and local documents. A client finds only what lies in the range of its hash.
    fn others(&self, growing: &mut [Growing], sorter: &mut Sorter, counts: &mut Counts) -> Result<()> {
        for source in self.job.sources.iter().map(|&i| &self.reshaping.old[i]) {
            let unread = |e| contents::unusable(&source.name, e);
            source
                .file
                .for_each_purge(|purge: &Purge<'_>| -> Result<(), Wrapped> {
                    let hash = document_hash(purge.id, self.reshaping.partitioned);
                    let Some(at) = self.target_of(hash).filter(|_| source.range.contains(hash)) else {
                        return Ok(());
                    };
                    let value = growing[at].purge(purge).map_err(|e| self.failed(e.into(), source, at))?;
                    self.sort(sorter, at, SortedTree::Purges, purge.uuid, &value)?;
                    counts.purges += 1;
                    Ok(())
                })
                .map_err(|e| e.into_failure(unread))?;
            source
                .file
                .for_each_local(|doc: &LocalDocument<'_>| -> Result<(), Wrapped> {
                    let Some(at) = self.target_of(document_hash(doc.id, false)) else { return Ok(()) };
                    if local::goes_on(doc, source.range) {
                        let value = SortedTree::local_value(doc.revision, doc.body);
                        self.sort(sorter, at, SortedTree::Locals, doc.id, &value)?;
                        counts.locals += 1;
                    }
                    Ok(())
                })
                .map_err(|e| e.into_failure(unread))?;
        }
        Ok(())
    }

    /// Writes the trees by key of a new shard; gives its file and length.
    fn trees(
        &self,
        number: usize,
        mut trees: SortedTrees<BufWriter<File>>,
        sorted: &mut Sorted,
        next: &mut Option<Sorting>,
    ) -> Result<(File, u64)> {
        let unwritten = |e| self.unwritten(number, e);
        let at = key_of(number - self.job.targets.start);
        let mut before: Option<Sorting> = None;
        while let Some(entry) = next.take_if(|entry| entry.key.starts_with(&at)) {
            if before.as_ref().is_some_and(|before| before.key == entry.key) {
                let id = String::from_utf8_lossy(&entry.key[3..]).into_owned();
                return Err(ReshapeError::Twice { database: self.reshaping.database.into(), id }.into());
            }
            let tree = tree_of(entry.key[2]);
            trees.push(tree, &entry.key[3..], &entry.value).map_err(unwritten)?;
            before = Some(entry);
            *next = sorted.next().map_err(|e| self.unsorted(e))?;
        }
        let mut file = trees.finish().map_err(unwritten)?;
        file.flush().map_err(|e| self.unwritten(number, CouchFileError::Write(e)))?;
        let file =
            file.into_inner().map_err(|e| self.unwritten(number, CouchFileError::Write(e.into_error())))?;
        let length = file.metadata().map_err(|e| Failure::io("read", self.out.path(number), e))?.len();
        Ok((file, length))
    }

    /// The job's new shard that contains a hash, counted from its first one; `None` if it is another job's.
    fn target_of(&self, hash: u32) -> Option<usize> {
        let shards = &self.reshaping.new[self.job.targets.clone()];
        let at = shards.partition_point(|shard| shard.range.end < hash);
        shards.get(at).is_some_and(|shard| shard.range.contains(hash)).then_some(at)
    }

    fn sort(&self, sorter: &mut Sorter, at: usize, tree: SortedTree, key: &[u8], value: &[u8]) -> Result<()> {
        sorter.add(&[&key_of(at), &[tree as u8], key], value).map_err(|e| self.unsorted(e))
    }

    fn failed(&self, failed: Failed, source: &OldShard, at: usize) -> Failure {
        match failed {
            Failed::Read(e) => contents::unusable(&source.name, e),
            Failed::Write(e) => self.unwritten(self.job.targets.start + at, e),
            Failed::Filter(failure) => failure,
        }
    }

    fn unwritten(&self, number: usize, error: CouchFileError) -> Failure {
        match error {
            CouchFileError::Write(e) => Failure::io("write", self.out.path(number), e),
            other => Failure::bug(format!("{}: {other}", self.out.path(number).display())),
        }
    }

    fn unsorted(&self, error: std::io::Error) -> Failure {
        Failure::io("write a file in", self.reshaping.scratch, error)
    }

    fn misplaced(&self, id: &[u8], source: &OldShard) -> Failure {
        let id = String::from_utf8_lossy(id).into_owned();
        ReshapeError::Misplaced { database: self.reshaping.database.into(), id, range: source.range }.into()
    }
}

/// What the keys of a new shard's entries begin with, by its number in the job, which has few shards.
fn key_of(at: usize) -> [u8; 2] {
    (at as u16).to_be_bytes()
}

/// Copies a document; `None` if the filter lets nothing of it through. In a file from before CouchDB 1.2 only the tree by id has the
/// revisions.
fn copied(
    writer: &mut Growing,
    source: &OldShard,
    doc: &DocInfo<'_>,
    judge: Option<&mut Judge<'_>>,
) -> Result<Option<Vec<u8>>, Failed> {
    if doc.revisions.is_some() {
        return written(writer, source, doc, judge);
    }
    let found =
        source.file.document(doc.id, |doc| Ok::<_, CouchFileError>(written(writer, source, doc, judge)))?;
    found.unwrap_or_else(|| {
        let id = String::from_utf8_lossy(doc.id);
        Err(Failed::Read(CouchFileError::damaged("id tree", 0, format!("{id:?} is only in the seq tree"))))
    })
}

/// Copies a document with its revisions, as the filter decides.
fn written(
    writer: &mut Growing,
    source: &OldShard,
    doc: &DocInfo<'_>,
    judge: Option<&mut Judge<'_>>,
) -> Result<Option<Vec<u8>>, Failed> {
    match (judge, &doc.revisions) {
        (Some(judge), Some(tree)) => {
            let leaves = judge.leaves(source, doc, tree).map_err(Failed::Filter)?;
            Ok(writer.copy_changed(&source.file, doc, &leaves)?)
        }
        _ => Ok(Some(writer.copy(&source.file, doc)?)),
    }
}

fn tree_of(number: u8) -> SortedTree {
    match number {
        0 => SortedTree::Documents,
        1 => SortedTree::Locals,
        _ => SortedTree::Purges,
    }
}

/// A failure, or an error of the file that is being read.
enum Wrapped {
    Failure(Failure),
    File(CouchFileError),
}

impl Wrapped {
    fn into_failure(self, unread: impl FnOnce(CouchFileError) -> Failure) -> Failure {
        match self {
            Self::Failure(failure) => failure,
            Self::File(error) => unread(error),
        }
    }
}

impl From<Failure> for Wrapped {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<CouchFileError> for Wrapped {
    fn from(error: CouchFileError) -> Self {
        Self::File(error)
    }
}

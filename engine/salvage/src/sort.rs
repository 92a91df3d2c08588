//! Sorts entries by document in bounded memory: sorted runs in a temporary file, then merged.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::found::Found;

/// Bytes of entries that are kept in memory.
const MEMORY: usize = 48 << 20;
/// Runs that are merged at once; each has a buffer of [`BUFFER`] bytes.
const FAN_IN: usize = 256;
const BUFFER: usize = 64 << 10;

/// Takes entries in any order.
pub(crate) struct Sorter {
    folder: PathBuf,
    memory: usize,
    limit: usize,
    entries: Vec<Found>,
    runs: Vec<File>,
}

impl Sorter {
    /// Runs are files without a name in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::with_memory(folder, MEMORY)
    }

    fn with_memory(folder: &Path, limit: usize) -> Self {
        Self { folder: folder.to_owned(), memory: 0, limit, entries: Vec::new(), runs: Vec::new() }
    }

    pub(crate) fn add(&mut self, found: Found) -> io::Result<()> {
        self.memory += found.memory();
        self.entries.push(found);
        if self.memory > self.limit {
            self.tidy();
            // Nodes of many generations say the same: often this is enough.
            if self.memory > self.limit / 2 {
                self.spill()?;
            }
        }
        Ok(())
    }

    /// Sorts what is in memory, and leaves each entry once.
    fn tidy(&mut self) {
        self.entries.sort_unstable_by(Found::order);
        self.entries.dedup_by(|later, kept| kept.merge(later));
        self.memory = self.entries.iter().map(Found::memory).sum();
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut run = BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(&self.folder)?);
        for found in self.entries.drain(..) {
            found.write(&mut run)?;
        }
        self.memory = 0;
        self.entries.shrink_to(0);
        self.runs.push(rewound(run)?);
        if self.runs.len() >= FAN_IN {
            let mut run = BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(&self.folder)?);
            let mut merged = Merged::new(std::mem::take(&mut self.runs), Vec::new())?;
            while let Some(found) = merged.next_entry()? {
                found.write(&mut run)?;
            }
            self.runs.push(rewound(run)?);
        }
        Ok(())
    }

    /// All entries in order, each once.
    pub(crate) fn finish(mut self) -> io::Result<Merged> {
        self.tidy();
        Merged::new(self.runs, self.entries)
    }
}

fn rewound(run: BufWriter<File>) -> io::Result<File> {
    use std::io::Seek as _;
    let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

/// The first entry of a run that is left; the heap gives the least.
struct Head {
    found: Found,
    run: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        other.found.order(&self.found).then(other.run.cmp(&self.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

enum Run {
    File(BufReader<File>),
    Memory(std::vec::IntoIter<Found>),
}

impl Run {
    fn next_entry(&mut self) -> io::Result<Option<Found>> {
        match self {
            Self::File(file) => Found::read(file),
            Self::Memory(entries) => Ok(entries.next()),
        }
    }
}

/// Entries in order.
pub(crate) struct Merged {
    runs: Vec<Run>,
    heads: BinaryHeap<Head>,
}

impl Merged {
    fn new(files: Vec<File>, entries: Vec<Found>) -> io::Result<Self> {
        let mut runs: Vec<Run> =
            files.into_iter().map(|file| Run::File(BufReader::with_capacity(BUFFER, file))).collect();
        runs.push(Run::Memory(entries.into_iter()));
        let mut heads = BinaryHeap::new();
        for (i, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next_entry()?.map(|found| Head { found, run: i }));
        }
        Ok(Self { runs, heads })
    }

    fn pop(&mut self) -> io::Result<Option<Found>> {
        let Some(Head { found, run }) = self.heads.pop() else { return Ok(None) };
        if let Some(source) = self.runs.get_mut(run) {
            self.heads.extend(source.next_entry()?.map(|found| Head { found, run }));
        }
        Ok(Some(found))
    }

    /// The next entry.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Found>> {
        let Some(mut found) = self.pop()? else { return Ok(None) };
        while let Some(head) = self.heads.peek()
            && found.merge(&head.found)
        {
            self.pop()?;
        }
        Ok(Some(found))
    }

    /// The id of the next entry.
    pub(crate) fn next_id(&self) -> Option<&[u8]> {
        self.heads.peek().map(|head| head.found.id.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::found::By;

    #[test]
    fn runs_in_files_give_the_same_as_memory() {
        let folder = tempfile::tempdir().unwrap();
        let entries = || {
            (0..20_000u64).map(|i| {
                let n = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
                Found {
                    id: format!("{n:05}").into_bytes(),
                    seq: i % 3,
                    copy: (i % 2) as u16,
                    by: if i % 5 == 0 { By::Id } else { By::Seq },
                    value: vec![7; (n % 50) as usize],
                    node: i,
                    current: i % 7 == 0,
                    framed: i % 11 == 0,
                }
            })
        };
        let sorted = |memory| {
            let mut sorter = Sorter::with_memory(folder.path(), memory);
            entries().for_each(|found| sorter.add(found).unwrap());
            let mut merged = sorter.finish().unwrap();
            std::iter::from_fn(move || merged.next_entry().unwrap()).collect::<Vec<_>>()
        };
        let in_memory = sorted(1 << 30);
        assert!(in_memory.len() < 20_000 && in_memory.windows(2).all(|w| w[0].order(&w[1]).is_lt()));
        for memory in [5000, 20_000, 300_000] {
            assert!(sorted(memory) == in_memory, "{memory}");
        }
    }
}

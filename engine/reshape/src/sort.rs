//! Sorts entries by their keys in bounded memory: sorted runs in a temporary file each, then merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Runs that are merged at once; each has a buffer of [`BUFFER`] bytes.
const FAN_IN: usize = 128;
const BUFFER: usize = 32 << 10;
/// Bytes that an entry takes in memory besides its content.
const OVERHEAD: usize = size_of::<Place>();

/// An entry: key and value in one buffer.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    key: u32,
    value: u32,
}

/// Takes entries in any order.
pub(crate) struct Sorter {
    folder: PathBuf,
    limit: usize,
    bytes: Vec<u8>,
    places: Vec<Place>,
    runs: Vec<File>,
}

impl Sorter {
    /// Keeps `limit` bytes in memory, and more than that in files without a name in this folder.
    pub(crate) fn new(folder: &Path, limit: usize) -> Self {
        Self { folder: folder.to_owned(), limit, bytes: Vec::new(), places: Vec::new(), runs: Vec::new() }
    }

    pub(crate) fn add(&mut self, key: &[&[u8]], value: &[u8]) -> io::Result<()> {
        let start = self.bytes.len();
        let key_len = key.iter().map(|part| part.len()).sum::<usize>();
        if start + key_len + value.len() + (self.places.len() + 1) * OVERHEAD > self.limit && start > 0 {
            self.spill()?;
            return self.add(key, value);
        }
        let length = |n| u32::try_from(n).map_err(|_| io::Error::other("an entry of 4 GiB or more"));
        let place = Place { start, key: length(key_len)?, value: length(value.len())? };
        for part in key {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.extend_from_slice(value);
        self.places.push(place);
        Ok(())
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.places.sort_by_key(|place| key_of(bytes, *place));
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut run = BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(&self.folder)?);
        for place in self.places.drain(..) {
            let (key, value) = parts(&self.bytes, place);
            write(&mut run, key, value)?;
        }
        self.bytes.clear();
        self.runs.push(rewound(run)?);
        if self.runs.len() >= FAN_IN {
            let mut run = BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(&self.folder)?);
            let mut merged = Sorted::new(Vec::new(), Vec::new(), std::mem::take(&mut self.runs))?;
            while let Some(entry) = merged.next()? {
                write(&mut run, &entry.key, &entry.value)?;
            }
            self.runs.push(rewound(run)?);
        }
        Ok(())
    }

    /// All entries in the order of their keys; entries with equal keys in any order.
    pub(crate) fn finish(mut self) -> io::Result<Sorted> {
        self.sort();
        Sorted::new(self.bytes, self.places, self.runs)
    }
}

fn key_of(bytes: &[u8], place: Place) -> &[u8] {
    &bytes[place.start..place.start + place.key as usize]
}

fn parts(bytes: &[u8], place: Place) -> (&[u8], &[u8]) {
    let middle = place.start + place.key as usize;
    (&bytes[place.start..middle], &bytes[middle..middle + place.value as usize])
}

fn write(run: &mut impl Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    for part in [key, value] {
        // Both lengths were checked when the entry was added.
        run.write_all(&(part.len() as u32).to_le_bytes())?;
        run.write_all(part)?;
    }
    Ok(())
}

fn rewound(run: BufWriter<File>) -> io::Result<File> {
    let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

/// An entry; of two, that with the lesser key comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sorting {
    pub(crate) key: Vec<u8>,
    /// Where it comes from; before the value, so that no two are equal.
    run: usize,
    pub(crate) value: Vec<u8>,
}

/// Entries in the order of their keys.
pub(crate) struct Sorted {
    bytes: Vec<u8>,
    /// In memory, the next one last.
    places: Vec<Place>,
    runs: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<Sorting>>,
}

impl Sorted {
    fn new(bytes: Vec<u8>, mut places: Vec<Place>, files: Vec<File>) -> io::Result<Self> {
        places.reverse();
        let runs = files.into_iter().map(|file| BufReader::with_capacity(BUFFER, file)).collect();
        let mut sorted = Self { bytes, places, runs, heads: BinaryHeap::new() };
        for run in 0..=sorted.runs.len() {
            sorted.advance(Sorting { key: Vec::new(), run, value: Vec::new() })?;
        }
        Ok(sorted)
    }

    /// The next entry.
    pub(crate) fn next(&mut self) -> io::Result<Option<Sorting>> {
        let Some(Reverse(found)) = self.heads.pop() else { return Ok(None) };
        let empty = Sorting { key: Vec::new(), run: found.run, value: Vec::new() };
        self.advance(empty)?;
        Ok(Some(found))
    }

    /// Reads the next entry of a run; the run after those in files is that in memory.
    fn advance(&mut self, mut next: Sorting) -> io::Result<()> {
        if let Some(run) = self.runs.get_mut(next.run) {
            let Some(key) = read(run)? else { return Ok(()) };
            next.key = key;
            next.value = read(run)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        } else {
            let Some(place) = self.places.pop() else { return Ok(()) };
            let (key, value) = parts(&self.bytes, place);
            next.key.extend_from_slice(key);
            next.value.extend_from_slice(value);
        }
        self.heads.push(Reverse(next));
        Ok(())
    }
}

/// Reads a part of an entry; `None` at the end of the run.
fn read(run: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match run.read_exact(&mut length) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let mut part = vec![0; u32::from_le_bytes(length) as usize];
    run.read_exact(&mut part)?;
    Ok(Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_in_files_give_the_same_as_memory() {
        let folder = tempfile::tempdir().unwrap();
        let sorted = |limit| {
            let mut sorter = Sorter::new(folder.path(), limit);
            for i in 0..20_000u64 {
                let n = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let value = vec![7; (n % 50) as usize];
                sorter.add(&[&n.to_be_bytes()[..3], &i.to_be_bytes()], &value).unwrap();
            }
            let mut sorted = sorter.finish().unwrap();
            std::iter::from_fn(move || sorted.next().unwrap().map(|e| (e.key, e.value))).collect::<Vec<_>>()
        };
        let in_memory = sorted(1 << 30);
        assert!(in_memory.len() == 20_000 && in_memory.windows(2).all(|w| w[0].0 < w[1].0));
        for limit in [5000, 20_000, 300_000] {
            assert!(sorted(limit) == in_memory, "{limit}");
        }
    }
}

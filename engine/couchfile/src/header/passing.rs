//! The headers of a file that passes by in pieces, once.

use super::{DbHeader, MAX_HEADER, RawHeader, ViewHeader, read_header};
use crate::blocks::{self, BLOCK, Blocks, HEADER_PREFIX};
use crate::checksum;
use crate::database;
use crate::error::{CouchFileError, Result};

/// Looks at every block of a file that passes by and remembers the last valid header. It keeps nothing else but the bytes
/// of a header that has not come whole.
#[derive(Debug, Default)]
pub struct HeaderScan {
    passed: u64,
    /// From the start of a block that may be a header.
    window: Vec<u8>,
    /// Offset of the window in the file.
    start: u64,
    first: Option<RawHeader>,
    last: Option<RawHeader>,
    first_compaction: Option<u64>,
}

/// What the headers of a database that passed by say of it.
#[derive(Debug)]
pub struct PassedDatabase {
    /// Its last header.
    pub header: DbHeader,
    /// Where that is.
    pub header_offset: u64,
    /// Where it ends: so much of the file is this database.
    pub header_end: u64,
}

impl HeaderScan {
    /// Of a file of which the bytes before this offset do not pass.
    pub fn starting_at(offset: u64) -> Self {
        Self { passed: offset, ..Self::default() }
    }

    /// Takes the next bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.window.is_empty() {
            let before = (BLOCK - self.passed % BLOCK) % BLOCK;
            let start = (before..bytes.len() as u64)
                .step_by(BLOCK as usize)
                .find(|&at| bytes.get(at as usize) == Some(&HEADER_PREFIX));
            if let Some(at) = start {
                self.start = self.passed + at;
                self.window.extend_from_slice(&bytes[at as usize..]);
            }
        } else {
            self.window.extend_from_slice(bytes);
        }
        self.passed += bytes.len() as u64;
        self.look();
    }

    /// Number of bytes that have passed, with those before the start.
    pub fn len(&self) -> u64 {
        self.passed
    }

    /// Whether nothing has passed.
    pub fn is_empty(&self) -> bool {
        self.passed == 0
    }

    /// Judges all blocks in the window up to one whose header has not come whole.
    fn look(&mut self) {
        let mut done = 0;
        while let Some(block) = self.window.get(done..)
            && let Some(&prefix) = block.first()
        {
            if prefix == HEADER_PREFIX {
                let Some(needed) = needed(block) else { break };
                if block.len() < needed {
                    break;
                }
                let header = read_header(&Blocks::new(&block[..needed]), 0);
                let offset = self.start + done as u64;
                if let Ok(Some(header)) = header {
                    self.found(RawHeader { offset, end: offset + header.end, ..header });
                }
            }
            done += BLOCK as usize;
        }
        self.window.drain(..done.min(self.window.len()));
        self.start += done as u64;
    }

    fn found(&mut self, header: RawHeader) {
        if header.offset == 0 {
            self.first = Some(header.clone());
        }
        if self.first_compaction.is_none() && database::is_compaction(&header.term) {
            self.first_compaction = Some(header.offset);
        }
        self.last = Some(header);
    }

    pub(crate) fn first(&self) -> Option<&RawHeader> {
        self.first.as_ref()
    }

    pub(crate) fn last(&self) -> Option<&RawHeader> {
        self.last.as_ref()
    }

    pub(crate) fn has_compaction_before(&self, offset: u64) -> bool {
        self.first_compaction.is_some_and(|first| first < offset)
    }

    /// What the complete file is as a database. The result is that of opening it.
    pub fn database(&self) -> Result<PassedDatabase> {
        let (raw, header) = database::passed(self)?;
        Ok(PassedDatabase { header, header_offset: raw.offset, header_end: raw.end })
    }

    /// Numbers of documents that exist and that are deleted, as recorded by a header of a database at the very beginning of
    /// what passed; `None` if there is none. For a file of which only the end is at hand.
    pub fn first_counts(&self) -> Option<(u64, u64)> {
        let raw = self.first()?;
        DbHeader::decode(&raw.term, raw.offset).ok()?.counts(raw.offset).ok()
    }

    /// Likewise the number of purges that the database remembers.
    pub fn first_purges(&self) -> Option<u64> {
        let raw = self.first()?;
        DbHeader::decode(&raw.term, raw.offset).ok()?.least_purge_seq(raw.offset).ok()
    }

    /// What the complete file is as a view index. Its trees are not read.
    pub fn view(&self) -> Result<ViewHeader> {
        let raw = self.last().ok_or(CouchFileError::NoHeader { len: self.len() })?;
        ViewHeader::decode(&raw.term, raw.offset)?
            .ok_or(CouchFileError::WrongKind { offset: raw.offset, expected: "view index" })
    }
}

/// How many bytes of a block and those behind it a header is made of; one that is none needs none. `None` if that cannot be
/// decided yet.
fn needed(block: &[u8]) -> Option<usize> {
    let len = u64::from(u32::from_be_bytes(*block.get(1..5)?.first_chunk()?));
    if len <= checksum::LEN as u64 || len > MAX_HEADER {
        return Some(0);
    }
    Some(5 + blocks::physical_len(5, len) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::header::{encode, find_last};
    use crate::writer::{DatabaseWriter, Settings};

    /// Feeds a file in pieces of a size.
    fn scan(file: &[u8], piece: usize) -> HeaderScan {
        let mut scan = HeaderScan::default();
        for piece in file.chunks(piece) {
            scan.put(piece);
        }
        scan
    }

    #[test]
    fn the_same_header_as_a_search_from_the_end() {
        let mut file = Vec::new();
        for round in 0..30_u32 {
            let mut term = vec![0x83];
            term.extend((0..round * round * 13).map(|i| i as u8));
            file.extend_from_slice(&encode(&term));
            file.resize(file.len().next_multiple_of(4096) + 4096 * (round as usize % 3), (round % 2) as u8);
        }
        let ends = [1, 4, 5, 6, 20, 4095, 4096, 4097, 30_000, 60_001, file.len() - 1, file.len()];
        for end in ends {
            let file = &file[..end];
            let expected = find_last(&Blocks::new(file)).unwrap().map(|raw| (raw.offset, raw.end, raw.term));
            for piece in [1, 5, 1000, 4096, 5000, 1 << 20] {
                let scan = scan(file, piece);
                assert_eq!(scan.len(), end as u64);
                let found = scan.last().map(|raw| (raw.offset, raw.end, raw.term.clone()));
                assert_eq!(found, expected, "{end} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_claims_to_be_long_keeps_little() {
        let mut file = vec![0; 8 << 20];
        for block in file.chunks_mut(4096) {
            block[..5].copy_from_slice(&[1, 0, 15, 0, 0]);
        }
        let mut scan = HeaderScan::default();
        for piece in file.chunks(4096).take(600) {
            scan.put(piece);
            assert!(scan.window.len() < 3 << 20);
        }
        assert!(scan.last().is_none());
    }

    #[test]
    fn a_database_that_passed_is_what_opening_it_says() {
        let settings = Settings::new("a".repeat(32), "n@h");
        let mut file = DatabaseWriter::new(Vec::new(), settings).unwrap().finish().unwrap();
        for tail in [0, 100, 20_000] {
            file.extend(std::iter::repeat_n(0, tail));
            let opened = Database::open(file.as_slice());
            let passed = scan(&file, 777).database();
            match (opened, passed) {
                (Ok(opened), Ok(passed)) => {
                    assert_eq!(opened.header_offset(), passed.header_offset);
                    assert_eq!(opened.header_end(), passed.header_end);
                    assert_eq!(opened.header().update_seq, passed.header.update_seq);
                }
                (Err(opened), Err(passed)) => assert_eq!(opened.to_string(), passed.to_string()),
                (opened, passed) => panic!("{opened:?}, {passed:?}"),
            }
        }
        let nothing = scan(&file[..100], 10).database().unwrap_err();
        assert!(matches!(nothing, CouchFileError::NoHeader { len: 100 }), "{nothing}");
        assert!(scan(&file, 5000).view().is_err());
    }
}

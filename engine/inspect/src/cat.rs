//! Reads one file out of an archive.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use archive::{EntryInfo, LargeSink, Visitor};
use contents::OpenFile;
use couchfile::read_at::ReadAt;
use outcome::{Code, Failure, Result};
use store::Place;

/// Bytes read at a time.
const PIECE: u64 = 1 << 20;

/// Writes the file `name` of a backup to `out`. If the backup has a table of contents, nothing else is read.
pub fn cat(place: &Place, name: &str, threads: usize, out: &mut (dyn Write + Send)) -> Result<()> {
    let source = contents::open(place)?;
    let Some(files) = source.files() else {
        let pick = Pick { out: Mutex::new(out), found: Mutex::new(false) };
        source.visit(threads, &|entry| entry == name, &pick)?;
        let found = pick.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        return if found { Ok(()) } else { Err(not_there(place, name)) };
    };
    let OpenFile { content, .. } = files.open(name)?.ok_or_else(|| not_there(place, name))?;
    let mut offset = 0;
    while offset < content.len() {
        let mut piece = vec![0; PIECE.min(content.len() - offset) as usize];
        content
            .read_exact_at(&mut piece, offset)
            .map_err(|e| Failure::io("read", format!("{place}/{name}"), e))?;
        write(out, &piece)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

fn not_there(place: &Place, name: &str) -> Failure {
    Failure::refused(
        Code::new("CC-C09"),
        format!("{place} holds no file {name}"),
        "`couchcopy ls ARCHIVE DB --shards` lists the files of a database; `tar tzf ARCHIVE` lists all files.",
    )
}

fn write(out: &mut (dyn Write + Send), bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(|e| Failure::io("write to", "standard output", e))
}

/// Writes the requested entry.
struct Pick<'a> {
    out: Mutex<&'a mut (dyn Write + Send)>,
    found: Mutex<bool>,
}

impl Pick<'_> {
    fn put(&self, bytes: &[u8]) -> Result<()> {
        write(*self.out.lock().unwrap_or_else(PoisonError::into_inner), bytes)
    }

    fn found(&self) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

impl Visitor for Pick<'_> {
    fn small(&self, _: &EntryInfo<'_>, content: &[u8]) -> Result<()> {
        self.put(content)?;
        self.found();
        Ok(())
    }

    fn large<'a>(&'a self, _: &EntryInfo<'_>) -> Result<Option<Box<dyn LargeSink + 'a>>> {
        Ok(Some(Box::new(PickLarge(self))))
    }
}

/// In an archive without a table of contents the chunks come in order.
struct PickLarge<'p, 'a>(&'p Pick<'a>);

impl LargeSink for PickLarge<'_, '_> {
    fn chunk(&self, _: u64, bytes: &[u8]) -> Result<()> {
        self.0.put(bytes)
    }

    fn finish(&self, _: &archive::Hash) -> Result<()> {
        self.0.found();
        Ok(())
    }
}

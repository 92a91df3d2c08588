//! The entries of a tar stream that anybody may have made.

use super::input::Input;
use crate::error::{ArchiveError, Result};
use crate::names::check_path;
use crate::tar::header::{self, Header, Kind};
use crate::tar::number::Number;
use crate::tar::pax::{self, Attributes};
use crate::tar::{BLOCK, padding};

/// Longest name record and longest PAX header in bytes.
const MAX_RECORD: u64 = 64 << 10;
/// Sizes from here on are absurd, in bytes.
const ABSURD_SIZE: u64 = 1 << 60;
/// Bytes read at once of what is only passed on.
const PIECE: usize = 64 << 10;

/// A file or a folder.
#[derive(Debug)]
pub(super) struct TarEntry {
    /// A relative path; empty for the folder that everything is in.
    pub(super) name: String,
    pub(super) folder: bool,
    pub(super) size: u64,
    pub(super) mtime: u64,
}

/// Reads entry by entry. The content of each file has to be read, with its padding, before the next.
pub(super) struct TarEntries<'a> {
    input: Input<'a>,
    /// What the next error names as the entry before it.
    last: String,
}

/// What special entries say of the entry after them.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    pax: Attributes,
}

impl<'a> TarEntries<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { input, last: "the first entry".to_owned() }
    }

    /// The next file or folder; `None` at the end, after which the stream is read to its last byte.
    pub(super) fn next(&mut self) -> Result<Option<TarEntry>> {
        let mut ahead = Ahead::default();
        loop {
            let at = self.input.position;
            let block = self.read_block()?;
            if block.iter().all(|byte| *byte == 0) {
                self.read_end()?;
                return Ok(None);
            }
            let header = header::parse(&block).map_err(|reason| self.damaged(at, reason))?;
            match header.kind {
                Kind::LongName => {
                    let mut name = self.read_record(&header)?;
                    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                    ahead.name = Some(name);
                }
                // Belongs to a link, which is refused when it comes.
                Kind::LongLink => drop(self.read_record(&header)?),
                Kind::Pax => {
                    let record = self.read_record(&header)?;
                    ahead.pax = pax::parse(&record).map_err(|reason| self.damaged(at, reason))?;
                }
                Kind::PaxGlobal => {
                    let record = self.read_record(&header)?;
                    let global = pax::parse(&record).map_err(|reason| self.damaged(at, reason))?;
                    if global.path.is_some() || global.size.is_some() || global.sparse {
                        let reason = "it gives all further entries one name or size";
                        return Err(ArchiveError::refused(self.input.name(), &lossy(&header.name), reason));
                    }
                }
                Kind::File | Kind::Folder | Kind::Refused(_) => return self.entry(header, ahead).map(Some),
            }
        }
    }

    fn entry(&mut self, header: Header, ahead: Ahead) -> Result<TarEntry> {
        let raw = ahead.pax.path.or(ahead.name).unwrap_or(header.name);
        let refused = |reason: &str| ArchiveError::refused(self.input.name(), &lossy(&raw), reason);
        // Before POSIX a folder was a file whose name ended in a slash. The name in the header itself may be a
        // long one cut off at a slash.
        let folder = header.kind == Kind::Folder || (header.kind == Kind::File && raw.ends_with(b"/"));
        if let Kind::Refused(reason) = header.kind {
            return Err(refused(reason));
        }
        if ahead.pax.sparse {
            return Err(refused("it is a sparse file"));
        }
        let size = match ahead.pax.size.map_or(header.size, Number::Value) {
            Number::Value(size) if size < ABSURD_SIZE => size,
            Number::Value(_) | Number::TooLarge => return Err(refused("it claims an absurd size")),
            Number::Negative | Number::Invalid => return Err(refused("its size is not a number")),
        };
        if folder && size > 0 {
            return Err(refused("it is a folder with content"));
        }
        let name = std::str::from_utf8(&raw).map_err(|_| refused("its name is not UTF-8"))?;
        let mut name = name;
        while let Some(rest) = name.strip_prefix("./") {
            name = rest;
        }
        if folder {
            name = name.strip_suffix('/').unwrap_or(name);
            if name == "." {
                name = "";
            }
        }
        let whole = folder && name.is_empty() && raw.starts_with(b".");
        if !whole {
            check_path(name).map_err(refused)?;
        }
        name.clone_into(&mut self.last);
        Ok(TarEntry { name: name.to_owned(), folder, size, mtime: ahead.pax.mtime.unwrap_or(header.mtime) })
    }

    /// The complete content of an entry that is known to be small.
    pub(super) fn read_content(&mut self, entry: &TarEntry) -> Result<Vec<u8>> {
        let mut content = vec![0; entry.size as usize];
        self.read_piece(entry, &mut content)?;
        self.skip_padding(entry)?;
        Ok(content)
    }

    /// The content of an entry of at most `limit` bytes, held as it comes and not as it is claimed.
    pub(super) fn read_bounded(&mut self, entry: &TarEntry, limit: u64) -> Result<Vec<u8>> {
        if entry.size > limit {
            return Err(ArchiveError::TooLarge {
                archive: self.input.name().to_owned(),
                entry: entry.name.clone(),
                size: entry.size,
                limit,
            });
        }
        let mut content = Vec::new();
        self.stream(entry, |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(content)
    }

    /// Gives the content of an entry piece by piece.
    pub(super) fn stream(
        &mut self,
        entry: &TarEntry,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut buf = vec![0; PIECE];
        let mut rest = entry.size;
        while rest > 0 {
            let length = rest.min(PIECE as u64);
            let (piece, _) = buf.split_at_mut(length as usize);
            self.read_piece(entry, piece)?;
            take(piece)?;
            rest -= length;
        }
        self.skip_padding(entry)
    }

    /// The next bytes of an entry's content.
    pub(super) fn read_piece(&mut self, entry: &TarEntry, buf: &mut [u8]) -> Result<()> {
        if self.input.read_up_to(buf)? < buf.len() {
            return Err(self.truncated(&format!("inside {:?}", entry.name)));
        }
        Ok(())
    }

    /// What follows the content of an entry. Other programs may put anything there.
    pub(super) fn skip_padding(&mut self, entry: &TarEntry) -> Result<()> {
        let mut block = [0; BLOCK];
        let (zeros, _) = block.split_at_mut(padding(entry.size));
        self.read_piece(entry, zeros)
    }

    fn read_block(&mut self) -> Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        match self.input.read_up_to(&mut block)? {
            BLOCK => Ok(block),
            0 => Err(self.truncated(&format!("after {:?}, without the end of a tar stream", self.last))),
            _ => Err(self.truncated(&format!("after {:?}, in a tar header", self.last))),
        }
    }

    fn read_record(&mut self, header: &Header) -> Result<Vec<u8>> {
        let entry = TarEntry { name: lossy(&header.name), folder: false, size: 0, mtime: 0 };
        match header.size {
            Number::Value(size) if size <= MAX_RECORD => {
                let entry = TarEntry { size, ..entry };
                self.read_content(&entry)
            }
            _ => Err(ArchiveError::refused(
                self.input.name(),
                &entry.name,
                "it claims a name or attributes of an absurd length",
            )),
        }
    }

    /// The second zero block, and zeros up to the end of the stream.
    fn read_end(&mut self) -> Result<()> {
        let at = self.input.position;
        if self.read_block()?.iter().any(|byte| *byte != 0) {
            return Err(self.damaged(at, "a single block of zeros stands before it"));
        }
        let mut buf = vec![0; PIECE];
        loop {
            let at = self.input.position;
            let length = self.input.read_up_to(&mut buf)?;
            if buf.iter().take(length).any(|byte| *byte != 0) {
                return Err(self.damaged(at, "data follows after the end of the tar stream"));
            }
            if length < buf.len() {
                return Ok(());
            }
        }
    }

    fn damaged(&self, at: u64, reason: &str) -> ArchiveError {
        ArchiveError::tar(self.input.name(), at, &format!("after {:?}", self.last), reason)
    }

    fn truncated(&self, place: &str) -> ArchiveError {
        ArchiveError::truncated(self.input.name(), place)
    }
}

fn lossy(name: &[u8]) -> String {
    // Enough to find it, whatever its length.
    String::from_utf8_lossy(name.get(..512).unwrap_or(name)).into_owned()
}

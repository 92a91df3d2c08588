//! Databases that grow without a CouchDB.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use couchfile::compression::Compression;
use couchfile::header::HeaderEdit;
use couchfile::writer::Appender;

use crate::{Result, content, random};

/// Bytes that no compression makes fewer of, and that look like headings now and then.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = random::bytes(seed | 1, length);
    for (trap, at) in bytes.chunks_mut(40_000).zip(1..) {
        let text = format!("==> /dev/null <==\n\n==> /dev/null <==\n{at}");
        if trap.len() > text.len() {
            trap[..text.len()].copy_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// Appends to a database as a commit does: data, then a header.
pub fn commit(path: &Path, seed: u64, length: usize) -> Result<()> {
    let database = content::open(path)?;
    let end = fs::metadata(path)?.len();
    let mut out = Appender::new(Vec::new(), end, Compression::default());
    out.piece(&noise(seed, length))?;
    let edit = HeaderEdit { purge_infos_limit: Some(1000 + seed), ..HeaderEdit::default() };
    out.header(&database.header().edited(&edit))?;
    File::options().append(true).open(path)?.write_all(&out.into_inner())?;
    Ok(())
}

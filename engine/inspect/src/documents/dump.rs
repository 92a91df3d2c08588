//! Writes all documents of a database as lines of JSON.

use std::io::Write;

use contents::{UnusableFile, unusable};
use couchfile::document::{AttachmentForm, JsonOptions};
use couchfile::error::CouchFileError;
use couchfile::revtree::Revision;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result, with_causes};
use snapshot::{Document, Flow, Moment, SnapshotDatabase, Walk};
use store::Place;

use super::{document_name, open_database, write};

/// Documents per line of couchbackup's format.
const BATCH: usize = 500;
/// Bytes after which a line of couchbackup's format ends early.
const BATCH_BYTES: usize = 8 << 20;

/// The format of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DumpFormat {
    /// One document per line.
    #[default]
    Lines,
    /// The input of couchrestore of `@cloudant/couchbackup`: a line that describes the file, then one array of documents per
    /// line, each document with its ancestry.
    Couchbackup,
}

/// Which documents are written, and in which format.
#[derive(Debug, Clone, Default)]
pub struct DumpOptions {
    /// The moment at which the database is shown; `None`: as it was saved.
    pub at: Option<Moment>,
    /// Include the content of attachments.
    pub attachments: bool,
    /// Include every leaf that is not deleted, not only the winner.
    pub conflicts: bool,
    /// Include deleted documents and, with `conflicts`, deleted leaves.
    pub deleted: bool,
    /// Include local documents, at the end, except those that belong to CouchDB itself.
    pub local: bool,
    /// Include the ids of the ancestors (`_revisions`). couchbackup's format always has them.
    pub revs: bool,
    /// The format.
    pub format: DumpFormat,
}

/// What a dump wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DumpResult {
    /// Documents written.
    pub documents: u64,
    /// Damaged documents, or parts of files, that were left out and reported.
    pub damaged: u64,
}

/// Writes the documents of a database in the order of their ids. Damaged documents are reported and left out. Memory: one
/// document or one line.
pub fn dump(
    place: &Place,
    db: &str,
    options: &DumpOptions,
    threads: usize,
    reporter: &dyn Reporter,
    out: &mut dyn Write,
) -> Result<DumpResult> {
    let database = open_database(place, db, options.at.as_ref(), threads, reporter)?;
    let mut damage = Damage { reporter, count: 0 };
    // Where a shard cannot be opened, how many there are is not known.
    let total = match database.info() {
        Err(e) if e.is_damage() => None,
        info => Some(info?.documents),
    };
    reporter.phase("writing documents", total);
    let mut lines = Lines { format: options.format, batch: Vec::new(), in_batch: 0, out };
    lines.begin(options)?;
    let mut documents = 0;
    for document in database.in_order_around_damage(&Walk::default())? {
        let Some((_, document)) = damage.or_report(document.map_err(Failure::from))? else {
            continue;
        };
        let Some(leaves) = damage.or_report(wanted(&database, &document, options))? else { continue };
        for leaf in leaves {
            if let Some(json) = damage.or_report(json(&database, &document, &leaf, options))? {
                lines.put(&json)?;
                documents += 1;
            }
        }
        reporter.advance(documents, 0);
    }
    if options.local {
        database.locals_around_damage(|found| {
            let found = damage.or_report(found.map_err(Failure::from))?;
            if let Some((id, document)) = found
                && !SnapshotDatabase::is_internal_local(id)
            {
                lines.put(&document.to_vec())?;
                documents += 1;
            }
            Ok::<Flow, Failure>(Flow::On)
        })?;
    }
    lines.end()?;
    damage.end();
    Ok(DumpResult { documents, damaged: damage.count })
}

/// The most damaged documents that are reported one by one.
const REPORTED: u64 = 100;

/// Reports damage and continues.
struct Damage<'r> {
    reporter: &'r dyn Reporter,
    count: u64,
}

impl Damage<'_> {
    /// What was read; `None` if it is damaged, which is reported.
    fn or_report<T>(&mut self, read: Result<T>) -> Result<Option<T>> {
        match read {
            Err(error) if is_damage(&error) => {
                self.count += 1;
                if self.count <= REPORTED {
                    self.notice(with_causes(&error));
                }
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    fn notice(&self, text: String) {
        self.reporter.notice(&Notice { severity: Severity::Problem, text });
    }

    fn end(&self) {
        if self.count > REPORTED {
            self.notice(format!("{} more documents are damaged", self.count - REPORTED));
        }
        if self.count > 0 {
            self.notice(
                "damaged documents are not in the output; `couchcopy verify ARCHIVE` lists all damage".into(),
            );
        }
    }
}

fn is_damage(error: &Failure) -> bool {
    if let Some(error) = error.get::<snapshot::Error>() {
        return error.is_damage();
    }
    error
        .get::<UnusableFile>()
        .is_some_and(|file| !file.source.is_io() && !matches!(file.source, CouchFileError::Newer { .. }))
}

/// The leaves of a document that are written, the winner first.
fn wanted<'d>(
    database: &SnapshotDatabase,
    document: &'d Document<'_>,
    options: &DumpOptions,
) -> Result<Vec<Revision<'d>>> {
    let mut leaves = document.leaves().map_err(|e| unusable(document_name(database, document.id()), e))?;
    if !options.conflicts {
        leaves.truncate(1);
    }
    leaves.retain(|leaf| options.deleted || !leaf.stored.is_some_and(|stored| stored.deleted));
    Ok(leaves)
}

fn json(
    database: &SnapshotDatabase,
    document: &Document<'_>,
    leaf: &Revision<'_>,
    options: &DumpOptions,
) -> Result<Vec<u8>> {
    let form = if options.attachments { AttachmentForm::InlineAfter(0) } else { AttachmentForm::Stubs };
    let revs = options.revs || options.format == DumpFormat::Couchbackup;
    document
        .json(leaf, JsonOptions { revs, attachments: form, ..JsonOptions::default() })
        .map_err(|e| unusable(document_name(database, document.id()), e))
}

/// Appends JSON with everything that is not ASCII escaped: couchrestore reads its input in pieces and corrupts a character that
/// is split between two pieces.
fn push_ascii(out: &mut Vec<u8>, json: &[u8]) {
    for c in String::from_utf8_lossy(json).chars() {
        if c.is_ascii() {
            out.push(c as u8);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
        }
    }
}

/// Puts documents on lines.
struct Lines<'o> {
    format: DumpFormat,
    batch: Vec<u8>,
    in_batch: usize,
    out: &'o mut dyn Write,
}

impl Lines<'_> {
    /// Writes the first line, in which couchrestore looks for the properties of the file.
    fn begin(&mut self, options: &DumpOptions) -> Result<()> {
        if self.format == DumpFormat::Couchbackup {
            let header = serde_json::json!({
                "name": "@cloudant/couchbackup",
                "version": "2.11.0",
                "mode": "full",
                "attachments": options.attachments,
            });
            write(self.out, format!("{header}\n").as_bytes())?;
        }
        Ok(())
    }

    fn put(&mut self, document: &[u8]) -> Result<()> {
        if self.format == DumpFormat::Lines {
            write(self.out, document)?;
            return write(self.out, b"\n");
        }
        self.batch.push(if self.in_batch == 0 { b'[' } else { b',' });
        push_ascii(&mut self.batch, document);
        self.in_batch += 1;
        if self.in_batch >= BATCH || self.batch.len() >= BATCH_BYTES { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<()> {
        if self.in_batch > 0 {
            self.batch.extend_from_slice(b"]\n");
            write(self.out, &self.batch)?;
            self.batch.clear();
            self.in_batch = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ascii_is_escaped() {
        let json = serde_json::json!({"é☃": "a\u{1f600}"});
        let mut out = Vec::new();
        push_ascii(&mut out, json.to_string().as_bytes());
        assert_eq!(out, br#"{"\u00e9\u2603":"a\ud83d\ude00"}"#);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), json);
    }
}

//! Lists the documents of a database in an archive.

use std::io::Write;

use contents::unusable;
use outcome::report::Reporter;
use outcome::{Failure, Result};
use snapshot::{Document, Flow, Moment, Walk};
use store::Place;

use super::{document_name, open_database, write};

/// Which documents are listed, and in which format.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// The moment at which the database is shown; `None`: as it was saved.
    pub at: Option<Moment>,
    /// List only documents whose ids begin with this text.
    pub prefix: String,
    /// Include deleted documents.
    pub deleted: bool,
    /// The most documents to list.
    pub limit: Option<u64>,
    /// The format.
    pub style: ListStyle,
}

/// The format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListStyle {
    /// Columns for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// Ids, one per line, unchanged.
    Ids,
    /// Ids, one per line, with escapes for characters that a terminal would obey.
    ShownIds,
}

/// A document in a list.
struct Row {
    id: String,
    rev: String,
    deleted: bool,
    /// Bytes of the winning revision's body as JSON and its attachments, as CouchDB counts them.
    bytes: u64,
    conflicts: usize,
}

/// Writes a list of documents in the order of their ids, and the figures of the database. Memory: one document.
pub fn list(
    place: &Place,
    db: &str,
    options: &ListOptions,
    threads: usize,
    reporter: &dyn Reporter,
    out: &mut dyn Write,
) -> Result<()> {
    let database = open_database(place, db, options.at.as_ref(), threads, reporter)?;
    let info = database.info()?;
    let created = info.created.and_then(|seconds| {
        let time = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        Some(time.to_string())
    });
    match options.style {
        ListStyle::Text => {
            let facts = format!(
                "{db}: documents {}, deleted {}, bytes {} ({} in use), created {}\n{:>11} {:>9}  {:<35} id\n",
                info.documents,
                info.deleted,
                info.file_size,
                info.active_size,
                created.as_deref().unwrap_or("(unknown)"),
                "bytes",
                "conflicts",
                "rev",
            );
            write(out, facts.as_bytes())?;
        }
        ListStyle::Json => {
            let facts = serde_json::json!({
                "name": db,
                "documents": info.documents,
                "deleted": info.deleted,
                "bytes": info.file_size,
                "bytes_in_use": info.active_size,
                "created": created,
            });
            let facts = facts.to_string();
            write(out, facts.trim_end_matches('}').as_bytes())?;
            write(out, b",\"docs\":[")?;
        }
        ListStyle::Ids | ListStyle::ShownIds => {}
    }
    let mut listed = 0;
    database.documents(&Walk::prefix(&options.prefix), |document| {
        if options.limit.is_some_and(|limit| listed >= limit) {
            return Ok(Flow::Stop);
        }
        if document.is_deleted() && !options.deleted {
            return Ok::<Flow, Failure>(Flow::On);
        }
        let row = row(document).map_err(|e| unusable(document_name(&database, document.id()), e))?;
        row.put(options.style, listed == 0, out)?;
        listed += 1;
        Ok(Flow::On)
    })?;
    if options.style == ListStyle::Json {
        write(out, b"]}\n")?;
    }
    Ok(())
}

fn row(document: &Document<'_>) -> Result<Row, couchfile::error::CouchFileError> {
    let winner = document.winner()?;
    Ok(Row {
        id: document.id().to_owned(),
        rev: winner.to_string(),
        deleted: document.is_deleted(),
        bytes: winner.stored.map_or(0, |stored| stored.sizes.external),
        conflicts: document.conflicts(false)?.len(),
    })
}

impl Row {
    fn put(&self, style: ListStyle, first: bool, out: &mut dyn Write) -> Result<()> {
        match style {
            ListStyle::Text => {
                let deleted = if self.deleted { "  (deleted)" } else { "" };
                let id = escaped(&self.id);
                let row =
                    format!("{:>11} {:>9}  {:<35} {id}{deleted}\n", self.bytes, self.conflicts, self.rev);
                write(out, row.as_bytes())
            }
            ListStyle::Ids => write(out, format!("{}\n", self.id).as_bytes()),
            ListStyle::ShownIds => write(out, format!("{}\n", escaped(&self.id)).as_bytes()),
            ListStyle::Json => {
                let row = serde_json::json!({
                    "id": self.id,
                    "rev": self.rev,
                    "deleted": self.deleted,
                    "bytes": self.bytes,
                    "conflicts": self.conflicts,
                });
                write(out, if first { b"\n" } else { b",\n" })?;
                write(out, row.to_string().as_bytes())
            }
        }
    }
}

/// An id can be any text: characters that a terminal would obey, or that are invisible, are escaped.
fn escaped(id: &str) -> String {
    let shown = |c: char| if outcome::is_unprintable(c) { c.escape_default().collect() } else { vec![c] };
    id.chars().flat_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(escaped("a\u{1b}[2Jb\u{202e}c\n é☃"), "a\\u{1b}[2Jb\\u{202e}c\\n é☃");
    }
}

//! Lists the revisions of a document that can still be read.

use std::fmt::Write as _;
use std::io::Write;

use outcome::report::Reporter;
use outcome::{Code, Failure, Result, printable};
use store::Place;

use super::copies::Copies;
use super::places::Places;
use super::revisions::{FoundRevisions, Seen, SeenRevision, search};
use crate::documents::write;

/// How many revisions were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revisions {
    /// Revisions that can be read.
    pub readable: u64,
    /// Files that could not be read to their ends.
    pub damaged: u64,
}

/// Writes every revision of a document that can be read in any state of any file, the highest generation first. `db` is `None` if
/// the place is a `.couch` file.
///
/// Fails if no revision can be read.
pub fn document_history(
    place: &Place,
    db: Option<&str>,
    id: &str,
    json: bool,
    threads: usize,
    reporter: &dyn Reporter,
    out: &mut dyn Write,
) -> Result<Revisions> {
    let places = Places::open(place, db, threads)?;
    let copies = Copies::of(&places);
    let lineages = places.lineages(&copies, Some(id), reporter)?;
    let FoundRevisions { revisions, damaged } = search(&copies, &lineages, id, false, reporter);
    if revisions.is_empty() {
        return Err(Failure::refused(
            Code::new("CC-H10"),
            format!("no state of {} in {place} holds a document {id}", db.unwrap_or("the database")),
            "A compaction removes older states, and purged documents with them. An older backup may hold the document.",
        ));
    }
    if !json {
        write(
            out,
            format!("{:<36} {:>11}  {:<40} last seen\n", "revision", "bytes", "first seen").as_bytes(),
        )?;
    }
    for revision in &revisions {
        let text = if json {
            serde_json::to_string(revision).map_err(|e| Failure::bug(e.to_string()))?
        } else {
            text(revision, copies.is_repository())
        };
        write(out, text.as_bytes())?;
        write(out, b"\n")?;
    }
    Ok(Revisions { readable: revisions.len() as u64, damaged })
}

fn text(revision: &SeenRevision, is_repository: bool) -> String {
    let seen = |seen: &Seen| {
        let mut text = format!("sequence {}", seen.sequence);
        if let Some(since) = &seen.since {
            let _ = write!(text, ", not before {since}");
        }
        if let Some(begun) = &seen.begun {
            let _ = write!(text, ", backup of {begun}");
        }
        text
    };
    let mut text = format!(
        "{:<36} {:>11}  {:<40} {}",
        printable(&revision.rev),
        revision.bytes,
        seen(&revision.first),
        seen(&revision.last)
    );
    if revision.deleted {
        text.push_str("  (deleted)");
    }
    if is_repository {
        let _ = write!(text, "  in {}", revision.at.backup);
    }
    text
}

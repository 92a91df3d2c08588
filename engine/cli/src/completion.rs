//! What a shell is told to complete names with.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use inspect::documents;
use outcome::report::Silent;
use snapshot::{Error, Flow, Snapshot, SnapshotDatabase, Walk};

/// Names offered at a time.
const OFFERED: usize = 200;

/// Names of databases in the archive that the line names.
pub(crate) fn databases() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut names = Vec::new();
        if let (Some(snapshot), Some(typed)) = (archive(), typed.to_str()) {
            let _ = snapshot.databases::<Error>(&Walk::prefix(typed), |name| Ok(offer(&mut names, name)));
        }
        names
    })
}

/// Ids of documents in the archive and the database that the line names.
pub(crate) fn documents() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut ids = Vec::new();
        if let (Some(database), Some(typed)) = (database(), typed.to_str()) {
            let _ = database.documents::<Error>(&Walk::prefix(typed), |document| {
                Ok(if document.is_deleted() { Flow::On } else { offer(&mut ids, document.id()) })
            });
        }
        ids
    })
}

/// Names of the attachments of the document that the line names.
pub(crate) fn attachments() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut names = Vec::new();
        let find = || {
            let database = database()?;
            let document = database.document(words().get(2)?).ok()??;
            Some(document.summary(&document.winner().ok()?).ok()?.attachments)
        };
        for attachment in find().into_iter().flatten() {
            if typed.to_str().is_some_and(|typed| attachment.name.starts_with(typed)) {
                offer(&mut names, &attachment.name);
            }
        }
        names
    })
}

fn offer(names: &mut Vec<CompletionCandidate>, name: &str) -> Flow {
    names.push(CompletionCandidate::new(name));
    if names.len() < OFFERED { Flow::On } else { Flow::Stop }
}

/// The words after the command that are no options: archive, database, document. The line comes after `--`.
fn words() -> Vec<String> {
    let line = std::env::args().skip_while(|word| word != "--").skip(1);
    line.skip(2).filter(|word| !word.starts_with('-')).collect()
}

/// The archive that the line names. Only one with a table of contents: nobody waits for a pass over a whole archive.
fn archive() -> Option<Arc<Snapshot>> {
    let path = PathBuf::from(words().first()?);
    let indexed = matches!(archive::open(Path::new(&path)).ok()?, archive::Archive::Indexed(_));
    if indexed { documents::open(&path, None, 1, &Silent).ok() } else { None }
}

fn database() -> Option<Arc<SnapshotDatabase>> {
    archive()?.database(words().get(1)?).ok()?
}

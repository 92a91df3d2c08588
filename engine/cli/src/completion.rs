//! Names in archives with which a shell completes a command line.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use inspect::documents;
use outcome::report::Silent;
use snapshot::{Error, Flow, Snapshot, SnapshotDatabase, Walk};

/// The most names that are offered at once.
const OFFERED: usize = 200;

/// Names of databases in the archive on the command line.
pub(crate) fn databases() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut names = Vec::new();
        if let (Some(snapshot), Some(typed)) = (archive(), typed.to_str()) {
            let _ = snapshot.databases::<Error>(&Walk::prefix(typed), |name| Ok(offer(&mut names, name)));
        }
        names
    })
}

/// Ids of documents in the archive and the database on the command line.
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

/// Names of the attachments of the document on the command line.
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

/// The words after the command that are not options: archive, database, document. The command line follows `--`.
fn words() -> Vec<String> {
    let line = std::env::args().skip_while(|word| word != "--").skip(1);
    line.skip(2).filter(|word| !word.starts_with('-')).collect()
}

/// The archive on the command line, if it has a table of contents: a user does not wait for a pass over a complete archive.
fn archive() -> Option<Arc<Snapshot>> {
    let path = PathBuf::from(words().first()?);
    let indexed = matches!(archive::open(Path::new(&path)).ok()?, archive::Archive::Indexed(_));
    if indexed { documents::open(&path.as_path().into(), None, None, 1, &Silent).ok() } else { None }
}

fn database() -> Option<Arc<SnapshotDatabase>> {
    archive()?.database(words().get(1)?).ok()?
}

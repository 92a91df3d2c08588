//! Restores into data directories of nodes that are not running.

use std::fmt::Write as _;

use outcome::Result;
use restore::folders::{RestoreOptions, RestoreResult, Target, restore_offline};
use restore::selection::Rename;
use store::Location;

use super::Restore;
use super::placed_text::shares_text;
use crate::exit::Outcome;
use crate::session::Session;
use crate::text::problems::left_out;
use crate::text::sizes::{bytes, count};

impl Restore {
    /// Writes the data directories.
    pub(super) fn write_folders(
        &self,
        archive: &Location,
        targets: Vec<Target>,
        session: &Session,
    ) -> Result<Outcome> {
        let options = RestoreOptions {
            archive: session.place(archive)?,
            targets,
            choices: self.choices(session)?,
            for_couchdb: self.mode.for_couchdb.clone(),
            threads: session.threads(),
        };
        let result = restore_offline(&options, session.reporter())?;
        session.summary(&result, |result| {
            let is_changed = result.transformed_by.is_some();
            restored_text(result) + if is_changed { NEVER_REPLICATE } else { "" } + &placed(result)
        });
        Ok(Outcome::of(result.is_complete()))
    }
}

/// What each of several nodes got.
fn placed(result: &RestoreResult) -> String {
    if result.placed.len() > 1 { shares_text(&result.placed) } else { String::new() }
}

/// What has to be known of documents that a plugin has changed.
pub(super) const NEVER_REPLICATE: &str =
    "Never replicate this copy with the original: the revision ids are the same, but the contents differ.\n";

/// What a restore has written.
pub(super) fn restored_text(result: &RestoreResult) -> String {
    let mut text = format!(
        "{} restored to {}: {}, {}, {}\n",
        count(result.databases, "database", "databases"),
        result.nodes.join(", "),
        count(result.shard_files, "shard file", "shard files"),
        count(result.view_files, "view index", "view indexes"),
        bytes(result.bytes)
    );
    choice_text(&mut text, result.not_chosen, &result.renamed);
    if result.reshaped > 0 {
        let n = count(result.reshaped, "database has", "databases have");
        let _ = writeln!(text, "{n} another number of ranges: CouchDB rebuilds the view indexes.");
    }
    if let Some(plugin) = &result.transformed_by {
        let left_out = match result.documents_left_out {
            0 => String::new(),
            n => format!(", which left out {}", count(n, "document", "documents")),
        };
        let _ = writeln!(text, "Every document has passed through the plugin {plugin}{left_out}.");
    }
    if result.files_rewritten > 0 {
        let n = count(result.files_rewritten, "file", "files");
        let _ = writeln!(text, "{n} got MD5 checksums, the only checksums that this CouchDB reads.");
    }
    if let Some(suffix) = &result.new_suffix {
        let _ = writeln!(text, "Databases have the new suffix {suffix} in the names of their files.");
    }
    left_out(&mut text, &result.left_out);
    text
}

/// What a choice among the databases of an archive means.
pub(super) fn choice_text(text: &mut String, not_chosen: u64, renamed: &[Rename]) {
    if not_chosen > 0 {
        let n = count(not_chosen, "database", "databases");
        let _ = writeln!(text, "Not chosen, and not restored: {n} of the archive.");
    }
    for Rename { from, to } in renamed {
        let _ = writeln!(text, "Renamed: {from} to {to}");
    }
}

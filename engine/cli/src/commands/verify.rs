//! `couchcopy verify`.

use std::fmt::Write as _;

use clap::Args;
use configuration::share;
use inspect::verify::{Sample, VerifiedBackup, VerifyResult, verify_sample};
use operations::Verification;
use outcome::report::{Notice, Reporter as _, Severity};
use outcome::{FailureKind, Result};
use store::{Location, Place};

use crate::attended::{now, records};
use crate::exit::Outcome;
use crate::flags::repository::usual_backup;
use crate::flags::store::location;
use crate::session::Session;
use crate::text::problems::{list, problems};
use crate::text::sizes::{bytes, count};

/// Verify every byte, tree, document, attachment and shard map of an archive.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Reads everything and writes nothing. Archives of the Python couchcopy and of tar can be verified, too. They \
    contain no hashes to compare, so couchcopy verifies gzip's checksums, CouchDB's own checksums, and that CouchDB's trees \
    agree.\n\n\
    To check nodes before a restore, use `couchcopy check`. To check a plugin, use `couchcopy plugin check`."
)]
pub(crate) struct Verify {
    /// The archive.
    ///
    /// Defaults to the newest backup in the repository of the configuration file.
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Option<Location>,

    /// Verify about this share of the files, another choice each time, for example 5%.
    ///
    /// That every file is there is checked in any case. For backups that are too large to be read completely every day.
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    sample: Option<f64>,
}

impl Verify {
    /// Whether the command line names an archive.
    pub(super) fn has_archive(&self) -> bool {
        self.archive.is_some()
    }

    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let place = session.place(&self.archive.clone().unwrap_or_else(usual_backup))?;
        let result = verified(&place, self.sample, session)?;
        session.summary(&result, text);
        Ok(Outcome::of(result.is_whole()))
    }
}

/// Verifies a backup, or a share of it, and records how that ended for `couchcopy health`.
pub(super) fn verified(place: &Place, share: Option<f64>, session: &Session) -> Result<VerifyResult> {
    let sample = share.map(Sample::new);
    let verified = verify_sample(place, sample.as_ref(), session.threads(), session.reporter());
    let found = match &verified {
        Ok(result) => Some((result.verified.clone(), result.is_whole())),
        // What it is about is found out again; if that fails, too, nothing is known.
        Err(failure) if matches!(failure.kind(), FailureKind::Archive | FailureKind::Data) => {
            contents::open(place).ok().map(|source| (VerifiedBackup::of(&*source), false))
        }
        Err(_) => None,
    };
    if let Some((backup, intact)) = found {
        record(&backup, share, intact, session);
    }
    verified
}

fn record(backup: &VerifiedBackup, share: Option<f64>, intact: bool, session: &Session) {
    // A configuration that cannot be read has no say here.
    let Some(records) = records(session.configuration().ok().flatten()) else { return };
    let of = backup.repository.as_deref().unwrap_or(&backup.identity);
    if of.is_empty() {
        return;
    }
    let verification = Verification {
        backup: backup.identity.clone(),
        nodes: backup.nodes.iter().cloned().collect(),
        ended: now(),
        share: share.unwrap_or(1.0),
        intact,
    };
    if let Err(error) = records.add_verification(of, &verification) {
        let text = format!("cannot record the result for `couchcopy health`: {error}");
        session.reporter().notice(&Notice { severity: Severity::Info, text });
    }
}

fn text(result: &VerifyResult) -> String {
    let mut text = format!(
        "{}, {}, {}: {} and {} deleted, {} ({}), {}\n",
        count(result.databases, "database", "databases"),
        count(result.shards, "shard", "shards"),
        count(result.views, "view index", "view indexes"),
        count(result.documents, "document", "documents"),
        result.deleted,
        count(result.attachments, "attachment", "attachments"),
        bytes(result.attachment_bytes),
        count(result.bodies, "body", "bodies"),
    );
    if result.surplus_shards > 0 {
        let n = count(result.surplus_shards, "shard", "shards");
        let _ = writeln!(
            text,
            "Not counted: {n} of databases in the middle of shard splitting, whose documents are in other shards, too."
        );
    }
    if !result.manifest {
        text.push_str("The archive contains no manifest with hashes (it was not made by this couchcopy).\n");
    }
    for db in &result.deleted_meanwhile {
        let _ = writeln!(text, "{db} was deleted while the backup ran and will not be restored.");
    }
    if !result.unfit_views.is_empty() {
        let n = count(result.unfit_views.len() as u64, "view index", "view indexes");
        let _ = writeln!(text, "A restore will leave out {n}; CouchDB rebuilds them:");
        list(&mut text, &result.unfit_views);
    }
    if result.problems.is_empty() {
        match result.sample {
            None => text.push_str("The archive is intact.\n"),
            Some(share) => {
                let _ = writeln!(
                    text,
                    "About {:.1}% of the files were verified, and they are intact.",
                    share * 100.0
                );
            }
        }
    }
    problems(&mut text, "THE ARCHIVE IS NOT INTACT", ("problem", "problems"), &result.problems);
    text
}

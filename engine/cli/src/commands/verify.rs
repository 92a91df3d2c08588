//! `couchcopy verify`.

use std::fmt::Write as _;

use clap::Args;
use inspect::verify::{Sample, VerifyResult, verify_sample};
use outcome::Result;
use store::Location;

use crate::exit::Outcome;
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
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,

    /// Verify about this share of the files, another choice each time, for example 5%.
    ///
    /// That every file is there is checked in any case. For backups that are too large to be read completely every day.
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    sample: Option<f64>,
}

/// Reads a share such as `5%`.
fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match number {
        Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err(format!("{text:?} is no share: write, for example, 5%")),
    }
}

impl Verify {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let place = session.place(&self.archive)?;
        let sample = self.sample.map(Sample::new);
        let result = verify_sample(&place, sample.as_ref(), session.threads(), session.reporter())?;
        session.summary(&result, text);
        Ok(Outcome::of(result.is_whole()))
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

//! `couchcopy salvage`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use contents::Destination;
use outcome::{Code, Failure, Result};
use salvage::{Grade, SalvageOptions, Salvaged, Target};
use store::Location;

use crate::exit::Outcome;
use crate::flags::store::{RecipientFlags, location};
use crate::output;
use crate::session::Session;
use crate::text::sizes::{bytes, count};

/// Level of compression of an archive.
const LEVEL: i32 = 6;

/// Recover the documents that can still be read from damaged files.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Copies of the same shard (from several nodes, from backups, leftovers of a compaction) are used together: a document \
    that is intact in one of them is recovered. The files are only read.\n\n\
    Nothing is guessed. DIR/data is a data directory with the documents that are proven, DIR/unproven holds what nothing proves, and \
    DIR/report.jsonl has one line for each document that is not whole. docs/salvage.md explains what counts as a proof.\n\n\
    Examples:\n  \
    couchcopy salvage /opt/couchdb/data --dry-run\n  \
    couchcopy salvage node1/data node2/data backup.tar.gz --to rescued\n  \
    couchcopy salvage node1/data node2/data \\\n    --to rescued.tar.gz --apart unproven\n  \
    couchcopy salvage --to rescued \\\n    shards/00000000-7fffffff/orders.1795355234.couch.compact.data"
)]
pub(crate) struct Salvage {
    /// Data directories, single files (.couch, .couch.compact, .couch.compact.data), archives, repositories.
    #[arg(value_name = "INPUT", required = true, value_parser = location())]
    inputs: Vec<Location>,

    /// Write new files and the report to this directory, which is new or empty; or write a backup to this archive.
    ///
    /// An archive is a path that ends in .tar.gz, .tgz or .age, or a URL of a store (s3://…). The archive has the documents that are
    /// proven; what is lost is recorded in it.
    #[arg(long, value_name = "DIR|ARCHIVE", required_unless_present = "dry_run", value_parser = location())]
    to: Option<Location>,

    /// With --to ARCHIVE: write the report and what nothing proves to this directory, which is new or empty.
    #[arg(long, value_name = "DIR", requires = "to")]
    apart: Option<PathBuf>,

    /// Only report what can be recovered.
    #[arg(long, conflicts_with = "to")]
    dry_run: bool,

    /// Recover only this database. Can be repeated.
    #[arg(long = "db", value_name = "DB")]
    databases: Vec<String>,

    /// List documents that are whole in the report, too.
    #[arg(long)]
    list_whole: bool,

    /// Prove nothing with tree nodes that are found by searching behind damage.
    ///
    /// Use it if users who can write attachments may have prepared content that looks like nodes of this very file. More documents
    /// remain unproven.
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    recipients: RecipientFlags,
}

impl Salvage {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let inputs = self.inputs.iter().map(|input| session.place(input)).collect::<Result<_>>()?;
        let options = SalvageOptions {
            inputs,
            to: self.to.as_ref().map(|to| self.target(to, session)).transpose()?,
            databases: self.databases.clone(),
            list_whole: self.list_whole,
            strict: self.strict,
            threads: session.threads(),
        };
        let mut is_whole = false;
        if session.json() {
            output::stream(|out| {
                let failed = |e| outcome::Failure::io("write to", "standard output", e);
                let result = salvage::salvage(&options, session.reporter(), &mut |line| {
                    serde_json::to_writer(&mut *out, line).map_err(|e| failed(e.into()))?;
                    out.write_all(b"\n").map_err(failed)
                })?;
                is_whole = result.is_whole();
                serde_json::to_writer(&mut *out, &serde_json::json!({ "summary": result }))
                    .map_err(|e| failed(e.into()))?;
                out.write_all(b"\n").map_err(failed)
            })?;
        } else {
            let result = salvage::salvage(&options, session.reporter(), &mut |_| Ok(()))?;
            is_whole = result.is_whole();
            session.summary(&result, text);
        }
        Ok(Outcome::of(is_whole))
    }

    fn target(&self, to: &Location, session: &Session) -> Result<Target> {
        match to {
            Location::Standard => Err(Failure::refused(
                Code::new("CC-X32"),
                "what is salvaged is not written to standard output, which has the report",
                "Give a directory or the path of an archive with --to.",
            )),
            Location::Path(path) if !is_archive(path) => match &self.apart {
                None => Ok(Target::Directory(path.clone())),
                Some(_) => Err(Failure::refused(
                    Code::new("CC-X31"),
                    format!("--apart is for an archive, and {} is a directory", path.display()),
                    "Leave out --apart: the directory has the report and what nothing proves. An archive ends in .tar.gz, .tgz or .age.",
                )),
            },
            _ => {
                let place = session.new_place(to, None, &self.recipients)?;
                let destination = Destination::Archive { place, overwrite: false, level: LEVEL };
                Ok(Target::Backup { destination, apart: self.apart.clone() })
            }
        }
    }
}

/// Whether a path is that of an archive, by its name.
fn is_archive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".tar.gz", ".tgz", ".age"].iter().any(|ending| name.ends_with(ending))
}

fn text(result: &Salvaged) -> String {
    let mut text = String::new();
    let width = result.shards.iter().map(|shard| shard.path.len()).max().unwrap_or(0).clamp(4, 70);
    let _ = write!(text, "{:width$}", "file");
    for grade in Grade::ALL {
        let _ = write!(text, "  {}", grade.name());
    }
    text.push('\n');
    for shard in &result.shards {
        let _ = write!(text, "{:width$}", shard.path);
        for grade in Grade::ALL {
            let _ = write!(text, "  {:>1$}", shard.documents.of(grade), grade.name().len());
        }
        text.push('\n');
        if shard.copies.is_empty() {
            text.push_str("  no file of it can be opened\n");
        }
        for copy in shard.copies.iter().filter(|copy| !copy.is_intact()) {
            let _ = writeln!(text, "  {}: {}", copy.file, damage(copy));
        }
    }
    let documents = &result.documents;
    let whole = count(documents.whole, "document is whole", "documents are whole");
    let deleted = count(documents.deleted, "recovered document is", "recovered documents are");
    let _ = writeln!(text, "{whole}; {deleted} deleted.");
    let mut note = |number: u64, one: &str, more: &str| {
        if number > 0 {
            let _ = writeln!(text, "{}.", count(number, one, more));
        }
    };
    note(
        documents.perhaps_not_newest,
        "recovered document may have had a newer revision in a part that is lost",
        "recovered documents may have had a newer revision in a part that is lost",
    );
    note(
        documents.lost_conflicts,
        "revision in conflict with a recovered one is lost",
        "revisions in conflict with recovered ones are lost",
    );
    note(
        result.nameless,
        "document is lost without a trace: a header counts it",
        "documents are lost without a trace: headers count them",
    );
    for input in &result.unusable {
        let _ = writeln!(text, "Not used: {input}");
    }
    for file in &result.not_needed {
        let _ = writeln!(
            text,
            "Not needed: {file}, a list of ids that a compaction was sorting. It holds no documents."
        );
    }
    match (&result.backup, &result.to) {
        (Some(backup), _) => {
            let _ = writeln!(text, "The proven documents are in {backup}.");
        }
        (None, Some(to)) => {
            let _ = writeln!(text, "The proven documents are in {}.", to.join("data").display());
        }
        (None, None) => {}
    }
    if let Some(to) = &result.to {
        if documents.unproven > 0 || result.shards.iter().any(|shard| shard.documents.unproven > 0) {
            let _ = writeln!(text, "What nothing proves is in {}.", to.join("unproven").display());
        }
        let _ =
            writeln!(text, "{} lists the documents that are not whole.", to.join("report.jsonl").display());
        if !result.has_shard_map {
            text.push_str("There is no shard map (_dbs.couch) among the files, so CouchDB does not show these shards.\n");
        }
    }
    text
}

fn damage(copy: &salvage::CopyReport) -> String {
    let mut parts = Vec::new();
    if copy.headers == 0 {
        parts.push("no valid header".to_owned());
    } else if !copy.ends_with_header {
        parts.push("it does not end with its newest header".to_owned());
    }
    if copy.damaged_nodes > 0 {
        parts.push(count(copy.damaged_nodes, "damaged tree node", "damaged tree nodes"));
    }
    if copy.unreadable > 0 {
        parts.push(format!("{} cannot be read", bytes(copy.unreadable)));
    }
    parts.join(", ")
}

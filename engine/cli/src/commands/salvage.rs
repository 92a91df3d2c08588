//! `couchcopy salvage`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use outcome::Result;
use salvage::{Grade, SalvageOptions, Salvaged};
use store::Location;

use crate::exit::Outcome;
use crate::flags::store::location;
use crate::output;
use crate::session::Session;
use crate::text::sizes::{bytes, count};

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
    couchcopy salvage --to rescued \\\n    shards/00000000-7fffffff/orders.1795355234.couch.compact.data"
)]
pub(crate) struct Salvage {
    /// Data directories, single files (.couch, .couch.compact, .couch.compact.data), archives, repositories.
    #[arg(value_name = "INPUT", required = true, value_parser = location())]
    inputs: Vec<Location>,

    /// Write new files and the report to this directory, which is new or empty.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    to: Option<PathBuf>,

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
}

impl Salvage {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let inputs = self.inputs.iter().map(|input| session.place(input)).collect::<Result<_>>()?;
        let options = SalvageOptions {
            inputs,
            to: self.to.clone(),
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
    if let Some(to) = &result.to {
        let _ = writeln!(text, "The proven documents are in {}.", to.join("data").display());
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

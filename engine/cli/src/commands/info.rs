//! `couchcopy info`.

use std::fmt::Write as _;

use clap::Args;
use contents::Contents;
use inspect::overview::{Overview, overview, recorded};
use outcome::{Result, printable};
use store::Location;

use crate::exit::Outcome;
use crate::flags::store::location;
use crate::session::Session;
use crate::text::configuration;
use crate::text::sizes::{bytes, count};

/// Show a summary of an archive: date, source nodes, size.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The archive.
    #[arg(value_name = "ARCHIVE", value_parser = location())]
    archive: Location,
}

impl Info {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let source = contents::open(&session.place(&self.archive)?)?;
        let overview = match recorded(&*source)? {
            Some(recorded) => recorded,
            None => overview(&Contents::of(source, session.threads(), session.reporter())?)?,
        };
        session.answer(&overview, text);
        Ok(Outcome::Done)
    }
}

fn text(info: &Overview) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "{what:<12}{value}");
    };
    line("made", info.date.as_deref().unwrap_or("(not recorded)"));
    line("by", info.made_by.as_deref().unwrap_or("(not recorded)"));
    line("nodes", &info.nodes.join(", "));
    line("databases", &info.databases.to_string());
    if !info.chosen.is_everything() {
        let options: Vec<String> = info.chosen.options().collect();
        let others = count(info.not_chosen, "other database was", "other databases were");
        line("", &printable(&format!("made with {}; {others} not saved", options.join(" "))));
    }
    line("documents", &format!("{} and {} deleted", info.documents, info.deleted));
    line("files", &format!("{} shards, {} view indexes", info.shards, info.views));
    line("size", &bytes(info.content_bytes));
    line("manifest", if info.manifest { "yes" } else { "no (read in one pass)" });
    if info.problems > 0 {
        line("problems", &format!("{} shards are damaged or missing", info.problems));
    }
    if !info.deleted_meanwhile.is_empty() {
        line("deleted", &format!("while the backup ran: {}", info.deleted_meanwhile.join(", ")));
    }
    if !info.created_meanwhile.is_empty() {
        line("not in it", &format!("created while the backup ran: {}", info.created_meanwhile.join(", ")));
    }
    if info.surplus_shards > 0 {
        line(
            "splitting",
            &format!(
                "{} shards are not counted: their documents are in other shards, too",
                info.surplus_shards
            ),
        );
    }
    for left in &info.left_out {
        line("left out", &printable(&format!("{}: {left}", left.kind)));
    }
    for node in &info.config {
        line("config", &configuration::heading(node));
        for file in configuration::lines(node, |file| &file.entry) {
            line("", &file);
        }
    }
    if info.ignored_files > 0 {
        line(
            "ignored",
            &count(info.ignored_files, "file that no backup needs", "files that no backup needs"),
        );
    }
    text
}

//! What a backup prints.

use std::fmt::Write as _;

use backup::{BackupOptions, BackupResult};
use contents::{BackupSummary, Destination};
use outcome::printable;
use store::Location;

use crate::session::Session;
use crate::text::configuration;
use crate::text::problems::{PROBLEMS_SHOWN, problems};
use crate::text::sizes::{bytes, count};

/// Prints the summary of a backup.
pub(super) fn print(session: &Session, options: &BackupOptions, result: &BackupResult) {
    let text = |result: &BackupResult| text(result, &options.destination.name());
    match &options.destination {
        Destination::Archive { place, .. } if matches!(place.location(), Location::Standard) => {
            session.summary_aside(result, text);
        }
        _ => session.summary(result, text),
    }
}

/// Prints the summary of one backup of many.
pub(super) fn print_round(session: &Session, options: &BackupOptions, result: &BackupResult) {
    if !result.is_unchanged {
        session.summary_line(result, |result| text(result, &options.destination.name()));
    }
}

fn text(result: &BackupResult, archive: &str) -> String {
    let summary = &result.summary;
    if let Some(backup) = &result.in_repository {
        let mut text = format!(
            "{archive}::{}: {}, {}, {}; {} of {} files read, {} of {} new, {} stored\n",
            backup.id,
            count(summary.databases, "database", "databases"),
            count(summary.shards, "shard", "shards"),
            count(summary.views, "view index", "view indexes"),
            backup.read_files,
            backup.files,
            bytes(backup.new_bytes),
            bytes(result.content_bytes),
            bytes(result.archive_bytes)
        );
        details(&mut text, summary);
        return text;
    }
    let mut text = format!(
        "{}: {}, {}, {}; {} in {}\n",
        archive,
        count(summary.databases, "database", "databases"),
        count(summary.shards, "shard", "shards"),
        count(summary.views, "view index", "view indexes"),
        bytes(result.content_bytes),
        bytes(result.archive_bytes)
    );
    details(&mut text, summary);
    text
}

/// What an administrator has to know besides numbers.
fn details(text: &mut String, summary: &BackupSummary) {
    for node in &summary.config {
        let _ = writeln!(text, "{}:", configuration::heading(node));
        for line in configuration::lines(node, |file| &file.path) {
            let _ = writeln!(text, "  {line}");
        }
        if !node.not_found.is_empty() {
            let _ = writeln!(text, "  not found: {}", printable(&node.not_found.join(", ")));
        }
    }
    if !summary.rebuilt_maps.is_empty() {
        let n = count(summary.rebuilt_maps.len() as u64, "database", "databases");
        let _ = writeln!(text, "shard maps rebuilt from the shards: {n}");
    }
    if summary.surplus_shards > 0 {
        let n = count(summary.surplus_shards, "shard", "shards");
        let _ = writeln!(text, "{n} not needed: databases are in the middle of shard splitting");
    }
    for (db, ranges) in &summary.split_meanwhile {
        let _ = writeln!(text, "{db} was split while the backup ran; saved as {}", ranges.join(", "));
    }
    if !summary.left_out.is_empty() {
        let n = count(summary.left_out.len() as u64, "item", "items");
        let _ = writeln!(text, "not in the archive: {n}");
        for left in summary.left_out.iter().take(PROBLEMS_SHOWN) {
            let _ = writeln!(text, "  {}: {}", left.kind, printable(&left.to_string()));
        }
    }
    problems(text, "NOT SAVED, damaged or missing on the nodes", ("file", "files"), &summary.problems);
    problems(text, "SAVED, but DAMAGED", ("shard", "shards"), &summary.damaged);
}

//! Tables of databases and shards.

use std::fmt::Write as _;

use inspect::overview::DatabaseListing;

use super::sizes::bytes;

/// One line for each database.
pub(crate) fn databases(listings: &[DatabaseListing]) -> String {
    let mut text =
        format!("{:>10} {:>8} {:>11} {:>4} {:>3}  database\n", "documents", "deleted", "size", "q", "n");
    for db in listings {
        let is_damaged = db.shards.iter().any(|shard| shard.problem.is_some());
        let _ = writeln!(
            text,
            "{:>10} {:>8} {:>11} {:>4} {:>3}  {}{}",
            db.documents,
            db.deleted,
            bytes(db.bytes),
            db.q,
            db.n,
            db.name,
            if is_damaged { "  (DAMAGED)" } else { "" }
        );
    }
    text
}

/// One line for each shard of a database.
pub(crate) fn shards(db: &DatabaseListing) -> String {
    let mut text =
        format!("{:<17} {:>10} {:>8} {:>11} {:>6}  file\n", "range", "documents", "deleted", "size", "views");
    for shard in &db.shards {
        let _ = writeln!(
            text,
            "{:<17} {:>10} {:>8} {:>11} {:>6}  {}",
            shard.range,
            shard.documents,
            shard.deleted,
            bytes(shard.bytes),
            shard.views.len(),
            shard.file
        );
        if let Some(problem) = &shard.problem {
            let _ = writeln!(text, "    PROBLEM: {problem}");
        }
    }
    text
}

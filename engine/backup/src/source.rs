//! What goes into the archive, as its entries.

mod findings;
mod maps;
mod shards;
mod views;

use std::path::PathBuf;

use archive::{Facts, FileStat, Glance, Opened, Seen};
use couchfile::read_at::ReadAt;

pub(super) use findings::Findings;
pub(super) use maps::MapsSource;
pub(super) use shards::ShardSource;
pub(super) use views::ViewSource;

/// Directory inside the archive that holds the data directory.
const DATA: &str = "data/";

fn opened<R: ReadAt + 'static>(
    name: String,
    mtime: u64,
    facts: Facts,
    seen: Option<Seen>,
    large: Option<R>,
) -> Opened {
    match large {
        None => Opened::Small { name, mtime, facts, seen },
        Some(data) => Opened::Large { name, mtime, facts, seen, data: Box::new(data) },
    }
}

/// What a file of this machine is called in a backup, and its stat.
fn glance(name: String, near: Option<PathBuf>) -> Glance {
    let stat = near.and_then(|path| std::fs::metadata(path).ok()).map(|facts| FileStat::of(&facts));
    Glance { name, stat }
}

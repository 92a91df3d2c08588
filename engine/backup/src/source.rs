//! What goes into the archive, as its entries.

mod findings;
mod maps;
mod shards;
mod views;

use archive::{Facts, FileStat, Glance, Opened, Seen};
use couchfile::read_at::ReadAt;

use crate::folder::NodeFolder;

pub(super) use findings::Findings;
pub(super) use maps::MapsSource;
pub(super) use shards::ShardSource;
pub(super) use views::ViewSource;

/// What a view index is called in the backup.
pub(super) fn view_name(path: &str) -> String {
    format!("{DATA}{path}")
}

/// What a shard is called in the backup. Shards that were split off while the backup ran come after all other shards, because
/// names have to ascend.
pub(super) fn shard_name(path: &str, round: Option<u8>) -> String {
    match round {
        None => format!("{DATA}{path}"),
        Some(round) => format!("{DATA}{}", couchfile::data_dir::late_path(path, round)),
    }
}

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

/// What a file is called in a backup, and its stat: now if it is on this machine, and else when the files were listed.
fn glance(name: String, folder: Option<&NodeFolder>, path: &str, listed: Option<FileStat>) -> Glance {
    let stat = folder.and_then(|folder| match folder.origin.near(&folder.path, path) {
        Some(near) => std::fs::metadata(near).ok().map(|facts| FileStat::of(&facts)),
        None => listed,
    });
    Glance { name, stat }
}

//! What goes into the archive, as its entries.

mod findings;
mod maps;
mod shards;
mod views;

use archive::{Facts, Opened};
use couchfile::read_at::ReadAt;

pub(super) use findings::Findings;
pub(super) use maps::MapsSource;
pub(super) use shards::ShardSource;
pub(super) use views::ViewSource;

/// Directory inside the archive that holds the data directory.
const DATA: &str = "data/";

fn opened<R: ReadAt + 'static>(name: String, mtime: u64, facts: Facts, large: Option<R>) -> Opened {
    match large {
        None => Opened::Small { name, mtime, facts },
        Some(data) => Opened::Large { name, mtime, facts, data: Box::new(data) },
    }
}

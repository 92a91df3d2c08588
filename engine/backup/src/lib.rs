//! Saves the data of one or several nodes, running or not, into one archive.
//!
//! In this order: the shard maps are opened and stay open as they are; of every shard one node is chosen; view indexes are
//! archived; the shard maps as opened; the shards. A view index is read before its shard, so its sequence cannot be
//! beyond the shard's. Of every file the archive gets the prefix up to its last valid header, read through one open
//! descriptor; of a large file of another machine everything up to its length when it was opened, since its last header is
//! known only when it has passed by; or, where a mirror is kept, the prefix of what is in that.

mod adding;
mod asked;
mod checking;
mod choice;
mod config;
mod copies;
mod drift;
mod file;
mod folder;
mod known;
mod left_out;
mod leftovers;
mod maps;
mod mirror;
mod nowhere;
mod options;
mod origin;
mod patience;
mod phases;
mod plan;
mod remote;
mod report;
mod security;
mod source;
mod split;

pub use folder::NodeFolder;
pub use options::{BackupOptions, BackupResult, FolderArgument};
pub use phases::backup;

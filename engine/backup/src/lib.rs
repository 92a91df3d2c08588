//! Saves the data of one or several nodes, running or not, in one archive.
//!
//! The order is: open the shard maps and keep them open; choose one node for every shard; save the view indexes, then the shard
//! maps as they were opened, then the shards. A view index is read before its shard, so its sequence cannot be beyond the
//! shard's. The archive gets the prefix of every file up to its last valid header, read through one open descriptor. Of a large
//! file of another machine it gets everything up to the length at opening, because the last header is known only at the end. With
//! a mirror it gets the prefix of the mirrored file.

mod adding;
mod asked;
mod checking;
mod choice;
mod chosen;
mod config;
mod copies;
mod couchdb1;
mod doctor;
mod drift;
mod far;
mod file;
mod folder;
mod known;
mod left_out;
mod leftovers;
mod limited;
mod maps;
mod mirror;
mod nowhere;
mod options;
mod origin;
mod patience;
mod phases;
mod plan;
mod rebuild;
mod remote;
mod report;
mod security;
mod source;
mod split;

pub use doctor::{Diagnosis, DoctorOptions, Finding, FindingKind, FindingSeverity, doctor};
pub use folder::NodeFolder;
pub use options::{BackupOptions, BackupResult, FolderArgument};
pub use phases::backup;
pub use rebuild::RebuildMaps;

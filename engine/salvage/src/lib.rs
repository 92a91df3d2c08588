//! Recovers documents from damaged database files.
//!
//! [`salvage`] goes through data directories, backups and single files; [`salvage_shard`] takes all copies of a shard, or what is left of them, and writes a new file with every document that is proven,
//! another one with what nothing proves, and a report. `docs/salvage.md` explains what counts as a proof and why.
//!
//! The steps, each in a module of its own: `scan` goes through each file once and finds headers and nodes of every generation
//! (`search` where the order of the chunks is lost), `walk` follows the trees of the newest header, `sort` brings together what all
//! of them say of a document, `judge` decides what is proven, and `shard` writes it.

mod backup;
mod copy;
#[cfg(test)]
mod damages;
mod evidence;
#[cfg(test)]
mod forged;
mod found;
mod inputs;
mod judge;
mod kept;
mod lenient;
mod report;
mod run;
mod scan;
mod search;
mod shard;
mod sort;
mod walk;

pub use copy::Copy;
pub use report::{CopyReport, Counts, DocumentLine, Grade, ShardReport};
pub use run::{SalvageOptions, Salvaged, Target, salvage};
pub use shard::{Output, Shard, ShardError, salvage_shard};

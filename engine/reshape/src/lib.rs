//! Moves the documents of a database to another number of ranges, and through a filter.
//!
//! [`Reshaping::run`] reads the shard files of one database, whose ranges cover the hash space, and writes one new shard file for each
//! range of another division of it. A document goes to the range that contains the hash of its id, as CouchDB places it
//! (`couchfile::data_dir::document_hash`), with all its revisions, bodies and attachments as they are stored.
//!
//! `job` divides the work: new ranges that are made of different old ones do not depend on each other. `merge` reads the shards of
//! a job in the order of their sequences, so that documents that were changed last come last; `work` copies each document into the
//! file of its range and gives the entries of the trees by key to `sort`, which needs bounded memory. `local` decides which local
//! documents a new shard can have. With a filter, `judge` asks it what becomes of each leaf revision.

mod error;
mod job;
mod judge;
mod local;
mod merge;
mod run;
mod sort;
mod work;

pub use error::ReshapeError;
pub use run::{Counts, NewShard, NewShards, OldShard, Reshaping};

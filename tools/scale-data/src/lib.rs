//! Builds data folders of CouchDB nodes, of any size, for benchmarks and tests.
//!
//! A [`plan::Plan`] says what is wanted; [`build::build`] writes it. The same plan gives the same bytes every time: ids,
//! texts and uuids all come from its seed. A real CouchDB (3.0 and newer) takes the folders as they are.

pub mod arguments;
pub mod build;
pub mod document;
pub mod error;
pub mod plan;
mod random;
mod shard;
mod shard_maps;
mod words;

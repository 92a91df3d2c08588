//! The `.couch` file format of Apache CouchDB: read, check and write.

pub mod blocks;
pub mod btree;
pub mod checksum;
pub mod compression;
pub mod ejson;
pub mod error;
pub mod header;
pub mod read_at;
pub mod revtree;
pub mod term;

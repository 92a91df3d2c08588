//! The `.couch` file format of Apache CouchDB: read, check and write.
//!
//! A `.couch` file is a log: data is appended, then a header that names it. Every prefix that ends in a header is a
//! database. [`database::Database`] opens the last one; [`check`] proves it whole; [`writer`] builds a new file;
//! [`edit`] changes a header. Nothing here touches the network or knows of archives.

pub mod blocks;
pub mod btree;
pub mod check;
pub mod checksum;
pub mod compare;
pub mod compression;
pub mod data_dir;
pub mod database;
pub mod database_name;
pub mod document;
pub mod edit;
pub mod ejson;
pub mod error;
pub mod header;
pub mod internal_replication;
pub mod json;
pub mod md5_sums;
pub mod read_at;
pub mod revision;
pub mod revtree;
pub mod ring;
pub mod shard_map;
pub mod term;
pub mod view;
pub mod writer;

//! The `.couch` file format of Apache CouchDB: read, check and write.
//!
//! A `.couch` file is a log: data is appended, then a header that points to it. Every prefix that ends in a header is a
//! database. [`Database`] opens the last one; [`check`] verifies it completely; [`writer`] builds a new file; [`edit`]
//! changes a header. Nothing here uses the network or knows archives.
//!
//! # Example
//!
//! Open a file and list its documents:
//!
//! ```
//! use couchfile::{CouchFileError, Database, FileBytes};
//!
//! # use couchfile::writer::{DatabaseWriter, NewBody, NewDocument, Settings, random_uuid};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("fruits.1795355234.couch");
//! # let mut writer = DatabaseWriter::new(
//! #     std::fs::File::create(&path)?,
//! #     Settings::new(random_uuid()?, "couchdb@127.0.0.1"),
//! # )?;
//! # let term = couchfile::ejson::encode_json(&serde_json::json!({"colour": "red"})).unwrap();
//! # writer.add(&NewDocument::first(b"apple", NewBody { term, deleted: false, attachments: Vec::new() }))?;
//! # writer.finish()?;
//! let database = Database::open(FileBytes::new(std::fs::File::open(path)?)?)?;
//! let mut ids = Vec::new();
//! database.for_each_document(|document| {
//!     ids.push(String::from_utf8_lossy(document.id).into_owned());
//!     Ok::<(), CouchFileError>(())
//! })?;
//! assert_eq!(ids, ["apple"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub mod packed_seq;
pub mod read_at;
pub mod revision;
pub mod revtree;
pub mod ring;
pub mod shard_map;
pub mod states;
pub mod term;
pub mod time_table;
pub mod view;
pub mod writer;

pub use data_dir::DataFile;
pub use database::Database;
pub use error::CouchFileError;
pub use read_at::{FileBytes, ReadAt};
pub use shard_map::ShardMap;

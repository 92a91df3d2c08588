//! What the end-to-end tests share: data that a real CouchDB wrote, what HTTP said of it, and a reader that tells the
//! same of data folders without a CouchDB.

pub mod clock;
pub mod compare;
pub mod containers;
pub mod content;
pub mod copies;
pub mod far;
pub mod fault_proxy;
pub mod faults;
pub mod fixtures;
pub mod growth;
pub mod hostile;
pub mod isolated;
pub mod kubernetes;
pub mod lab;
pub mod live;
pub mod managers;
pub mod manifest;
pub mod memory;
pub mod object_servers;
pub mod old_files;
pub mod random;
pub mod transport;

/// Result of this crate's functions. Tests want the message, not the kind.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

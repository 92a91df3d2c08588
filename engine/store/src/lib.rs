//! Where bytes lie: a path, standard input and output, `s3://`, `gs://`, `az://`.
//!
//! A [`Place`] names something that can be read or written, together with how its store is reached. [`Place::open`] reads it, by
//! ranges where the store can; [`Place::create`] writes it, and it gets its name only when it is complete. [`Bucket`] has the other
//! requests: put once, list, delete, unfinished uploads. This crate knows nothing of backups.
//!
//! A place can be encrypted, in age's format: whoever has its [`Keys`] reads and writes it like any other.
//!
//! All functions block. They can be called from any thread that does not run asynchronous tasks.

mod bucket;
mod connect;
mod directory;
mod error;
mod keys;
mod limits;
mod location;
mod opened;
mod output;
mod partial_file;
mod place;
mod profile;
mod reader;
mod runtime;
mod settings;
mod spool;
mod upload;
mod uploads;

pub use bucket::{Bucket, Object};
pub use directory::Directory;
pub use error::{Said, StoreError};
pub use keys::Keys;
pub use limits::{Limiter, Rate, RateError};
pub use location::{Location, LocationError, ObjectLocation, Service};
pub use opened::Opened;
pub use output::{Output, Writing};
pub use partial_file::PartialFile;
pub use place::{NoKey, Place, Stores};
pub use settings::Settings;
pub use uploads::Unfinished;

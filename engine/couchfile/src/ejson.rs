//! CouchDB's JSON as Erlang terms (EJSON): objects are 1-tuples around a list of pairs, strings are binaries.

mod from_json;
mod size;
mod to_json;

pub use from_json::encode_json;
pub use size::external_size;
pub use to_json::{write_json, write_members};

//! CouchDB's JSON as Erlang terms (EJSON): objects are 1-tuples around a list of pairs, strings are binaries.

mod from_json;
mod from_text;
mod number;
mod size;
mod text;
mod to_json;

pub(crate) use number::write_float;
pub(crate) use text::write_text;

pub use from_json::encode_json;
pub use from_text::encode_members;
pub use size::external_size;
pub use to_json::{NegativeZero, write_json, write_json_with, write_members};

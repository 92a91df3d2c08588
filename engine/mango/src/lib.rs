//! Mango, CouchDB's query language: selectors, fields and sort orders over JSON documents.
//!
//! Text of errors is CouchDB's own, so that a client sees what CouchDB would answer.

mod collation;
mod erlang;
mod error;
mod fields;
mod matching;
mod normal;
mod path;
mod query;
mod selector;
mod sort;

pub use error::MangoError;
pub use fields::Fields;
pub use query::{Bookmark, Query};
pub use selector::{IdRange, Selector};

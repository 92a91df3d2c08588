//! Mango, CouchDB's query language: selectors, fields and sort orders over JSON documents.

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

pub(crate) use error::MangoError;
pub(crate) use fields::Fields;
pub(crate) use query::{Bookmark, Query};
pub(crate) use selector::Selector;

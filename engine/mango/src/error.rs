//! What is wrong with a query, in CouchDB's words.
//!
//! Source: `mango_error.erl`.

use couchfile::json::Json;

use crate::erlang;

/// What is wrong with a query: always the client's mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MangoError {
    /// CouchDB's name of the error.
    pub error: &'static str,
    /// What is wrong.
    pub reason: String,
}

impl MangoError {
    /// An error with its words.
    pub(crate) fn new(error: &'static str, reason: impl Into<String>) -> Self {
        Self { error, reason: reason.into() }
    }

    /// An operator whose argument is of no use.
    pub(crate) fn bad_argument(operator: &str, argument: &Json) -> Self {
        Self::new("bad_arg", format!("Bad argument for operator {operator}: {}", erlang::term(argument)))
    }

    /// A field that no document can have.
    pub(crate) fn field_name(field: &str) -> Self {
        Self::new("invalid_field_name", format!("Invalid field name: {field}"))
    }

    /// A bookmark that this server did not give.
    pub(crate) fn bookmark(bookmark: &Json) -> Self {
        Self::new("invalid_bookmark", format!("Invalid bookmark value: {bookmark}"))
    }

    /// A sort that would take more memory than a server may use.
    pub fn no_usable_index() -> Self {
        Self::new("no_usable_index", "No index exists for this sort, try indexing by the sort fields.")
    }
}

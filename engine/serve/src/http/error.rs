//! Why a request is answered with an error, in CouchDB's words.
//!
//! Source: `chttpd.erl` (`error_info/1`).

use std::io;

use mango::MangoError;
use serde_json::json;

/// An answer that reports an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpError {
    /// The status code.
    pub(crate) status: u16,
    /// CouchDB's name of the error.
    pub(crate) error: String,
    /// What is wrong.
    pub(crate) reason: String,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// Why a request could not be answered as it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client gets this error.
    Told(HttpError),
    /// The client is not there any more, or did not want a body.
    Gone,
    /// The archive cannot be read: reported to the client and to the operator of the server.
    Archive(snapshot::Error),
}

/// The answer if something would have to be written.
const READ_ONLY: &str = "This is a backup that is served for reading: nothing can be written to it.";

impl HttpError {
    /// An error of that name.
    pub(crate) fn new(status: u16, error: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { status, error: error.into(), reason: reason.into(), headers: Vec::new() }
    }

    /// The request of the client is not valid.
    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(400, "bad_request", reason)
    }

    /// A query parameter is not valid.
    pub(crate) fn query_parse(reason: impl Into<String>) -> Self {
        Self::new(400, "query_parse_error", reason)
    }

    /// The body is not JSON.
    pub(crate) fn invalid_json() -> Self {
        Self::bad_request("invalid UTF-8 JSON")
    }

    /// There is no such thing.
    pub(crate) fn not_found(reason: impl Into<String>) -> Self {
        Self::new(404, "not_found", reason)
    }

    /// There is no such database.
    pub(crate) fn no_database() -> Self {
        Self::not_found("Database does not exist.")
    }

    /// Only these methods make sense there.
    pub(crate) fn only(methods: &str) -> Self {
        let mut error = Self::new(405, "method_not_allowed", format!("Only {methods} allowed"));
        error.headers.push(("allow", methods.to_owned()));
        error
    }

    /// That would be a write.
    pub(crate) fn read_only(methods: &str) -> Self {
        let mut error = Self::new(405, "method_not_allowed", READ_ONLY);
        error.headers.push(("allow", methods.to_owned()));
        error
    }

    /// CouchDB has that, and a backup has not.
    pub(crate) fn not_served(what: &str) -> Self {
        let reason = format!("{what}: not served from a backup. `couchcopy load` starts a CouchDB on it.");
        Self::new(501, "not_implemented", reason)
    }

    /// The error as JSON.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = json!({"error": self.error, "reason": self.reason}).to_string().into_bytes();
        body.push(b'\n');
        body
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::Told(error)
    }
}

impl From<MangoError> for Failure {
    fn from(error: MangoError) -> Self {
        Self::Told(HttpError::new(400, error.error, error.reason))
    }
}

impl From<snapshot::Error> for Failure {
    fn from(error: snapshot::Error) -> Self {
        Self::Archive(error)
    }
}

impl From<io::Error> for Failure {
    /// Only writing an answer fails in that way.
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

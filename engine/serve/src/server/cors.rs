//! Which pages of other origins may read.
//!
//! Source: `chttpd_cors.erl`.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::options::Cors;

/// Methods that pages may use.
const METHODS: &str = "GET, HEAD, OPTIONS, POST, PUT, DELETE";
/// Headers that pages may send.
const REQUEST_HEADERS: &str = "accept, authorization, content-type, if-none-match, last-event-id, origin, range, \
    x-couch-full-commit, x-requested-with";
/// Headers that pages may see.
const EXPOSED_HEADERS: &str = "accept-ranges, cache-control, content-length, content-range, content-type, etag, \
    server, x-couch-request-id, x-couchdb-body-time";
/// How long browsers remember that, in seconds.
const MAX_AGE: &str = "600";

/// Which origins may read.
#[derive(Debug)]
pub(super) struct CorsRules {
    origins: Vec<String>,
}

impl CorsRules {
    /// What an option allows.
    pub(super) fn new(cors: &Cors) -> Self {
        let origins = cors.origins.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase());
        Self { origins: origins.collect() }
    }

    /// The answer to a browser that asks what it may do; `None` if it asks for something else.
    pub(super) fn preflight(&self, request: &HeaderMap) -> Option<Response> {
        let origin = request.get(header::ORIGIN)?;
        request.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if !self.allows(origin) {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        self.allow(origin, headers);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        Some(response)
    }

    /// Lets a page of that origin see an answer, if it may.
    pub(super) fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if !self.allows(origin) {
            return;
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        // To let any page send the user's password would let every page read.
        if !self.origins.iter().any(|allowed| allowed == "*") {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin.to_ascii_lowercase();
        self.origins.iter().any(|allowed| allowed == "*" || *allowed == origin)
    }
}

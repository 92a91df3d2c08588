//! A request, taken apart as CouchDB takes it apart.
//!
//! Sources: `chttpd.erl` (`handle_request_int/1`), `mochiweb_util.erl` (`parse_qs/1`, `unquote/1`).

use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use couchfile::json::{Json, Members};
use serde_json::{Map, Value};

use super::error::HttpError;

/// Longest path with parameters, in bytes.
const LONGEST_URI: usize = 60 << 10;

/// What is to be done. `HEAD` is `GET` without a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Read.
    Get,
    /// Read, with parameters in the body; or write.
    Post,
    /// Write.
    Put,
    /// Write.
    Delete,
    /// Anything else.
    Other,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// What is to be done.
    pub(crate) method: Method,
    /// Whether the client wants the head of the answer only.
    pub(crate) is_head: bool,
    /// The path as it was sent, without parameters.
    pub(crate) raw_path: String,
    /// The parts of the path, decoded.
    pub(crate) path: Vec<String>,
    /// The parameters in order, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

impl Method {
    /// The method of that name.
    pub(crate) fn parse(name: &str) -> (Self, bool) {
        match name {
            "GET" => (Self::Get, false),
            "HEAD" => (Self::Get, true),
            "POST" => (Self::Post, false),
            "PUT" => (Self::Put, false),
            "DELETE" => (Self::Delete, false),
            _ => (Self::Other, false),
        }
    }
}

impl Call {
    /// Takes the head of a request apart; the body comes later.
    pub(crate) fn parse(method: &str, uri: &Uri, headers: HeaderMap) -> Result<Self, HttpError> {
        let raw_path = uri.path().to_owned();
        let raw_query = uri.query().unwrap_or_default();
        if raw_path.len() + raw_query.len() > LONGEST_URI {
            return Err(HttpError::new(414, "too_long", "the request uri is too long"));
        }
        if !is_encoded_well(&raw_path) || !is_encoded_well(raw_query) {
            return Err(HttpError::bad_request("invalid_url_encoding"));
        }
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| HttpError::bad_request("The path is not valid UTF-8."))
        };
        let path = raw_path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| text(decode(part)))
            .collect::<Result<_, _>>()?;
        let (method, is_head) = Method::parse(method);
        let query = parse_query(raw_query);
        Ok(Self { method, is_head, raw_path, path, query, headers, body: Bytes::new() })
    }

    /// The first value of a parameter.
    pub(crate) fn parameter(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    }

    /// A header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Fails if the body is not said to be JSON.
    pub(crate) fn check_json_type(&self) -> Result<(), HttpError> {
        let content_type = self.header("content-type").and_then(|header| header.split(';').next());
        if content_type == Some("application/json") {
            return Ok(());
        }
        Err(HttpError::new(415, "bad_content_type", "Content-Type must be application/json"))
    }

    /// Fails unless the method is one of those that read.
    pub(crate) fn only_get(&self) -> Result<(), HttpError> {
        match self.method {
            Method::Get => Ok(()),
            _ => Err(HttpError::only("GET,HEAD")),
        }
    }

    /// Fails unless the method is `POST`, which reads with parameters in the body.
    pub(crate) fn only_post(&self) -> Result<(), HttpError> {
        match self.method {
            Method::Post => self.check_json_type(),
            _ => Err(HttpError::only("POST")),
        }
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, HttpError> {
        parse_json(&self.body)
    }

    /// The body as JSON of any depth, with integers of any size.
    pub(crate) fn exact_json(&self) -> Result<Json, HttpError> {
        Json::parse(&self.body).map_err(|_| HttpError::invalid_json())
    }

    /// The body as a JSON object of any depth.
    pub(crate) fn exact_object(&self) -> Result<Members, HttpError> {
        match self.exact_json()? {
            Json::Object(members) => Ok(members),
            _ => Err(HttpError::bad_request("Request body must be a JSON object")),
        }
    }

    /// The body as a JSON object.
    pub(crate) fn json_object(&self) -> Result<Map<String, Value>, HttpError> {
        match self.json()? {
            Value::Object(members) => Ok(members),
            _ => Err(HttpError::bad_request("Request body must be a JSON object")),
        }
    }
}

/// Reads JSON of a client.
pub(crate) fn parse_json(bytes: &[u8]) -> Result<Value, HttpError> {
    serde_json::from_slice(bytes).map_err(|_| HttpError::invalid_json())
}

/// Whether every percent sign stands before two hexadecimal digits.
fn is_encoded_well(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_hex = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_hexdigit);
    (0..bytes.len()).filter(|&i| bytes[i] == b'%').all(|i| is_hex(i + 1) && is_hex(i + 2))
}

/// Decodes percent signs, and plus signs as spaces.
fn decode(text: &str) -> Vec<u8> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).collect()
}

fn parse_query(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| String::from_utf8_lossy(&decode(text)).into_owned();
    text.split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => (decode(key), decode(value)),
            None => (decode(pair), String::new()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Result<Call, HttpError> {
        Call::parse("GET", &uri.parse().unwrap(), HeaderMap::new())
    }

    #[test]
    fn paths_and_parameters() {
        let call = parse("/a%2Fb//c+d?x=1&y=%22a+b%22&x=2&z").unwrap();
        assert_eq!(call.path, ["a/b", "c d"]);
        assert_eq!(call.parameter("x"), Some("1"));
        assert_eq!(call.parameter("y"), Some("\"a b\""));
        assert_eq!(call.parameter("z"), Some(""));
        assert_eq!(call.query.len(), 4);
    }

    #[test]
    fn what_makes_no_sense() {
        assert_eq!(parse("/a%2").unwrap_err().reason, "invalid_url_encoding");
        assert_eq!(parse("/%ff").unwrap_err().status, 400);
        assert_eq!(parse(&format!("/{}", "a".repeat(62_000))).map(|_| ()).unwrap_err().status, 414);
    }
}

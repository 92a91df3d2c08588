//! CouchDB over HTTP.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use crate::Result;

/// The admin of every node of the lab.
pub const USER: &str = "admin";
/// Its password.
pub const PASSWORD: &str = "password";
/// `admin:password` in Base64.
const AUTHORIZATION: &str = "Basic YWRtaW46cGFzc3dvcmQ=";

/// A connection to a node, mostly an admin's.
#[derive(Debug, Clone)]
pub struct Http {
    agent: Agent,
    base: String,
    authorization: Option<&'static str>,
}

/// What a node answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body; null where it is no JSON.
    pub body: Value,
}

impl Answer {
    /// Whether the status code tells success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Http {
    /// Connects to a node (when first asked).
    pub fn new(address: SocketAddr) -> Self {
        Self { authorization: Some(AUTHORIZATION), ..Self::anonymous(address) }
    }

    /// The same without telling who asks.
    pub fn anonymous(address: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .max_idle_connections_per_host(16)
            .build();
        Self { agent: config.into(), base: format!("http://{address}"), authorization: None }
    }

    /// Asks, and takes any answer.
    ///
    /// Fails where there is none.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let named = |e: &dyn std::fmt::Display| format!("{method} {}{path}: {e}", self.base);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("Accept", "application/json");
        if let Some(authorization) = self.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = match body {
            None => request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request)),
            Some(body) => request
                .header("Content-Type", "application/json")
                .body(body.to_string())
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
        };
        let mut answer = answer.map_err(|e| named(&e))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(1 << 30).read_to_vec().map_err(|e| named(&e))?;
        Ok(Answer { status, body: serde_json::from_slice(&text).unwrap_or_default() })
    }

    /// Sends any bytes under any headers; gives the status, the headers and the bytes of the answer, as they came.
    pub fn bytes(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(u16, HeaderMap, Vec<u8>)> {
        let named = |e: &dyn std::fmt::Display| format!("{method} {}{path}: {e}", self.base);
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(authorization) = self.authorization {
            request = request.header("Authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = if body.is_empty() {
            request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
        } else {
            request.body(body).map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
        };
        let mut answer = sent.map_err(|e| named(&e))?;
        let received = answer.body_mut().with_config().limit(1 << 30).read_to_vec().map_err(|e| named(&e))?;
        Ok((answer.status().as_u16(), answer.headers().clone(), received))
    }

    /// `GET` of text that is JSON, as it came.
    pub fn text(&self, path: &str) -> Result<String> {
        let (status, _, text) = self.bytes("GET", path, &[("Accept", "application/json")], b"")?;
        let text = String::from_utf8(text)?;
        if status == 200 { Ok(text) } else { Err(format!("GET {path}: {status} {text}").into()) }
    }

    /// `PUT` of text that is JSON.
    pub fn put_text(&self, path: &str, text: &str) -> Result<()> {
        let (status, _, answer) =
            self.bytes("PUT", path, &[("Content-Type", "application/json")], text.as_bytes())?;
        if (200..300).contains(&status) {
            return Ok(());
        }
        Err(format!("PUT {path}: {status} {}", String::from_utf8_lossy(&answer)).into())
    }

    fn success(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.ask(method, path, body)?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        Err(format!("{method} {}{path}: {} {}", self.base, answer.status, answer.body).into())
    }

    /// `GET`; an answer other than success is an error.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.success("GET", path, None)
    }

    /// `PUT`; an answer other than success is an error.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.success("PUT", path, Some(body))
    }

    /// `POST`; an answer other than success is an error.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.success("POST", path, Some(body))
    }

    /// `DELETE`; an answer other than success is an error.
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.success("DELETE", path, None)
    }
}

/// A name as a part of a path.
pub fn encode(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

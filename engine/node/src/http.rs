//! CouchDB's HTTP interface on one node.

pub(crate) mod api;
mod body;
pub(crate) mod tunnel;

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::Value;

use crate::error::{NodeError, Result};
use tunnel::Tunnel;

pub use body::Body;

/// How long an answer may take. CouchDB gives up on its own earlier.
const ANSWER: Duration = Duration::from_secs(150);
/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// What stays as it is in a part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Makes one part of a path of any text: `a/b` becomes `a%2Fb`.
pub fn encode(part: &str) -> String {
    utf8_percent_encode(part, PART).to_string()
}

/// Name and password of a server admin.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password. It is never shown.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Where CouchDB listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it speaks TLS there.
    pub tls: bool,
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its body; null where it is no JSON.
    pub body: Value,
    /// The header `Date`.
    pub date: Option<String>,
}

impl Answer {
    /// Whether the request was carried out.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What CouchDB gave as the reason.
    pub fn reason(&self) -> String {
        let text = |key: &str| self.body[key].as_str().unwrap_or_default();
        match (text("error"), text("reason")) {
            ("", "") => "without a reason".into(),
            (error, "") => error.to_owned(),
            ("", reason) => reason.to_owned(),
            (error, reason) => format!("{error}, {reason}"),
        }
    }
}

/// Speaks with one node. Connections are kept.
pub struct Http {
    /// Ways to get there; the first one on which anybody answers is taken from then on.
    routes: Vec<Route>,
    taken: OnceLock<usize>,
    /// Of messages.
    url: String,
    credentials: Option<Credentials>,
    node: String,
}

/// A way to CouchDB.
struct Route {
    client: Client,
    /// Of requests: that of the tunnel, where there is one.
    base: String,
    _tunnel: Option<Tunnel>,
}

impl Http {
    /// Prepares to speak with a node; nothing is sent yet. `node` is what messages call it.
    pub fn new(
        endpoint: &Endpoint,
        credentials: Option<Credentials>,
        tunnel: Option<Tunnel>,
        node: String,
    ) -> Result<Self> {
        let url = endpoint.to_string();
        let mut http = Self { routes: Vec::new(), taken: OnceLock::new(), url, credentials, node };
        http.add(endpoint, tunnel)?;
        Ok(http)
    }

    /// One more way to try where nobody has answered yet: CouchDB may not run right now, so which way leads to it shows later.
    pub fn add(&mut self, endpoint: &Endpoint, tunnel: Option<Tunnel>) -> Result<()> {
        let failed = |e: reqwest::Error| NodeError::NoAnswer {
            node: self.node.clone(),
            url: self.url.clone(),
            problem: told(&e),
        };
        let mut builder = Client::builder().timeout(ANSWER).connect_timeout(CONNECT).no_proxy();
        let mut base = endpoint.to_string();
        if let Some(tunnel) = &tunnel {
            let address = tunnel.address();
            if endpoint.tls {
                // The certificate is for the node's name, so that is what the request has to go by.
                builder = builder.resolve(&endpoint.host, address);
                base = Endpoint { port: address.port(), ..endpoint.clone() }.to_string();
            } else {
                base = format!("http://{address}");
            }
        }
        let client = builder.build().map_err(failed)?;
        self.routes.push(Route { client, base, _tunnel: tunnel });
        Ok(())
    }

    /// What messages call the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Where it is asked, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether name and password are known.
    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Sends a request and gives the answer, whatever its status.
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.ask_within(method, path, body, ANSWER)
    }

    /// The same with another time limit.
    pub fn ask_within(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Answer> {
        self.send(method, path, body.map_or(Body::Nothing, Body::Json), limit)
    }

    /// The same with any body. A stream goes the way on which somebody has answered before, or else the first one.
    pub fn send(&self, method: Method, path: &str, body: Body<'_>, limit: Duration) -> Result<Answer> {
        let taken = self.taken.get().copied().or_else(|| body.is_stream().then_some(0));
        if let Some(route) = taken.and_then(|taken| self.routes.get(taken)) {
            return self.ask_on(route, method, path, body, limit);
        }
        let mut failed = None;
        for (i, route) in self.routes.iter().enumerate() {
            match self.ask_on(route, method.clone(), path, body.again(), limit) {
                Ok(answer) => {
                    // Another thread may have been first.
                    let _ = self.taken.set(i);
                    return Ok(answer);
                }
                // The first way is the one that the user thinks of.
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        Err(failed.unwrap_or_else(|| NodeError::NoAnswer {
            node: self.node.clone(),
            url: self.url.clone(),
            problem: "no way leads there".into(),
        }))
    }

    fn ask_on(
        &self,
        route: &Route,
        method: Method,
        path: &str,
        body: Body<'_>,
        limit: Duration,
    ) -> Result<Answer> {
        let mut request = route.client.request(method, format!("{}{path}", route.base)).timeout(limit);
        if let Some(Credentials { user, password }) = &self.credentials {
            request = request.basic_auth(user, Some(password));
        }
        let answered = body.put_into(request).send().and_then(|response| {
            let status = response.status().as_u16();
            let date = response.headers().get("date").and_then(|date| date.to_str().ok().map(str::to_owned));
            Ok((status, date, response.bytes()?))
        });
        let (status, date, bytes) = answered.map_err(|e| NodeError::NoAnswer {
            node: self.node.clone(),
            url: self.url.clone(),
            problem: told(&e),
        })?;
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), date })
    }

    /// Sends a request that has to succeed, and gives the answer's body.
    pub fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let request = format!("{method} {path}");
        let answer = self.ask(method, path, body)?;
        match answer.status {
            _ if answer.is_success() => Ok(answer.body),
            401 | 403 => {
                Err(NodeError::Unauthorized { node: self.node.clone(), request, reason: answer.reason() })
            }
            status => {
                Err(NodeError::Http { node: self.node.clone(), request, status, reason: answer.reason() })
            }
        }
    }

    /// GET that has to succeed.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.request(Method::GET, path, None)
    }

    /// POST that has to succeed.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(Method::POST, path, Some(body))
    }
}

/// An error of the client with all its causes, which say more than it does, and without the URL, which says nothing new.
fn told(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    if text.is_empty() { "the request failed".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_a_path() {
        assert_eq!(encode("a/b+c$(d)"), "a%2Fb%2Bc%24%28d%29");
        assert_eq!(encode("couchdb@127.0.0.1"), "couchdb%40127.0.0.1");
    }

    #[test]
    fn addresses_in_brackets() {
        let endpoint = Endpoint { tls: false, host: "fd00::1".into(), port: 5984 };
        assert_eq!(endpoint.to_string(), "http://[fd00::1]:5984");
    }

    #[test]
    fn passwords_are_not_shown() {
        let credentials = Credentials { user: "admin".into(), password: "secret".into() };
        assert!(!format!("{credentials:?}").contains("secret"));
        let endpoint = Endpoint { tls: false, host: "127.0.0.1".into(), port: 1 };
        let http = Http::new(&endpoint, Some(credentials), None, "here".into()).unwrap();
        let error = http.get("/").unwrap_err();
        assert!(matches!(error, NodeError::NoAnswer { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

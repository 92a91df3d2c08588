//! CouchDB's HTTP interface on one node.

mod answer;
pub(crate) mod api;
mod body;
pub(crate) mod copies;
mod endpoint;
mod gate;
pub(crate) mod members;
pub(crate) mod presence;
mod route;
mod streamed;
mod trouble;
mod trust;
pub(crate) mod tunnel;

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::Value;

use crate::error::{NodeError, Result};
use gate::Gate;
use route::{ANSWER, Route};
use streamed::Streamed;
use trouble::Trouble;
use tunnel::Tunnel;

pub use answer::{Answer, Foreign};
pub use body::Body;
pub use endpoint::{Credentials, Endpoint, encode};

/// How long to wait before a request is sent again that a proxy did not get through to CouchDB.
const PROXY_PAUSES: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];
/// Databases that `_dbs_info` reports on at a time, unless the node's configuration says otherwise.
const DBS_INFO_PORTION: usize = 100;

/// Talks to one node over HTTP. Connections are kept.
pub struct Http {
    /// Where to reach it; the first route on which a server answers is used from then on.
    routes: Vec<Route>,
    taken: OnceLock<usize>,
    /// Of messages.
    url: String,
    credentials: Option<Credentials>,
    gate: Gate,
    /// How many databases are requested at a time; fewer if the node refuses so many.
    dbs_info_portion: AtomicUsize,
    node: String,
}

impl Http {
    /// Prepares to talk to a node; nothing is sent yet. `node` is what messages call it.
    ///
    /// Fails if the endpoint's file of certificates cannot be used.
    pub fn new(
        endpoint: &Endpoint,
        credentials: Option<Credentials>,
        tunnel: Option<Tunnel>,
        node: String,
    ) -> Result<Self> {
        let mut http = Self {
            routes: Vec::new(),
            taken: OnceLock::new(),
            url: endpoint.to_string(),
            credentials,
            gate: Gate::default(),
            dbs_info_portion: AtomicUsize::new(DBS_INFO_PORTION),
            node,
        };
        http.add(endpoint, tunnel)?;
        Ok(http)
    }

    /// Adds another route, to be tried as long as no route has answered: CouchDB may not run right now, so which route leads to
    /// it shows later.
    pub fn add(&mut self, endpoint: &Endpoint, tunnel: Option<Tunnel>) -> Result<()> {
        let route = Route::new(endpoint, tunnel).map_err(|problem| NodeError::Tls {
            node: self.node.clone(),
            url: self.url.clone(),
            problem,
            remedy: "--ca and `ca` in the cluster file require a file with certificates in PEM format."
                .into(),
        })?;
        self.routes.push(route);
        Ok(())
    }

    /// What messages call the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The URL of the node, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The user name that requests carry.
    pub fn user(&self) -> Option<&str> {
        self.credentials.as_ref().map(|credentials| credentials.user.as_str())
    }

    /// Whether name and password are known.
    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Sends a request and gives the answer, whatever its status.
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.ask_within(method, path, body, ANSWER)
    }

    /// Sends a request with another time limit, and gives the answer, whatever its status.
    pub fn ask_within(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Answer> {
        self.send(method, path, body.map_or(Body::Nothing, Body::Json), limit)
    }

    /// Sends a request with any body, and gives the answer, whatever its status. A stream takes the route on which a server has
    /// answered before, or else the first route.
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
            problem: "no address is known".into(),
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
        let Some(credentials) = &self.credentials else {
            return self.exchange(&route.client, route, method, path, body, limit, None);
        };
        let first = match self.gate.enter() {
            Ok(first) => first,
            Err(refused) => return Ok(*refused),
        };
        let answer = self.exchange(&route.client, route, method, path, body, limit, Some(credentials))?;
        self.gate.learn(first, &answer);
        Ok(answer)
    }

    #[allow(clippy::too_many_arguments)] // One place where a request is sent.
    fn exchange(
        &self,
        client: &Client,
        route: &Route,
        method: Method,
        path: &str,
        body: Body<'_>,
        limit: Duration,
        credentials: Option<&Credentials>,
    ) -> Result<Answer> {
        let url = format!("{}{path}", route.base);
        let answered = if let Body::Stream { content_type, length, reader } = body {
            let request = |client: &reqwest::Client| {
                let mut request = client.request(method, url).timeout(limit);
                if let Some(Credentials { user, password }) = credentials {
                    request = request.basic_auth(user, Some(password));
                }
                let body = reqwest::Body::wrap(Streamed::new(reader, length));
                request.header("accept", "application/json").header("content-type", content_type).body(body)
            };
            streamed::send(&route.streaming, request).map_err(|e| NodeError::NoAnswer {
                node: self.node.clone(),
                url: self.url.clone(),
                problem: e.to_string(),
            })?
        } else {
            let mut request = client.request(method, url).timeout(limit);
            if let Some(Credentials { user, password }) = credentials {
                request = request.basic_auth(user, Some(password));
            }
            body.put_into(request).send().and_then(|response| {
                let status = response.status().as_u16();
                let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
                let date = header("date").map(str::to_owned);
                let server = header("server").unwrap_or_default().to_owned();
                Ok(Answer::new(status, &server, date, &response.bytes()?))
            })
        };
        answered.map_err(|e| self.without_answer(route, &e))
    }

    /// The error for a request that got no answer.
    fn without_answer(&self, route: &Route, error: &reqwest::Error) -> NodeError {
        let (node, url) = (self.node.clone(), self.url.clone());
        let trouble = Trouble::of(error, &route.endpoint.host);
        if let Trouble::Certificate { problem, remedy } = trouble {
            return NodeError::Tls { node, url, problem, remedy };
        }
        if trouble.may_be_of_scheme(route.endpoint.tls)
            && let Some(other) = route.other_scheme()
        {
            let (is, not) = if other.tls { ("TLS", "plain HTTP") } else { ("plain HTTP", "TLS") };
            return NodeError::Tls {
                node,
                url,
                problem: format!("the server there speaks {is}, not {not}"),
                remedy: format!("Use {other} as the node's address (--url, or `url` in the cluster file)."),
            };
        }
        let said = route.tunnel.as_ref().and_then(Tunnel::last_words).filter(|said| !said.is_empty());
        let problem = match (said, &trouble) {
            (Some(said), Trouble::Closed | Trouble::Other(_)) => format!("the tunnel reports: {said}"),
            _ => trouble.text(),
        };
        NodeError::NoAnswer { node, url, problem }
    }

    /// Sends a GET request on a connection of its own: behind a load balancer another node may answer. `with_credentials` says
    /// whether name and password are sent.
    pub(crate) fn ask_afresh(&self, path: &str, with_credentials: bool, limit: Duration) -> Result<Answer> {
        let route =
            self.taken.get().and_then(|taken| self.routes.get(*taken)).or_else(|| self.routes.first());
        let no_answer =
            |problem: String| NodeError::NoAnswer { node: self.node.clone(), url: self.url.clone(), problem };
        let route = route.ok_or_else(|| no_answer("no address is known".into()))?;
        let client = route.fresh().map_err(no_answer)?;
        let credentials = self.credentials.as_ref().filter(|_| with_credentials);
        self.exchange(client, route, Method::GET, path, Body::Nothing, limit, credentials)
    }

    /// Sends a request that may be sent again, and gives the answer, whatever its status; again where a proxy did not get
    /// through to CouchDB.
    pub(crate) fn ask_again(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        for pause in PROXY_PAUSES {
            let answer = self.ask(method.clone(), path, body)?;
            if !answer.is_proxys_failure() {
                return Ok(answer);
            }
            std::thread::sleep(pause);
        }
        self.ask(method.clone(), path, body)
    }

    /// Sends a request that has to succeed, and gives the answer's body.
    pub fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let request = format!("{method} {path}");
        let answer = if method == Method::GET {
            self.ask_again(&method, path, body)?
        } else {
            self.ask(method, path, body)?
        };
        self.success(&request, answer)
    }

    /// The body of an answer that must be a success.
    pub(crate) fn success(&self, request: &str, answer: Answer) -> Result<Value> {
        let (node, request) = (self.node.clone(), request.to_owned());
        if let Some(foreign) = answer.foreign {
            let (url, status, answered) = (self.url.clone(), answer.status, Box::new(foreign));
            return Err(NodeError::NotCouchDb { node, url, request, status, answered });
        }
        match answer.status {
            _ if answer.is_success() => Ok(answer.body),
            401 | 403 => Err(NodeError::Unauthorized { node, request, reason: answer.reason() }),
            status => Err(NodeError::Http { node, request, status, reason: answer.reason() }),
        }
    }

    /// GET that has to succeed.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.request(Method::GET, path, None)
    }

    /// GET of what may not be there: `None` if CouchDB answers that it is not.
    pub(crate) fn get_if_there(&self, path: &str) -> Result<Option<Value>> {
        let answer = self.ask_again(&Method::GET, path, None)?;
        if answer.status == 404 && answer.foreign.is_none() {
            return Ok(None);
        }
        self.success(&format!("GET {path}"), answer).map(Some)
    }

    /// POST that has to succeed.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(Method::POST, path, Some(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let credentials = Credentials { user: "admin".into(), password: "secret".into() };
        assert!(!format!("{credentials:?}").contains("secret"));
        let endpoint = Endpoint { tls: false, host: "127.0.0.1".into(), port: 1, ca: None };
        let http = Http::new(&endpoint, Some(credentials), None, "here".into()).unwrap();
        let error = http.get("/").unwrap_err();
        assert!(matches!(error, NodeError::NoAnswer { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_proxy_that_does_not_get_through_is_asked_again() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let page =
                "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 11\r\n\r\nBad Gateway";
            let info = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 12\r\n\r\n{\"name\":\"x\"}";
            for text in [page, info, page, page, page, page] {
                let mut connection = listener.accept().unwrap().0;
                let _ = connection.read(&mut [0; 4096]);
                let _ = connection.write_all(text.as_bytes());
            }
        });
        let endpoint = Endpoint { tls: false, host: "127.0.0.1".into(), port, ca: None };
        let http = Http::new(&endpoint, None, None, "here".into()).unwrap();
        assert_eq!(http.node_name().unwrap(), "x");
        let error = http.node_name().unwrap_err();
        assert!(matches!(error, NodeError::NotCouchDb { status: 502, .. }), "{error}");
    }
}

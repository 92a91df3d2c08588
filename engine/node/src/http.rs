//! CouchDB's HTTP interface on one node.

mod answer;
pub(crate) mod api;
mod body;
mod gate;
pub(crate) mod presence;
mod streamed;
mod trouble;
mod trust;
pub(crate) mod tunnel;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::blocking::{Client, ClientBuilder};
use serde_json::Value;

use crate::error::{NodeError, Result};
use gate::Gate;
use streamed::Streamed;
use trouble::Trouble;
use tunnel::Tunnel;

pub use answer::{Answer, Foreign};
pub use body::Body;

/// How long an answer may take. CouchDB gives up on its own earlier.
const ANSWER: Duration = Duration::from_secs(150);
/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// How long to look whether somebody speaks HTTP where TLS was expected, or the other way round.
const OTHER_SCHEME: Duration = Duration::from_secs(5);
/// How long to wait before a request is sent again that a proxy did not get through to CouchDB.
const PROXY_PAUSES: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];
/// Databases that `_dbs_info` tells of at a time, unless the node's configuration says otherwise.
const DBS_INFO_PORTION: usize = 100;
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
    /// A PEM file of certificates that are trusted there beside those that this machine trusts.
    pub ca: Option<PathBuf>,
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

/// Speaks with one node. Connections are kept.
pub struct Http {
    /// Ways to get there; the first one on which anybody answers is taken from then on.
    routes: Vec<Route>,
    taken: OnceLock<usize>,
    /// Of messages.
    url: String,
    credentials: Option<Credentials>,
    gate: Gate,
    /// How many databases are asked for at a time; less where the node refuses so many.
    dbs_info_portion: AtomicUsize,
    node: String,
}

/// A way to CouchDB.
struct Route {
    client: Client,
    /// Of requests whose body is read while it is sent.
    streaming: reqwest::Client,
    /// A client that makes a connection for every request.
    fresh: OnceLock<Result<Client, String>>,
    /// Of requests: that of the tunnel, where there is one.
    base: String,
    endpoint: Endpoint,
    tunnel: Option<Tunnel>,
}

impl Route {
    fn new(endpoint: &Endpoint, tunnel: Option<Tunnel>) -> Result<Self, String> {
        let address = tunnel.as_ref().map(Tunnel::address);
        let base = match address {
            // The certificate is for the node's name, so that is what the request has to go by.
            Some(address) if endpoint.tls => {
                Endpoint { port: address.port(), ..endpoint.clone() }.to_string()
            }
            Some(address) => format!("http://{address}"),
            None => endpoint.to_string(),
        };
        let client = client(endpoint, address, true)?;
        let streaming = built(endpoint, builder(endpoint, address, false)?.build())?;
        Ok(Self { client, streaming, fresh: OnceLock::new(), base, endpoint: endpoint.clone(), tunnel })
    }

    /// A client that keeps no connections: each request finds out anew who is there.
    fn fresh(&self) -> Result<&Client, String> {
        let address = self.tunnel.as_ref().map(Tunnel::address);
        self.fresh.get_or_init(|| client(&self.endpoint, address, false)).as_ref().map_err(Clone::clone)
    }

    /// What is spoken there, if that is TLS where it was not expected or the other way round.
    fn other_scheme(&self) -> Option<Endpoint> {
        if self.tunnel.is_some() {
            return None;
        }
        let other = Endpoint { tls: !self.endpoint.tls, ..self.endpoint.clone() };
        // Nothing of consequence is sent.
        let client = Client::builder().timeout(OTHER_SCHEME).no_proxy().danger_accept_invalid_certs(true);
        client.build().ok()?.get(format!("{other}/")).send().ok().map(|_| other)
    }
}

fn client(endpoint: &Endpoint, address: Option<SocketAddr>, keeps: bool) -> Result<Client, String> {
    built(endpoint, ClientBuilder::from(builder(endpoint, address, keeps)?).build())
}

fn built<C>(endpoint: &Endpoint, client: Result<C, reqwest::Error>) -> Result<C, String> {
    client.map_err(|e| Trouble::of(&e, &endpoint.host).text())
}

/// Makes clients that find the endpoint's node, and trust it. `keeps` says whether they keep connections.
fn builder(
    endpoint: &Endpoint,
    address: Option<SocketAddr>,
    keeps: bool,
) -> Result<reqwest::ClientBuilder, String> {
    let mut builder = reqwest::Client::builder().timeout(ANSWER).connect_timeout(CONNECT).no_proxy();
    if !keeps {
        builder = builder.pool_max_idle_per_host(0);
    }
    if endpoint.tls {
        if let Some(address) = address {
            builder = builder.resolve(&endpoint.host, address);
        }
        if let Some(file) = &endpoint.ca {
            let trusted = trust::with_authorities(file)
                .map_err(|problem| format!("cannot use the certificates in {}: {problem}", file.display()))?;
            builder = builder.use_preconfigured_tls(trusted);
        }
    }
    Ok(builder)
}

impl Http {
    /// Prepares to speak with a node; nothing is sent yet. `node` is what messages call it.
    ///
    /// Fails where the endpoint's file of certificates cannot be used.
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

    /// One more way to try where nobody has answered yet: CouchDB may not run right now, so which way leads to it shows later.
    pub fn add(&mut self, endpoint: &Endpoint, tunnel: Option<Tunnel>) -> Result<()> {
        let route = Route::new(endpoint, tunnel).map_err(|problem| NodeError::Tls {
            node: self.node.clone(),
            url: self.url.clone(),
            problem,
            remedy: "--ca and `ca` in the cluster file want a file with certificates in PEM form.".into(),
        })?;
        self.routes.push(route);
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

    /// The name that it is asked by.
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
                problem: format!("what answers there speaks {is}, not {not}"),
                remedy: format!("Give {other} as the node's address (--url, or `url` in the cluster file)."),
            };
        }
        let said = route.tunnel.as_ref().and_then(Tunnel::last_words).filter(|said| !said.is_empty());
        let problem = match (said, &trouble) {
            (Some(said), Trouble::Closed | Trouble::Other(_)) => format!("the tunnel says: {said}"),
            _ => trouble.text(),
        };
        NodeError::NoAnswer { node, url, problem }
    }

    /// Asks once more, on a connection of its own: behind a load balancer somebody else may answer. `with_credentials` says
    /// whether name and password are sent.
    pub(crate) fn ask_afresh(&self, path: &str, with_credentials: bool, limit: Duration) -> Result<Answer> {
        let route =
            self.taken.get().and_then(|taken| self.routes.get(*taken)).or_else(|| self.routes.first());
        let no_answer =
            |problem: String| NodeError::NoAnswer { node: self.node.clone(), url: self.url.clone(), problem };
        let route = route.ok_or_else(|| no_answer("no way leads there".into()))?;
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

    /// The body of an answer that has to tell success.
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

    /// POST that has to succeed.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(Method::POST, path, Some(body))
    }
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
        let endpoint = Endpoint { tls: false, host: "fd00::1".into(), port: 5984, ca: None };
        assert_eq!(endpoint.to_string(), "http://[fd00::1]:5984");
    }

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

//! The clients that reach one address of CouchDB.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::blocking::{Client, ClientBuilder};

use super::endpoint::Endpoint;
use super::trouble::Trouble;
use super::trust;
use super::tunnel::Tunnel;
use crate::error::Result;

/// How long an answer may take. CouchDB gives up on its own earlier.
pub(super) const ANSWER: Duration = Duration::from_secs(150);
/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// How long to wait for an answer over HTTP instead of TLS, or over TLS instead of HTTP.
const OTHER_SCHEME: Duration = Duration::from_secs(5);

/// An address at which CouchDB may answer, directly or through a tunnel.
pub(super) struct Route {
    pub(super) client: Client,
    /// Of requests whose body is read while it is sent.
    pub(super) streaming: reqwest::Client,
    /// A client that makes a connection for every request.
    fresh: OnceLock<Result<Client, String>>,
    /// Of requests: that of the tunnel, if there is one.
    pub(super) base: String,
    pub(super) endpoint: Endpoint,
    pub(super) tunnel: Option<Tunnel>,
}

impl Route {
    pub(super) fn new(endpoint: &Endpoint, tunnel: Option<Tunnel>) -> Result<Self, String> {
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

    /// A client that keeps no connections: each request finds out again who is there.
    pub(super) fn fresh(&self) -> Result<&Client, String> {
        let address = self.tunnel.as_ref().map(Tunnel::address);
        self.fresh.get_or_init(|| client(&self.endpoint, address, false)).as_ref().map_err(Clone::clone)
    }

    /// The endpoint with TLS instead of HTTP, or HTTP instead of TLS, if it answers so.
    pub(super) fn other_scheme(&self) -> Option<Endpoint> {
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
    // Fails only if it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder =
        reqwest::Client::builder().timeout(ANSWER).connect_timeout(CONNECT).no_proxy().http1_only();
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
        } else if trust::of_machine().is_empty() {
            return Err(
                "this machine has no certificates of authorities (the package ca-certificates)".into()
            );
        }
    } else if trust::of_machine().is_empty() {
        builder = builder.use_preconfigured_tls(trust::with_nobody()?);
    }
    Ok(builder)
}

//! Whether anything answers where a node's CouchDB listens. After a stop nothing may.

use std::time::Duration;

use reqwest::blocking::Client;

use super::Http;
use super::route::Route;
use super::trouble::Trouble;

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);

/// Whether anything answers where a node's CouchDB listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Connections are refused: nothing listens there.
    Refused,
    /// No answer comes, but it is not certain that nothing listens there; the reason.
    Silent(String),
    /// A server answers, or at least accepts connections; which one.
    Answers(String),
}

impl Http {
    /// Checks whether anything answers, on a new connection and without name and password.
    ///
    /// Uses the address at which the node has answered before, or all addresses if it has never answered.
    pub fn presence(&self) -> Presence {
        if let Some(route) = self.taken.get().and_then(|taken| self.routes.get(*taken)) {
            return presence(route);
        }
        let mut found = Presence::Refused;
        for route in &self.routes {
            match presence(route) {
                answers @ Presence::Answers(_) => return answers,
                silent @ Presence::Silent(_) if found == Presence::Refused => found = silent,
                Presence::Silent(_) | Presence::Refused => {}
            }
        }
        found
    }
}

fn presence(route: &Route) -> Presence {
    let client: &Client = match route.fresh() {
        Ok(client) => client,
        Err(problem) => return Presence::Silent(problem),
    };
    if let Some(tunnel) = &route.tunnel {
        tunnel.forget_last_words();
    }
    let response = match client.get(format!("{}/", route.base)).timeout(LOOK).send() {
        Ok(response) => response,
        Err(error) => return without_answer(route, &Trouble::of(&error, &route.endpoint.host)),
    };
    let status = response.status().as_u16();
    let server =
        response.headers().get("server").and_then(|server| server.to_str().ok()).unwrap_or("").to_owned();
    // A proxy answers for a CouchDB that is gone.
    if matches!(status, 502..=504) && !server.starts_with("CouchDB") {
        return Presence::Silent(format!("a proxy answers {status}"));
    }
    let server = if server.is_empty() { "a server without a name".to_owned() } else { server };
    Presence::Answers(format!("{server} answers with status {status}"))
}

fn without_answer(route: &Route, trouble: &Trouble) -> Presence {
    match (trouble, &route.tunnel) {
        // The tunnel's own end takes every connection: what is at its far end, the program that makes it says.
        (Trouble::Closed | Trouble::Other(_), Some(tunnel)) => match tunnel.last_words() {
            Some(said) if said.to_lowercase().contains("refused") => Presence::Refused,
            Some(said) if !said.is_empty() => Presence::Silent(said),
            _ => Presence::Silent(trouble.text()),
        },
        (Trouble::Refused, None) => Presence::Refused,
        (Trouble::Refused | Trouble::Unreachable(_) | Trouble::Closed | Trouble::Other(_), _) => {
            Presence::Silent(trouble.text())
        }
        (Trouble::Slow, _) => Presence::Answers("something accepts connections but does not answer".into()),
        (Trouble::NotHttp(_) | Trouble::NotTls(_) | Trouble::Certificate { .. }, _) => {
            Presence::Answers(trouble.text())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use super::*;
    use crate::http::Endpoint;

    /// A server that sends this to everybody; it ends with the test.
    fn server(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let _ = connection.read(&mut [0; 4096]);
                let _ = connection.write_all(text.as_bytes());
            }
        });
        address
    }

    fn look(address: SocketAddr) -> Presence {
        let host = address.ip().to_string();
        let endpoint = Endpoint { tls: false, host, port: address.port(), ca: None };
        Http::new(&endpoint, None, None, "here".into()).unwrap().presence()
    }

    #[test]
    fn only_a_refused_connection_shows_that_nothing_listens() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(look(free), Presence::Refused);
        let couchdb =
            server("HTTP/1.1 401 Unauthorized\r\nServer: CouchDB/3.5.0\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(look(couchdb), Presence::Answers("CouchDB/3.5.0 answers with status 401".into()));
        let proxy = server("HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(look(proxy), Presence::Silent("a proxy answers 502".into()));
        assert!(matches!(look(server("")), Presence::Silent(_)));
        assert!(matches!(look(server("something else\r\n\r\n")), Presence::Answers(_)));
    }
}

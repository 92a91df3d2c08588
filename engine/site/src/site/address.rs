//! The HTTP address of a node's CouchDB, and the user for it.

use std::path::PathBuf;

use node::{Credentials, Endpoint};
use outcome::{Code, Failure, Result};
use plugin_host::NodeId;

/// CouchDB's default ports.
const PORT: u16 = 5984;
const TLS_PORT: u16 = 6984;

/// The user's settings for a node's HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpAddress {
    /// Whether to use TLS.
    pub tls: bool,
    /// Whether the user has decided about TLS by giving a URL instead of a host.
    pub scheme_given: bool,
    /// The host where CouchDB listens, if it is not the node's machine as the user named it.
    pub host: Option<String>,
    /// CouchDB's port, if it is not the default.
    pub port: Option<u16>,
    /// Name and password of a server admin.
    pub credentials: Option<Credentials>,
    /// The name alone, if the user has given it without a password.
    pub user: Option<String>,
    /// The name that the cluster file has, if nothing else names one.
    pub usual_user: Option<String>,
    /// The file that has the password in its first line, as the cluster file names it.
    pub password_file: Option<PathBuf>,
    /// A PEM file of certificates to trust in addition to those that this machine trusts.
    pub ca: Option<PathBuf>,
}

impl HttpAddress {
    /// Reads `http://HOST[:PORT]`. Credentials are refused, because URLs are printed.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong = || {
            Failure::refused(
                Code::new("CC-S04"),
                "a node's url must be http://HOST[:PORT] or https://HOST[:PORT], without a name and password",
                "For example: http://10.0.0.1:5984. Give the name with --user, and the password in COUCHCOPY_PASSWORD or with \
                 --password-file.",
            )
        };
        let (tls, rest) = split_scheme(url);
        let (Some(tls), place) = (tls, rest.trim_end_matches('/')) else { return Err(wrong()) };
        if place.is_empty() || place.contains(['/', '@', '?', '#']) {
            return Err(wrong());
        }
        let (host, port) = split_port(place).ok_or_else(wrong)?;
        Ok(Self { tls, scheme_given: true, host: Some(host.to_owned()), port, ..Self::default() })
    }

    /// Host and port to connect to.
    pub fn endpoint(&self, id: &NodeId) -> Endpoint {
        let host = self.host.clone().or_else(|| id.host.clone()).unwrap_or_else(|| "127.0.0.1".into());
        let usual = if self.tls { TLS_PORT } else { PORT };
        Endpoint { tls: self.tls, host, port: self.port.unwrap_or(usual), ca: self.ca.clone() }
    }
}

/// Splits off `http://` or `https://`; returns whether it means TLS (`None` without a scheme) and the rest.
pub fn split_scheme(url: &str) -> (Option<bool>, &str) {
    for (scheme, tls) in [("http://", false), ("https://", true)] {
        if let Some((before, rest)) = url.split_at_checked(scheme.len())
            && before.eq_ignore_ascii_case(scheme)
        {
            return (Some(tls), rest);
        }
    }
    (None, url)
}

/// Splits `HOST[:PORT]`; an IPv6 address with a port must be in brackets. `None` if the text is not valid.
pub fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((address, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((address, None)),
        };
    }
    match place.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port.parse().ok()?))),
        _ => Some((place, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports() {
        assert_eq!(split_port("db1:5985"), Some(("db1", Some(5985))));
        assert_eq!(split_port("db1"), Some(("db1", None)));
        assert_eq!(split_port("[fd00::1]:80"), Some(("fd00::1", Some(80))));
        assert_eq!(split_port("[fd00::1]"), Some(("fd00::1", None)));
        assert_eq!(split_port("fd00::1"), Some(("fd00::1", None)));
        for wrong in ["db1:", "db1:x", "db1:70000", "[fd00::1", "[fd00::1]80"] {
            assert_eq!(split_port(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn urls() {
        let address = HttpAddress::parse("https://couch.example.com").unwrap();
        assert_eq!(address.endpoint(&NodeId::default()).to_string(), "https://couch.example.com:6984");
        for wrong in ["couch:5984", "http://", "http://u:p@h", "http://h/db"] {
            let message = HttpAddress::parse(wrong).unwrap_err().to_string();
            assert!(!message.contains("u:p"), "{message}");
        }
    }
}

//! Where CouchDB listens, who may ask it, and how paths are written.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Encodes any text as one part of a path: `a/b` becomes `a%2Fb`.
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
    /// A PEM file of certificates that are trusted there in addition to those that this machine trusts.
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
}

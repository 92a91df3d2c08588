//! Why a request got no answer, in words that name the cause.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody listens there.
    Refused,
    /// No connection came about, for another reason.
    Unreachable(String),
    /// The connection came about and was closed without an answer.
    Closed,
    /// The connection came about, and no answer came in time.
    Slow,
    /// The answer is not HTTP.
    NotHttp(String),
    /// The answer is not TLS, or not a version of TLS that this machine supports.
    NotTls(String),
    /// The certificate is not accepted.
    Certificate {
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// Anything else.
    Other(String),
}

impl Trouble {
    /// What an error of the client means. `host` is what the certificate has to be for.
    pub(super) fn of(error: &reqwest::Error, host: &str) -> Self {
        let mut text = String::new();
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        let mut connection: Option<&io::Error> = None;
        let mut closed = false;
        while let Some(inner) = cause {
            if let Some(io_error) = inner.downcast_ref::<io::Error>() {
                if let Some(tls) = tls_error(io_error) {
                    return Self::of_tls(tls, host);
                }
                connection = Some(io_error);
            }
            text = inner.to_string();
            // The client's own words for a connection that ended too early; it has no public type for this.
            closed |=
                text.contains("connection closed before message completed") || text.contains("handshake eof");
            cause = inner.source();
        }
        let kind = connection.map(io::Error::kind);
        if kind == Some(io::ErrorKind::ConnectionRefused) {
            return Self::Refused;
        }
        if closed
            || (!error.is_connect()
                && matches!(
                    kind,
                    Some(
                        io::ErrorKind::ConnectionReset
                            | io::ErrorKind::UnexpectedEof
                            | io::ErrorKind::BrokenPipe
                            | io::ErrorKind::ConnectionAborted
                    )
                ))
        {
            return Self::Closed;
        }
        if error.is_timeout() {
            return if error.is_connect() {
                Self::Unreachable("no connection in time".into())
            } else {
                Self::Slow
            };
        }
        if error.is_connect() {
            return Self::Unreachable(text);
        }
        if text.contains("invalid HTTP") {
            return Self::NotHttp(text);
        }
        Self::Other(if text.is_empty() { "the request failed".into() } else { text })
    }

    fn of_tls(error: &rustls::Error, host: &str) -> Self {
        let rustls::Error::InvalidCertificate(problem) = error else {
            return match error {
                rustls::Error::InvalidMessage(_) => {
                    Self::NotTls("the server there does not speak TLS".into())
                }
                other => Self::NotTls(format!("TLS: {other}")),
            };
        };
        let own = "Supply the certificate of that authority, or the self-signed certificate itself, as a PEM file: --ca FILE, \
                   or `ca` of the node in the cluster file."
            .to_owned();
        let certificate = |problem: String, remedy: String| Self::Certificate { problem, remedy };
        match problem {
            CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => certificate(
                format!("its certificate is not for {host}, but for {}", presented.join(", ")),
                "Use an address that the certificate is valid for: --url https://NAME:PORT, or `url` in the cluster file.".into(),
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => certificate(
                format!("its certificate is not for {host}"),
                "Use an address that the certificate is valid for: --url https://NAME:PORT, or `url` in the cluster file.".into(),
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => certificate(
                "its certificate has expired".into(),
                "Renew the certificate on that node, or correct the clock of this machine if it is wrong.".into(),
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => certificate(
                "its certificate is not valid yet".into(),
                "Check the clock of this machine.".into(),
            ),
            CertificateError::Revoked => {
                certificate("its certificate was revoked".into(), "Renew the certificate on that node.".into())
            }
            // A self-signed certificate often says that it is an authority's.
            CertificateError::UnknownIssuer | CertificateError::Other(_) => certificate(
                "this machine does not trust its certificate: it is self-signed, or signed by a private certificate authority"
                    .into(),
                own,
            ),
            other => certificate(format!("its certificate is not accepted: {other}"), own),
        }
    }

    /// For messages.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Refused => "the connection is refused: nothing listens there".into(),
            Self::Closed => "the connection is closed without an answer".into(),
            Self::Slow => "no answer in time".into(),
            Self::Certificate { problem, .. } => problem.clone(),
            Self::NotHttp(text) => format!("the server there does not speak HTTP ({text})"),
            Self::Unreachable(text) | Self::NotTls(text) | Self::Other(text) => text.clone(),
        }
    }

    /// Whether it may be that the other side speaks TLS, which was not used, or the other way round. `tls` says whether it was.
    ///
    /// CouchDB takes the beginning of TLS for a request that is not complete yet, and waits for the rest.
    pub(super) fn may_be_of_scheme(&self, tls: bool) -> bool {
        matches!(self, Self::NotTls(_) | Self::NotHttp(_) | Self::Closed)
            || (tls && matches!(self, Self::Unreachable(_)))
    }
}

/// The TLS error inside an error of a connection.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    match inner.downcast_ref::<rustls::Error>() {
        Some(tls) => Some(tls),
        None => inner.downcast_ref::<io::Error>().and_then(tls_error),
    }
}

//! What a request can suffer.

use std::fmt::Write as _;
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed. The server never sees the request.
    FailBefore,
    /// The server does what it was asked for, but its answer never comes: the connection is closed.
    FailAfterSuccess,
    /// Half of the answer's body comes, then the connection is closed. Of an answer without a body, half of the head comes.
    CutBody,
    /// One bit in the middle of the answer's body is another. An answer without a body comes as it is.
    GarbleBody,
    /// The answer comes so much later.
    Slow(Duration),
    /// The request waits until [`super::FaultProxy::release`], and is forwarded then.
    Held,
    /// This status comes as an answer, with the error that an S3 server tells with it. The server never sees the request.
    Status(u16),
    /// The same with an error of another name, e.g. 400 and `ExpiredToken`.
    Error(u16, &'static str),
    /// The server gets half of the request's body, then both connections are closed. Of a request without a body it gets half
    /// of the head.
    CutUpload,
}

impl Fault {
    /// Faults that pass when a request is made again. A slow answer comes so much later.
    pub fn temporary(slow: Duration) -> Vec<Self> {
        vec![
            Self::FailBefore,
            Self::FailAfterSuccess,
            Self::CutBody,
            Self::CutUpload,
            Self::Status(503),
            Self::Slow(slow),
        ]
    }
}

/// The name of the error that an S3 server tells with a status.
pub(super) fn error_name(status: u16) -> &'static str {
    match status {
        400 => "InvalidRequest",
        401 => "Unauthorized",
        403 => "ExpiredToken",
        404 => "NoSuchKey",
        405 => "MethodNotAllowed",
        408 => "RequestTimeout",
        409 => "ConditionalRequestConflict",
        411 => "MissingContentLength",
        412 => "PreconditionFailed",
        416 => "InvalidRange",
        429 => "TooManyRequests",
        500 => "InternalError",
        501 => "NotImplemented",
        503 => "SlowDown",
        507 => "InsufficientCapacity",
        _ => "Error",
    }
}

/// An answer that tells an error, as head and body.
pub(super) fn answer(status: u16, name: &str, is_bodiless: bool, closes: bool) -> (Vec<u8>, Vec<u8>) {
    let body = if is_bodiless {
        String::new()
    } else {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{name}</Code>\
             <Message>The proxy was told to fail.</Message><RequestId>0</RequestId></Error>"
        )
    };
    // Azure's clients look for the name in a header.
    let mut head = format!("HTTP/1.1 {status} {name}\r\nx-ms-error-code: {name}\r\n");
    if !is_bodiless {
        let _ = write!(head, "Content-Type: application/xml\r\nContent-Length: {}\r\n", body.len());
    }
    if closes {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    (head.into_bytes(), body.into_bytes())
}

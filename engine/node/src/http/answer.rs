//! What came back to a request.

use serde_json::Value;

/// How much of a text that is not CouchDB's is quoted, in characters.
const QUOTED: usize = 120;

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its body; null if it is not JSON, or is nested deeper than 128 levels.
    pub body: Value,
    /// Its body as it came.
    pub text: Vec<u8>,
    /// The header `Date`.
    pub date: Option<String>,
    /// Who answered, where that was not CouchDB.
    pub foreign: Option<Foreign>,
}

/// Somebody between us and CouchDB who answered in its place: a proxy, a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// What it calls itself.
    pub server: String,
    /// The beginning of what it said.
    pub said: String,
}

impl Answer {
    /// Reads the body of an answer. `server` is the header of that name.
    pub(super) fn new(status: u16, server: &str, date: Option<String>, bytes: &[u8]) -> Self {
        let body = serde_json::from_slice(bytes);
        // A proxy may put its own name in place of CouchDB's; CouchDB's answers are JSON all the same.
        let foreign = (body.is_err() && !server.starts_with("CouchDB")).then(|| Foreign {
            server: if server.is_empty() { "a server without a name".into() } else { printable(server) },
            said: quoted(&String::from_utf8_lossy(bytes)),
        });
        Self { status, body: body.unwrap_or(Value::Null), text: bytes.to_vec(), date, foreign }
    }

    /// Whether the request was carried out.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether a proxy says that it did not get through to CouchDB.
    pub(super) fn is_proxys_failure(&self) -> bool {
        self.foreign.is_some() && matches!(self.status, 502..=504)
    }

    /// What CouchDB gave as the reason.
    pub fn reason(&self) -> String {
        if let Some(Foreign { server, said }) = &self.foreign {
            return format!("the answer is not from CouchDB, but from {server}: {said}");
        }
        let text = |key: &str| self.body[key].as_str().unwrap_or_default();
        match (text("error"), text("reason")) {
            ("", "") => "without a reason".into(),
            (error, "") => error.to_owned(),
            ("", reason) => reason.to_owned(),
            (error, reason) => format!("{error}, {reason}"),
        }
    }
}

/// The beginning of a page without its tags.
fn quoted(page: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for c in page.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            _ if !in_tag => text.push(c),
            _ => {}
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", printable(&text[..end])),
        None if text.is_empty() => "(nothing)".into(),
        None => printable(&text),
    }
}

fn printable(text: &str) -> String {
    plugin_host::printable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_page_is_a_proxys() {
        let page =
            b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>";
        let answer = Answer::new(502, "nginx/1.22", None, page);
        assert!(answer.is_proxys_failure());
        assert_eq!(
            answer.reason(),
            "the answer is not from CouchDB, but from nginx/1.22: 502 Bad Gateway nginx"
        );
        let answer = Answer::new(404, "nginx", None, br#"{"error":"not_found","reason":"missing"}"#);
        assert_eq!((answer.foreign.clone(), answer.reason().as_str()), (None, "not_found, missing"));
        let answer = Answer::new(503, "CouchDB/3.5.0 (Erlang OTP/25)", None, b"");
        assert!(!answer.is_proxys_failure());
    }
}

//! Requests to servers of the tests as they come, and answers as they go.

use std::fmt::Write as _;
use std::io::{BufRead, Read, Write};

use super::xml::escape;
use crate::Result;

/// What a client asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Decoded.
    pub(super) path: String,
    /// Decoded.
    pub(super) query: Vec<(String, String)>,
    /// With names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    /// Reads a request. `None` where the connection ends before it begins.
    pub(super) fn read(from: &mut impl BufRead) -> Result<Option<Self>> {
        let Some(first) = line(from)? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(format!("no request: {first:?}").into());
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::new();
        while let Some(header) = line(from)?.filter(|header| !header.is_empty()) {
            let (name, value) = header.split_once(':').ok_or_else(|| format!("no header: {header:?}"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        };
        let mut asked = Self {
            method: method.to_owned(),
            path: decode(path)?,
            query: query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Result<_>>()?,
            headers,
            body: Vec::new(),
        };
        let length: u64 = asked.header("content-length").unwrap_or("0").parse()?;
        let came = from.take(length).read_to_end(&mut asked.body)? as u64;
        if came < length {
            return Err(format!("the connection ended after {came} of {length} bytes").into());
        }
        Ok(Some(asked))
    }

    /// A header, asked for by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// A part of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        value(&self.query, name)
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn line(from: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let line = line.strip_suffix('\n').ok_or("the connection ended within the head of a request")?;
    Ok(Some(line.trim_end_matches('\r').to_owned()))
}

fn decode(text: &str) -> Result<String> {
    let bytes = text.as_bytes();
    let (mut decoded, mut i) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(i) {
        if byte == b'%' {
            let digits = text.get(i + 1..i + 3).ok_or("a % without two digits")?;
            decoded.push(u8::from_str_radix(digits, 16)?);
            i += 3;
        } else {
            decoded.push(byte);
            i += 1;
        }
    }
    Ok(String::from_utf8(decoded)?)
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (escape(code), escape(message));
        Self::new(status).xml(&format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
    }

    pub(super) fn header(mut self, name: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(super) fn body(self, body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..self }
    }

    pub(super) fn xml(self, content: &str) -> Self {
        let body = format!("<?xml version='1.0' encoding='UTF-8'?>{content}");
        self.header("Content-Type", "application/xml; charset=UTF-8").body(body.as_bytes())
    }

    /// Sends it to a client that asked with this method.
    pub(super) fn write(&self, to: &mut impl Write, method: &str) -> Result<()> {
        let mut head = format!("HTTP/1.1 {} -\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if self.status != 204 {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        to.write_all(head.as_bytes())?;
        if method != "HEAD" {
            to.write_all(&self.body)?;
        }
        Ok(to.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn a_request_is_read_to_its_end() {
        let sent = b"PUT /b/a%2F%C3%BC%2B?uploads=&x=1%202+3 HTTP/1.1\r\nContent-Length: 2\r\nX-Goog-A: b\r\n\r\nhinext";
        let mut from = &sent[..];
        let asked = Asked::read(&mut from).unwrap().unwrap();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PUT", "/b/a/ü+"));
        assert_eq!((asked.query("uploads"), asked.query("x")), (Some(""), Some("1 2 3")));
        assert_eq!((asked.header("x-goog-a"), &asked.body[..]), (Some("b"), &b"hi"[..]));
        assert_eq!(from, b"next");
        assert!(Asked::read(&mut &b""[..]).unwrap().is_none());
        assert!(Asked::read(&mut &b"PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nhi"[..]).is_err());
    }
}

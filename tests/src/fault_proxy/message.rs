//! HTTP/1.1 messages, as far as one must understand them to see where they end.

use std::io::{self, BufRead, ErrorKind, Read};

/// More than any head has.
const LONGEST_HEAD: u64 = 1 << 20;

/// The head of a request or of an answer.
#[derive(Debug)]
pub(super) struct Head {
    /// As it came, with the empty line at its end.
    pub(super) raw: Vec<u8>,
    /// Its first line.
    pub(super) first: String,
    headers: Vec<(String, String)>,
}

/// How a body's end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// It has this length, which may be 0.
    Length(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

impl Head {
    /// Reads a head. `None` where the connection ends before it begins.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut raw = Vec::new();
        let mut lines: Vec<String> = Vec::new();
        let mut from = from.take(LONGEST_HEAD);
        loop {
            let begun = raw.len();
            from.read_until(b'\n', &mut raw)?;
            if raw.is_empty() {
                return Ok(None);
            }
            let Some(line) = raw[begun..].strip_suffix(b"\n") else { return Err(cut()) };
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
            match (line.is_empty(), lines.is_empty()) {
                // Some clients send an empty line after a body.
                (true, true) => raw.clear(),
                (true, false) => break,
                (false, _) => lines.push(line),
            }
        }
        let first = lines.remove(0);
        let headers = lines
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Some(Self { raw, first, headers }))
    }

    /// A header, asked for by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The `i`th word of its first line.
    pub(super) fn word(&self, i: usize) -> &str {
        self.first.split(' ').nth(i).unwrap_or_default()
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> io::Result<u16> {
        self.word(1).parse().map_err(|_| io::Error::other(format!("no status in {:?}", self.first)))
    }

    /// Whether the connection ends with this message.
    pub(super) fn closes(&self) -> bool {
        let has = |word: &str| {
            self.header("connection")
                .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
        };
        let is_old = self.first.starts_with("HTTP/1.0") || self.first.ends_with("HTTP/1.0");
        has("close") || (is_old && !has("keep-alive"))
    }

    fn told(&self) -> io::Result<Option<Body>> {
        if self
            .header("transfer-encoding")
            .is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"))
        {
            return Ok(Some(Body::Chunked));
        }
        let length = self.header("content-length").map(str::parse).transpose();
        Ok(length.map_err(io::Error::other)?.map(Body::Length))
    }

    /// The body of this request.
    pub(super) fn request_body(&self) -> io::Result<Body> {
        Ok(self.told()?.unwrap_or(Body::Length(0)))
    }

    /// The body of this answer to a request with a method.
    pub(super) fn answer_body(&self, method: &str) -> io::Result<Body> {
        if is_bodiless(self.status()?, method) {
            return Ok(Body::Length(0));
        }
        Ok(self.told()?.unwrap_or(Body::UntilClose))
    }
}

/// Whether an answer has no body, whatever its head says.
pub(super) fn is_bodiless(status: u16, method: &str) -> bool {
    method == "HEAD" || matches!(status, 100..=199 | 204 | 304)
}

/// A piece of a body as it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Whether these are data, and not what parts chunks.
    pub(super) is_data: bool,
}

/// Reads a body to its end and hands every piece on.
pub(super) fn read_body(
    from: &mut impl BufRead,
    body: Body,
    mut each: impl FnMut(Piece<'_>) -> io::Result<()>,
) -> io::Result<()> {
    match body {
        Body::Length(length) => read_data(from, length, &mut each),
        Body::UntilClose => loop {
            let bytes = from.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            let length = bytes.len();
            each(Piece { bytes, is_data: true })?;
            from.consume(length);
        },
        Body::Chunked => read_chunks(from, &mut each),
    }
}

fn read_chunks(
    from: &mut impl BufRead,
    each: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let line = read_line(from)?;
        let size = String::from_utf8_lossy(&line);
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        each(Piece { bytes: &line, is_data: false })?;
        if size == 0 {
            break;
        }
        read_data(from, size, each)?;
        let end = read_line(from)?;
        each(Piece { bytes: &end, is_data: false })?;
    }
    // What may come behind the last chunk, and the empty line.
    loop {
        let line = read_line(from)?;
        each(Piece { bytes: &line, is_data: false })?;
        if line == b"\r\n" || line == b"\n" {
            return Ok(());
        }
    }
}

/// Reads the data of a whole body.
pub(super) fn collect(from: &mut impl BufRead, body: Body) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    read_body(from, body, |piece| {
        if piece.is_data {
            data.extend_from_slice(piece.bytes);
        }
        Ok(())
    })?;
    Ok(data)
}

/// Data as they are sent in a body whose head was sent already, without the end of a chunked body.
pub(super) fn wrap(data: &[u8], body: Body) -> Vec<u8> {
    if body != Body::Chunked || data.is_empty() {
        return data.to_vec();
    }
    let mut wrapped = format!("{:x}\r\n", data.len()).into_bytes();
    wrapped.extend_from_slice(data);
    wrapped.extend_from_slice(b"\r\n");
    wrapped
}

fn read_data(
    from: &mut impl BufRead,
    length: u64,
    each: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Err(cut());
        }
        let part = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        each(Piece { bytes: &bytes[..part], is_data: true })?;
        from.consume(part);
        left -= part as u64;
    }
    Ok(())
}

fn read_line(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.take(LONGEST_HEAD).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") { Ok(line) } else { Err(cut()) }
}

fn cut() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the connection ended within a message")
}

#[cfg(test)]
mod tests {
    use super::{Body, Head, collect, read_body, wrap};

    #[test]
    fn a_chunked_body_comes_through_as_it_was() {
        let sent = b"5;a=b\r\nhello\r\n1\r\n \r\n0\r\nTrailer: x\r\n\r\nnext";
        let mut from = &sent[..];
        let mut passed = Vec::new();
        read_body(&mut from, Body::Chunked, |piece| {
            passed.extend_from_slice(piece.bytes);
            Ok(())
        })
        .unwrap();
        assert_eq!(passed, &sent[..sent.len() - 4]);
        assert_eq!(from, b"next");
        assert_eq!(collect(&mut &sent[..], Body::Chunked).unwrap(), b"hello ");
        assert_eq!(wrap(b"hello", Body::Chunked), b"5\r\nhello\r\n");
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        for (sent, body) in [
            ("hell", Body::Length(5)),
            ("5\r\nhell", Body::Chunked),
            ("5\r\nhello\r\n", Body::Chunked),
            ("0\r\n", Body::Chunked),
        ] {
            assert!(collect(&mut sent.as_bytes(), body).is_err(), "{sent:?}");
        }
    }

    #[test]
    fn heads_tell_where_bodies_end() {
        let read = |text: &str| Head::read(&mut text.as_bytes()).unwrap().unwrap();
        let answer = read("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
        assert_eq!(answer.answer_body("GET").unwrap(), Body::Length(7));
        assert_eq!(answer.answer_body("HEAD").unwrap(), Body::Length(0));
        assert!(!answer.closes());
        let answer = read("HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\nConnection: Close\n\n");
        assert_eq!(answer.answer_body("GET").unwrap(), Body::Chunked);
        assert!(answer.closes());
        assert_eq!(
            read("HTTP/1.1 304 X\r\nContent-Length: 7\r\n\r\n").answer_body("GET").unwrap(),
            Body::Length(0)
        );
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\n").answer_body("GET").unwrap(), Body::UntilClose);
        assert_eq!(read("\r\nGET / HTTP/1.1\r\n\r\n").request_body().unwrap(), Body::Length(0));
        assert!(read("GET / HTTP/1.0\r\n\r\n").closes());
        assert!(Head::read(&mut &b""[..]).unwrap().is_none());
        assert!(Head::read(&mut &b"GET / HT"[..]).is_err());
    }
}

//! Single HTTP requests, each over a connection of its own.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::Result;

/// How long a connection may be silent. More than any server needs.
const LIMIT: Duration = Duration::from_secs(30);

/// An answer of a server.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header, asked for by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// This answer where it tells of success, else an error that tells what it says.
    pub fn success(self) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        Err(format!("status {}: {}", self.status, self.text()).into())
    }
}

/// The host and the port of an endpoint `http://HOST:PORT`.
pub(super) fn authority(endpoint: &str) -> Result<&str> {
    let rest = endpoint.strip_prefix("http://").ok_or_else(|| format!("{endpoint} is not http://…"))?;
    Ok(rest.split('/').next().unwrap_or(rest))
}

/// Asks a server. `Host`, `Content-Length` and `Connection` are added to the headers.
///
/// Fails where the connection ends before the whole answer is there.
pub fn request(
    endpoint: &str,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Answer> {
    let host = authority(endpoint)?;
    let address: SocketAddr = host.to_socket_addrs()?.next().ok_or("no address")?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
    // A server may answer and stop listening before it has all.
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    match read_answer(stream, method == "HEAD") {
        Ok(answer) => Ok(answer),
        Err(e) => Err(sent.err().map_or(e, Into::into)),
    }
}

fn read_answer(stream: TcpStream, is_head: bool) -> Result<Answer> {
    let mut stream = BufReader::new(stream);
    let first = read_line(&mut stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or_else(|| format!("no status in {first:?}"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(&mut stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no header: {line:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if is_head || matches!(status, 204 | 304) {
        return Ok(answer);
    }
    if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = read_line(&mut stream)?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or(&size).trim(), 16)?;
            read_exactly(&mut stream, size, &mut answer.body)?;
            read_line(&mut stream)?;
            if size == 0 {
                return Ok(answer);
            }
        }
    }
    match answer.header("content-length").map(str::parse).transpose()? {
        Some(length) => read_exactly(&mut stream, length, &mut answer.body)?,
        None => _ = stream.read_to_end(&mut answer.body)?,
    }
    Ok(answer)
}

fn read_line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.strip_suffix('\n').ok_or("the connection ended within the head of an answer")?;
    Ok(line.trim_end_matches('\r').to_owned())
}

fn read_exactly(stream: &mut BufReader<TcpStream>, length: u64, into: &mut Vec<u8>) -> Result<()> {
    let came = stream.take(length).read_to_end(into)? as u64;
    if came < length {
        return Err(format!("the connection ended after {came} of {length} bytes").into());
    }
    Ok(())
}

//! Answers Prometheus over HTTP.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outcome::{Failure, Result};

/// How long a client may take for its request or for reading the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request that is read, in bytes.
const LONGEST: usize = 16 << 10;
/// How often the end of the process is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Listens at an address.
pub struct Listener {
    listener: TcpListener,
}

impl Listener {
    /// Begins to listen. Port 0 is any free one.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let failed = |error| Failure::io("listen on", address.to_string(), error);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| Failure::io("find", "the address of the metrics", error))
    }

    /// Answers `GET /metrics` with what `metrics` returns, one client after the other, until the flag is set.
    pub fn answer(&self, ended: &AtomicBool, metrics: &dyn Fn() -> String) {
        while !ended.load(Ordering::Relaxed) {
            match self.listener.accept() {
                // What a client does wrong is its own matter.
                Ok((client, _)) => drop(serve(client, metrics)),
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }
}

fn serve(mut client: TcpStream, metrics: &dyn Fn() -> String) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_write_timeout(Some(PATIENCE))?;
    let request = request(&mut client)?;
    let mut words = request.split(|byte| *byte == b' ');
    let (status, body) = match (words.next(), words.next()) {
        (Some(b"GET" | b"HEAD"), Some(path))
            if path.split(|byte| *byte == b'?').next() == Some(b"/metrics") =>
        {
            ("200 OK", metrics())
        }
        (Some(b"GET" | b"HEAD"), Some(_)) => ("404 Not Found", "The metrics are at /metrics.\n".to_owned()),
        _ => ("405 Method Not Allowed", "Only GET is answered.\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes())?;
    if !request.starts_with(b"HEAD") {
        client.write_all(body.as_bytes())?;
    }
    client.shutdown(std::net::Shutdown::Write)
}

/// The head of a request.
fn request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let begun = Instant::now();
    let mut request = Vec::new();
    let mut buffer = [0; 2048];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let rest = PATIENCE.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero());
        let rest = rest.ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))?;
        client.set_read_timeout(Some(rest))?;
        let read = client.read(&mut buffer)?;
        if read == 0 || request.len() + read > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        request.extend_from_slice(&buffer[..read]);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(request).unwrap();
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn only_metrics_are_answered() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| listener.answer(&ended, &|| "a 1\n".into()));
            let get = |path: &str| ask(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
            let answer = get("/metrics");
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\na 1\n"),
                "{answer}"
            );
            assert!(answer.contains("Content-Length: 4\r\n"), "{answer}");
            assert!(get("/metrics?x=1").starts_with("HTTP/1.1 200 "));
            assert!(get("/").starts_with("HTTP/1.1 404 "));
            assert!(ask(address, b"PUT /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
            let head = ask(address, b"HEAD /metrics HTTP/1.1\r\n\r\n");
            assert!(head.ends_with("\r\n\r\n") && head.contains("Content-Length: 4"), "{head}");
            // Nonsense gets no answer, and the next client gets one.
            assert_eq!(ask(address, &vec![b'x'; LONGEST + 4096]), "");
            assert!(get("/metrics").starts_with("HTTP/1.1 200 "));
            ended.store(true, Ordering::Relaxed);
        });
    }
}

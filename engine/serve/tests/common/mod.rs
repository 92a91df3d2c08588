//! A running server, and a client that sees every byte.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use serve::Options;
use snapshot::{OpenOptions, Snapshot};

/// A server, which stops with this value.
pub(crate) struct Server {
    /// Where it answers.
    pub(crate) address: SocketAddr,
    /// What it could not read.
    pub(crate) problems: Arc<Mutex<Vec<String>>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The headers, names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as it was said to.
    pub(crate) whole: bool,
}

/// A file of the fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name)
}

/// An archive of the fixtures.
pub(crate) fn archive(name: &str) -> Arc<Snapshot> {
    Snapshot::open(&fixture(name).into(), &OpenOptions::default(), &|_| {}).unwrap()
}

/// Options that serve archives and nothing else.
pub(crate) fn options(archives: Vec<Arc<Snapshot>>) -> Options {
    Options {
        bind: [127, 0, 0, 1].into(),
        port: 0,
        cors: None,
        authentication: None,
        only: None,
        on_problem: Arc::new(|_| {}),
        archives: archives.into_iter().map(Into::into).collect(),
        flags: Vec::new(),
    }
}

impl Server {
    /// Serves one archive of the fixtures.
    pub(crate) fn of(name: &str) -> Self {
        Self::start(options(vec![archive(name)]))
    }

    /// Serves what these options say.
    pub(crate) fn start(mut options: Options) -> Self {
        let problems = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&problems);
        options.on_problem = Arc::new(move |problem| told.lock().unwrap().push(problem.to_owned()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let stopped = async {
                let _ = stopped.await;
            };
            serve::run(&options, |address| sender.send(address).unwrap(), stopped).unwrap();
        });
        let address = receiver.recv().unwrap();
        Self { address, problems, stop: Some(stop), thread: Some(thread) }
    }

    /// Asks the server to stop.
    pub(crate) fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until it has stopped.
    pub(crate) fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.send(method, path, headers, body);
        let mut bytes = Vec::new();
        // A broken connection is an answer, too.
        let _ = stream.read_to_end(&mut bytes);
        parse(&bytes, method == "HEAD")
    }

    /// Sends a request.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" || method == "PUT" {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        // The server may refuse before it has read everything.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        stream
    }

    /// `GET`
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    /// `GET` of JSON that must be there.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// `POST` of JSON.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ask_to_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the server panicked");
        }
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The error that is told.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        (self.status, text("error"), text("reason"))
    }
}

/// Takes an answer apart.
pub(crate) fn parse(bytes: &[u8], is_head: bool) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = bytes[end + 4..].to_vec();
    let mut whole = true;
    if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") && !is_head {
        (body, whole) = dechunk(&body);
    } else if let Some(length) = headers.get("content-length").filter(|_| !is_head) {
        whole = body.len() == length.parse::<usize>().unwrap();
    }
    Answer { status, headers, body, whole }
}

fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(at) = bytes.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..at]).unwrap(), 16).unwrap();
        if length == 0 {
            return (body, true);
        }
        let Some(chunk) = bytes.get(at + 2..at + 2 + length) else { break };
        body.extend_from_slice(chunk);
        bytes = bytes.get(at + 4 + length..).unwrap_or_default();
    }
    (body, false)
}

//! A small stand-in for nouveau's server: it keeps no texts, but documents and sequences by the rules of the real one, and notes what it
//! is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use couchcopy_tests::Result;
use serde_json::{Value, json};

#[derive(Debug, Default)]
struct Index {
    update_seq: u64,
    purge_seq: u64,
    documents: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct State {
    indexes: BTreeMap<String, Index>,
    asked: Vec<String>,
}

/// The server; it ends with the test.
pub(super) struct Nouveau {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    folder: tempfile::TempDir,
}

/// Answers CouchDB's query server protocol: every document has one field.
const QUERY_SERVER: &str = r#"#!/bin/sh
while read -r line; do
  case $line in
    *nouveau_index_doc*) echo '[[{"@type":"string","name":"x","value":"y","store":false,"facet":false}]]' ;;
    *) echo true ;;
  esac
done
"#;

impl Nouveau {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(connection, &state));
            }
        });
        Ok(Self { address, state, folder: tempfile::tempdir()? })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A program that takes documents as they are.
    pub(super) fn query_server(&self) -> Result<PathBuf> {
        let path = self.folder.path().join("query-server");
        std::fs::write(&path, QUERY_SERVER)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Paths of all requests so far, decoded.
    pub(super) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// Names of the indexes that are there.
    pub(super) fn indexes(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).indexes.keys().cloned().collect()
    }
}

/// Answers all requests of a connection.
fn serve(connection: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut writer = connection;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut words = first.split_whitespace();
        let (method, path) = (words.next()?, words.next()?);
        let (status, answer) = {
            let mut state = state.lock().ok()?;
            answer(&mut state, method, path, &body)
        };
        let text = if status == 204 { String::new() } else { answer.to_string() };
        let length =
            if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", text.len()) };
        write!(writer, "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{length}\r\n{text}").ok()?;
        writer.flush().ok()?;
    }
}

fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn answer(state: &mut State, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let parts: Vec<String> = path.trim_start_matches('/').split('/').map(decoded).collect();
    state.asked.push(format!("{method} {}", parts.join(" ")));
    let refused = |status| (status, json!({"code": status, "message": "refused"}));
    let fine = (204, Value::Null);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let number = |key: &str| body[key].as_u64().unwrap_or_default();
    if let ("DELETE", ["index", name]) = (method, parts.as_slice()) {
        let below = format!("{name}/");
        state.indexes.retain(|index, _| index != name && !index.starts_with(&below));
        return fine;
    }
    if let ("PUT", ["index", name]) = (method, parts.as_slice()) {
        state.indexes.entry((*name).to_owned()).or_default();
        return fine;
    }
    let Some(index) = parts.get(1).and_then(|name| state.indexes.get_mut(*name)) else { return refused(404) };
    match (method, parts.as_slice()) {
        ("GET", ["index", _]) => {
            let told = json!({
                "update_seq": index.update_seq,
                "purge_seq": index.purge_seq,
                "num_docs": index.documents.len(),
                "disk_size": 0,
            });
            (200, told)
        }
        ("POST", ["index", _]) => {
            for (seq, key) in [(&mut index.update_seq, "update_seq"), (&mut index.purge_seq, "purge_seq")] {
                if body[key].is_null() {
                    continue;
                }
                if number(&format!("match_{key}")) != *seq || number(key) < *seq {
                    return refused(409);
                }
                *seq = number(key);
            }
            fine
        }
        ("PUT" | "DELETE", ["index", _, "doc", id]) => {
            let seq = if body["purge"] == true { &mut index.purge_seq } else { &mut index.update_seq };
            if number("match_seq") != *seq || number("seq") <= *seq {
                return refused(409);
            }
            *seq = number("seq");
            if method == "PUT" {
                index.documents.insert((*id).to_owned());
            } else {
                index.documents.remove(*id);
            }
            fine
        }
        ("POST", ["index", _, "search"]) => {
            if index.update_seq < number("min_update_seq") || index.purge_seq < number("min_purge_seq") {
                return refused(409);
            }
            let told = json!({
                "total_hits": index.documents.len(),
                "total_hits_relation": "EQUAL_TO",
                "hits": [],
                "counts": null,
                "ranges": null,
            });
            (200, told)
        }
        _ => refused(405),
    }
}

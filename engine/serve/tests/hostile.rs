//! Requests that make no sense: every one is answered, none ends the server.

mod common;

use std::fmt::Write as _;

use common::Server;

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

const PARTS: &[&str] = &[
    "plain",
    "conflicts",
    "atts",
    "deleted",
    "parts",
    "views",
    "empty",
    "nosuch",
    "_all_docs",
    "_changes",
    "_find",
    "_explain",
    "_bulk_get",
    "_revs_diff",
    "_missing_revs",
    "_local",
    "_local_docs",
    "_design",
    "_design_docs",
    "_partition",
    "_shards",
    "_security",
    "_all_dbs",
    "_dbs_info",
    "_session",
    "_uuids",
    "_backup",
    "archives",
    "1",
    "queries",
    "c",
    "with",
    "a.txt",
    "b.bin",
    "d0",
    "dd",
    "p0",
    "doc-00000",
    "%00",
    "%2F",
    "..",
    "%22",
    "é%C3%A9",
    "+",
    "_view",
    "a%0d%0ab",
];
const KEYS: &[&str] = &[
    "rev",
    "revs",
    "open_revs",
    "atts_since",
    "latest",
    "attachments",
    "conflicts",
    "meta",
    "limit",
    "skip",
    "startkey",
    "endkey",
    "key",
    "keys",
    "descending",
    "include_docs",
    "since",
    "feed",
    "style",
    "filter",
    "doc_ids",
    "timeout",
    "seq_interval",
    "update_seq",
    "inclusive_end",
    "partition",
    "deleted",
    "count",
    "view",
    "heartbeat",
    "local_seq",
];
const VALUES: &[&str] = &[
    "true",
    "false",
    "0",
    "1",
    "-1",
    "99999999999999999999",
    "1.5",
    "null",
    "[]",
    "{}",
    "%22c%22",
    "[%22c%22]",
    "[1]",
    "[[]]",
    "%22",
    "all",
    "now",
    "2-bb",
    "1-",
    "-",
    "[%222-bb%22,%22x%22]",
    "[%221-aa%22]",
    "normal",
    "_doc_ids",
    "_selector",
    "_view",
    "a/b",
    "all_docs",
    "%FF",
    "",
    "18446744073709551615",
    "1-0.0",
    "p0",
    "[%22%5Cud800%22]",
];
const BODIES: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    "{\"keys\":[\"c\",1,null]}",
    "{\"selector\":{}}",
    "{\"selector\":{\"a\":{\"$regex\":\"(a+)+$\"}}}",
    "{\"docs\":[{\"id\":\"c\"},{},null,{\"id\":\"c\",\"rev\":\"9-x\"}]}",
    "{\"c\":[\"1-aa\",\"2-bb\"]}",
    "{\"c\":3}",
    "{\"queries\":[{},{\"limit\":-1}]}",
    "{\"queries\":[{\"startkey\":\"a\"}]}",
    "{\"doc_ids\":[\"c\"]}",
    "{\"a\":",
    "\u{0}",
    "{\"selector\":{\"_id\":{\"$gt\":null}},\"sort\":[\"v\"],\"limit\":3}",
    "{\"selector\":{\"$not\":{\"$nor\":[{\"a\":{\"$mod\":[1,0]}}]}}}",
];
const HEADERS: &[(&str, &str)] = &[
    ("Accept", "multipart/mixed"),
    ("Accept", "multipart/related"),
    ("Accept", "*;q=x,,;"),
    ("Accept-Encoding", "gzip"),
    ("Accept-Encoding", "identity;q=0"),
    ("Range", "bytes=0-3,5-6"),
    ("Range", "bytes=-0"),
    ("Range", "bytes=18446744073709551615-"),
    ("If-None-Match", "\"2-cc\""),
    ("Last-Event-ID", "x"),
    ("Content-Type", "text/plain"),
];

#[test]
fn every_request_is_answered() {
    let server = Server::of("single-node.tar.gz");
    let mut dice = Dice(1);
    for i in 0..3000 {
        let method =
            dice.pick(&["GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"]);
        let mut path = String::new();
        for _ in 0..dice.roll(5) {
            path.push('/');
            path.push_str(dice.pick(PARTS));
        }
        if path.is_empty() {
            path.push('/');
        }
        // Feeds that wait are tried elsewhere.
        path.push_str("?timeout=1");
        for _ in 0..dice.roll(4) {
            let _ = write!(path, "&{}={}", dice.pick(KEYS), dice.pick(VALUES));
        }
        let path = path.replace("heartbeat=", "x=").replace('é', "%C3%A9");
        let mut headers = vec![("Content-Type", "application/json")];
        for _ in 0..dice.roll(3) {
            headers.push(HEADERS[dice.roll(HEADERS.len())]);
        }
        let body = dice.pick(BODIES);
        let answer = server.ask(method, &path, &headers, body.as_bytes());
        let told =
            || format!("{i}: {method} {path} {headers:?} {body}: {}", String::from_utf8_lossy(&answer.body));
        assert!(answer.whole, "{}", told());
        assert!(answer.status < 500 || answer.status == 501, "{} {}", answer.status, told());
        if answer.status >= 400 && method != "HEAD" {
            let (_, error, reason) = answer.error();
            assert!(!error.is_empty() && !reason.is_empty(), "{}", told());
        }
    }
    assert_eq!(server.get("/_up").status, 200);
    assert!(server.problems.lock().unwrap().is_empty(), "{:?}", server.problems.lock().unwrap());
}

#[test]
fn what_is_no_http_harms_nobody() {
    use std::io::{Read, Write};
    let server = Server::of("single-node.tar.gz");
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /plain/_find HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0\0\0\0",
    ] {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    assert_eq!(server.get("/_up").status, 200);
}

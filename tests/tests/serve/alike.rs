//! The same requests to a real CouchDB that was restored from an archive and to `couchcopy serve` of it: the same answers.
//!
//! Not compared is what must differ: sequences, which are opaque; sizes of files, whose headers a restore writes anew;
//! bookmarks and warnings of queries, dates and the server's name.

use couchcopy_tests::lab::{Cluster, Installation, Size, couchcopy};
use couchcopy_tests::{Result, fixtures};
use serde_json::Value;

use crate::oracle::backup;
use crate::raw::{Answer, Request};
use crate::served::Served;

/// The node that the fixture was saved of.
const SAVED_NODE: &str = "couchdb41@127.0.0.41";
/// Members that are opaque, or tell of the file rather than of what is in it.
const OPAQUE: [&str; 8] =
    ["seq", "last_seq", "update_seq", "purge_seq", "bookmark", "warning", "execution_time_ms", "file"];
/// Headers that must be the same.
const HEADERS: [&str; 7] = [
    "cache-control",
    "content-range",
    "accept-ranges",
    "content-encoding",
    "content-security-policy",
    "allow",
    "content-type",
];

#[test]
fn answers_are_alike() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let archive = backup(&fixtures::single_node()?, dir.path())?;
    let mut cluster = Cluster::prepare(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    let node = format!("{},{}", cluster.nodes[0].data.display(), cluster.nodes[0].name);
    let archive_name = archive.display().to_string();
    couchcopy(&["restore", "--offline", &archive_name, &node])?.success()?;
    cluster.start()?;
    let served = Served::start(&[&archive], &[])?;
    let real = cluster.nodes[0].url().trim_start_matches("http://").parse()?;
    let requests = requests(include_str!("requests.txt"));
    assert!(requests.len() > 400, "only {} requests", requests.len());
    let mut differences = Vec::new();
    for request in &requests {
        let expected = shape(request, &request.send(real)?, &cluster.nodes[0].name);
        let found = shape(request, &request.send(served.address)?, SAVED_NODE);
        if expected != found {
            differences.push(format!("{request:?}\n  CouchDB: {expected:?}\n  serve:   {found:?}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {}:\n{}",
        differences.len(),
        requests.len(),
        differences.join("\n")
    );
    Ok(())
}

/// The requests of the table.
fn requests(table: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut headers = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((name, value)) = line.strip_prefix("> ").and_then(|line| line.split_once(": ")) {
            headers.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().map(ToOwned::to_owned);
        let (method, path) = (word().unwrap_or_default(), word().unwrap_or_default());
        requests.push(Request { method, path, body: word(), headers: std::mem::take(&mut headers) });
    }
    requests
}

/// What of an answer must be the same.
#[derive(Debug, PartialEq)]
struct Shape {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

#[derive(Debug, PartialEq)]
enum Body {
    Json(Value),
    Text(String),
    Bytes(Vec<u8>),
}

fn shape(request: &Request, answer: &Answer, node: &str) -> Shape {
    let boundaries = boundaries(answer);
    let renamed = |text: &str| {
        let text = text.replace(node, "NODE");
        boundaries
            .iter()
            .enumerate()
            .fold(text, |text, (i, boundary)| text.replace(boundary, ["OUTER", "INNER"][i.min(1)]))
    };
    let mut headers: Vec<(&'static str, String)> =
        HEADERS.iter().filter_map(|name| Some((*name, renamed(answer.headers.get(*name)?)))).collect();
    // Of documents and attachments the tag is what CouchDB says; others are opaque.
    if let Some(etag) = answer.headers.get("etag") {
        let is_opaque = ["_changes", "_all_dbs", "_dbs_info", "_local", "_uuids"]
            .iter()
            .any(|part| request.path.contains(part));
        headers.push(("etag", if is_opaque { "some".to_owned() } else { etag.clone() }));
    }
    // CouchDB sends parts in pieces of no told length.
    if request.path.starts_with("/atts/with/") && answer.status == 200 {
        headers.extend(answer.headers.get("content-length").map(|length| ("content-length", length.clone())));
    }
    let is_text = boundaries.is_empty()
        && answer.headers.get("content-type").is_none_or(|kind| kind.starts_with("text/event"));
    let body = match std::str::from_utf8(&answer.body) {
        Ok(text) if is_lines(request) => Body::Text(lines(&renamed(text))),
        Ok(text) if is_text => Body::Text(events(text)),
        Ok(text) => match serde_json::from_str(&renamed(text)) {
            Ok(json) => Body::Json(comparable(request, json)),
            Err(_) => Body::Text(renamed(text)),
        },
        Err(_) => Body::Bytes(with_names(&answer.body, &boundaries)),
    };
    Shape { status: answer.status, headers, body }
}

fn is_lines(request: &Request) -> bool {
    request.path.contains("feed=continuous") || request.path.contains("feed=live")
}

/// Rows of a continuous feed.
fn lines(text: &str) -> String {
    let rows = text.lines().filter(|line| !line.is_empty());
    rows.map(|row| {
        serde_json::from_str(row).map_or_else(|_| row.to_owned(), |json| without_opaque(json).to_string())
    })
    .collect::<Vec<_>>()
    .join("\n")
}

/// Rows of an event source.
fn events(text: &str) -> String {
    let row = |line: &str| {
        let json = line.strip_prefix("data: ").and_then(|json| serde_json::from_str(json).ok());
        json.map_or_else(|| line.to_owned(), |json: Value| without_opaque(json).to_string())
    };
    text.lines().filter(|line| !line.starts_with("id: ")).map(row).collect::<Vec<_>>().join("\n")
}

/// The boundaries of a body's parts: they are random.
fn boundaries(answer: &Answer) -> Vec<String> {
    let content_type = answer.headers.get("content-type").map_or("", String::as_str);
    let mut found: Vec<String> = Vec::new();
    for text in [content_type, &String::from_utf8_lossy(&answer.body)] {
        for part in text.split("boundary=").skip(1) {
            let boundary = part.trim_start_matches('"').split(['"', '\r', ';']).next().unwrap_or_default();
            if !found.iter().any(|known| known == boundary) {
                found.push(boundary.to_owned());
            }
        }
        if content_type.is_empty() || !content_type.starts_with("multipart/") {
            return Vec::new();
        }
    }
    found
}

/// Bytes in which boundaries have names of their own.
fn with_names(bytes: &[u8], boundaries: &[String]) -> Vec<u8> {
    let mut text: String = bytes.iter().copied().map(char::from).collect();
    for (i, boundary) in boundaries.iter().enumerate() {
        text = text.replace(boundary.as_str(), ["OUTER", "INNER"][i.min(1)]);
    }
    text.chars().map(|c| c as u8).collect()
}

fn comparable(request: &Request, json: Value) -> Value {
    let mut json = without_opaque(json);
    let Some(members) = json.as_object_mut() else { return json };
    // Rows of different shards have no order. What is still to come of those that a filter lets through CouchDB does not know.
    if let Some(Value::Array(rows)) = members.get_mut("results")
        && request.path.contains("_changes")
    {
        rows.sort_by_key(|row| row["id"].to_string());
        if request.path.contains("filter=") {
            members.remove("pending");
        }
    }
    // Of a partition CouchDB counts what is in its shard, others as well.
    if request.path.contains("partition") && members.contains_key("total_rows") {
        members.remove("total_rows");
        members.remove("offset");
    }
    json
}

fn without_opaque(json: Value) -> Value {
    match json {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(key, _)| !OPAQUE.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key, without_opaque(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_opaque).collect()),
        other => other,
    }
}

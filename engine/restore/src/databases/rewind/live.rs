//! What documents of the cluster are now.

use std::collections::{HashMap, VecDeque};

use couchfile::json::Json;
use node::{Body, Method, NodeError, encode};
use outcome::{Failure, Result};
use serde_json::{Value, json};

use super::super::sender::Sender;

/// Ids in an answer of `_all_docs`.
const PAGE: usize = 2000;

/// The newest revision of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) rev: String,
    pub(super) deleted: bool,
}

/// The documents that exist, in the order of their ids, with their newest revisions.
pub(super) struct Existing<'s> {
    sender: &'s Sender<'s>,
    page: VecDeque<(String, String)>,
    start: Option<String>,
    /// The last one of the page before.
    last: Option<String>,
    is_end: bool,
}

impl<'s> Existing<'s> {
    /// From an id on.
    pub(super) fn new(sender: &'s Sender<'s>, start: Option<Vec<u8>>) -> Self {
        let start = start.and_then(|start| String::from_utf8(start).ok());
        Self { sender, page: VecDeque::new(), start, last: None, is_end: false }
    }

    /// The next document, without taking it.
    pub(super) fn peek(&mut self) -> Result<Option<&(String, String)>> {
        if self.page.is_empty() && !self.is_end {
            self.read_page()?;
        }
        Ok(self.page.front())
    }

    pub(super) fn take(&mut self) -> Option<(String, String)> {
        self.page.pop_front()
    }

    fn read_page(&mut self) -> Result<()> {
        // One more: the first one is the last one of the page before, unless it was deleted in the meantime.
        let start = match self.last.as_ref().or(self.start.as_ref()) {
            Some(start) => format!("&start_key={}", encode(&json!(start).to_string())),
            None => String::new(),
        };
        let path = self.sender.target.path(&format!("/_all_docs?limit={}{start}", PAGE + 1));
        let answer = ask(self.sender, &Method::GET, &path, None)?;
        let rows = answer["rows"].as_array().cloned().unwrap_or_default();
        self.is_end = rows.len() <= PAGE;
        for row in &rows {
            let (Some(id), Some(rev)) = (row["id"].as_str(), row["value"]["rev"].as_str()) else { continue };
            if self.last.as_deref().is_none_or(|last| last != id) {
                self.page.push_back((id.to_owned(), rev.to_owned()));
            }
        }
        if let Some((last, _)) = self.page.back() {
            self.last = Some(last.clone());
        } else {
            self.is_end = true;
        }
        Ok(())
    }
}

/// The newest revisions of documents; those that the cluster does not know at all are missing.
pub(super) fn newest<'i>(
    sender: &Sender<'_>,
    ids: impl IntoIterator<Item = &'i str>,
) -> Result<HashMap<String, Now>> {
    let ids: Vec<&str> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let path = sender.target.path("/_all_docs");
    let answer = ask(sender, &Method::POST, &path, Some(&json!({"keys": ids})))?;
    let rows = answer["rows"].as_array().cloned().unwrap_or_default();
    let now = |row: &Value| {
        let rev = row["value"]["rev"].as_str()?.to_owned();
        Some((row["id"].as_str()?.to_owned(), Now { rev, deleted: row["value"]["deleted"] == true }))
    };
    Ok(rows.iter().filter_map(now).collect())
}

/// Documents that exist, as JSON, by their ids, with their conflicts (`_conflicts`).
pub(super) fn documents<'i>(
    sender: &Sender<'_>,
    ids: impl IntoIterator<Item = &'i str>,
) -> Result<HashMap<String, Json>> {
    let ids: Vec<&str> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let path = sender.target.path("/_all_docs?include_docs=true&conflicts=true");
    let text = json!({"keys": ids}).to_string();
    let answer = sender.ask(&Method::POST, &path, || Body::Text(text.as_bytes()), text.len() as u64)?;
    if !answer.is_success() {
        return Err(sender.target.error(&format!("POST {path}"), answer.status, answer.reason()));
    }
    // Documents may be nested more deeply than the usual reader of JSON goes.
    let answer = Json::parse(&answer.text).map_err(|e| {
        let (node, asked) = (sender.target.http.node().to_owned(), format!("POST {path}"));
        Failure::from(NodeError::Answer { node, asked, problem: e.to_string() })
    })?;
    let Json::Object(members) = answer else { return Ok(HashMap::new()) };
    let rows = members.into_pairs().into_iter().find(|(name, _)| name == "rows").map(|(_, rows)| rows);
    let Some(Json::Array(rows)) = rows else { return Ok(HashMap::new()) };
    let mut found = HashMap::new();
    for row in rows.iter() {
        if let (Some(id), Some(document @ Json::Object(_))) =
            (row.get("id").and_then(Json::as_str), row.get("doc"))
        {
            found.insert(id.to_owned(), document.clone());
        }
    }
    Ok(found)
}

/// Sends a request that has to succeed.
pub(super) fn ask(sender: &Sender<'_>, method: &Method, path: &str, body: Option<&Value>) -> Result<Value> {
    let text = body.map(ToString::to_string);
    let size = text.as_ref().map_or(0, String::len) as u64;
    let body = || text.as_ref().map_or(Body::Nothing, |text| Body::Text(text.as_bytes()));
    let answer = sender.ask(method, path, body, size)?;
    if answer.is_success() {
        return Ok(answer.body);
    }
    Err(sender.target.error(&format!("{method} {path}"), answer.status, answer.reason()))
}

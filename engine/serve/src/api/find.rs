//! `_find`: queries over all documents, as there are no indexes here.
//!
//! Sources: `mango_httpd.erl`, `mango_cursor_view.erl`.

use std::cmp::Ordering;
use std::io::Write;
use std::time::Instant;

use couchfile::json::Json;
use mango::{Bookmark, IdRange, MangoError, Query};
use serde_json::{Value, json};
use snapshot::{Document, Flow, Walk};

use super::context::{Context, Db};
use super::document_query::Shown;
use super::document_text::{DocumentText, value_of};
use super::partition;
use crate::http::{Done, Failure, Head, HttpError, Method, Out, Reply};

/// Most documents that are sorted. CouchDB sorts none: without an index it refuses.
const MOST_SORTED: u64 = 10_000;
/// What these may take in memory, in bytes.
const ROOM: usize = 32 << 20;
/// Sent with every answer, to explain why it takes so long.
const WARNING: &str = "This is a backup, which has no indexes: all documents were read.";

/// What a query took and gave.
#[derive(Debug, Default)]
struct Statistics {
    examined: u64,
    given: u64,
}

/// A document that matches, ready to be written.
struct Match {
    id: String,
    key: Vec<Json>,
    text: Vec<u8>,
}

/// `POST /{db}/_find`
pub(super) fn find(
    context: Context<'_>,
    db: &Db,
    partition: Option<&str>,
    reply: Reply,
) -> Result<Done, Failure> {
    let query = read(context, db, partition)?;
    let begun = Instant::now();
    let mut out = reply.stream(Head::json(200));
    let mut statistics = Statistics::default();
    let last = if query.sort.is_by_id() {
        in_order(db, &query, &mut out, &mut statistics)?
    } else {
        sorted(db, &query, &mut out, &mut statistics)?
    };
    let bookmark = last.map_or_else(
        || query.bookmark.as_ref().map_or_else(|| "nil".to_owned(), Bookmark::to_text),
        |last| last.to_text(),
    );
    write!(out, "\r\n],\r\n\"bookmark\": {}", json!(bookmark))?;
    if query.execution_stats {
        let told = json!({
            "total_keys_examined": statistics.examined,
            "total_docs_examined": statistics.examined,
            "total_quorum_docs_examined": 0,
            "results_returned": statistics.given,
            "execution_time_ms": begun.elapsed().as_secs_f64() * 1000.0,
        });
        write!(out, ",\r\n\"execution_stats\": {told}")?;
    }
    write!(out, ",\r\n\"warning\": {}}}\r\n\n", json!(WARNING))?;
    out.finish()
}

/// `POST /{db}/_explain`
pub(super) fn explain(
    context: Context<'_>,
    db: &Db,
    partition: Option<&str>,
    reply: Reply,
) -> Result<Done, Failure> {
    let query = read(context, db, partition)?;
    let told = json!({
        "dbname": db.name(),
        "index": index(),
        "partitioned": db.0.map().is_partitioned(),
        "selector": null,
        "opts": query.options(),
        "limit": query.limit,
        "skip": query.skip,
        "fields": query.fields.names(),
        "index_candidates": [],
        "selector_hints": [],
        "mrargs": {
            "include_docs": true,
            "view_type": "map",
            "reduce": false,
            "partition": query.partition,
            "start_key": null,
            "end_key": "<MAX>",
            "direction": if query.sort.is_descending() { "rev" } else { "fwd" },
            "stable": false,
            "update": true,
            "conflicts": "undefined",
        },
        "covering": false,
    });
    let mut told = Json::from(told);
    if let Some(members) = told.as_object_mut() {
        members.insert("selector", query.selector_json);
    }
    reply.exact_json(Head::json(200), &told)
}

/// `GET /{db}/_index`: the one over the ids. Indexes that design documents define are not used here.
pub(super) fn indexes(context: Context<'_>, reply: Reply) -> Result<Done, Failure> {
    if context.call.method == Method::Post {
        return Err(HttpError::read_only("GET").into());
    }
    context.call.only_get()?;
    reply.json(&json!({"total_rows": 1, "indexes": [index()]}))
}

fn index() -> Value {
    json!({"ddoc": null, "name": "_all_docs", "type": "special", "def": {"fields": [{"_id": "asc"}]}})
}

fn read(context: Context<'_>, db: &Db, partition: Option<&str>) -> Result<Query, Failure> {
    context.call.only_post()?;
    let mut query = Query::parse(context.call.exact_object()?)?;
    let given = partition.or(context.call.parameter("partition"));
    match (given, &query.partition) {
        (Some(partition), Some(other)) if partition != other => {
            return Err(HttpError::bad_request("Conflicting value for `partition` in query string").into());
        }
        (Some(partition), None) => query.partition = Some(partition.to_owned()),
        _ => {}
    }
    if let Some(partition) = &query.partition {
        partition::check(partition)?;
        if !db.0.map().is_partitioned() {
            return Err(HttpError::bad_request("`partition` is not supported on this database.").into());
        }
    }
    Ok(query)
}

/// Writes what matches in the order of the ids; gives the last document.
fn in_order(
    db: &Db,
    query: &Query,
    out: &mut Out,
    statistics: &mut Statistics,
) -> Result<Option<Bookmark>, Failure> {
    out.write_all(b"{\"docs\":[")?;
    let mut last = None;
    let mut skip = query.skip;
    if query.limit == 0 {
        return Ok(None);
    }
    each_match(db, query, out, statistics, |out, statistics, found| {
        let is_passed = query.bookmark.as_ref().is_some_and(|bookmark| !is_behind(query, &found, bookmark));
        if is_passed {
            return Ok(Flow::On);
        }
        if skip > 0 {
            skip -= 1;
            return Ok(Flow::On);
        }
        out.write_all(if statistics.given > 0 { b",\r\n" } else { b"\r\n" })?;
        out.write_all(&found.text)?;
        statistics.given += 1;
        last = Some(Bookmark { id: found.id, key: found.key });
        Ok(if statistics.given == query.limit { Flow::Stop } else { Flow::On })
    })?;
    Ok(last)
}

/// Sorts what matches, as much of it as is wanted, and writes it; gives the last document.
fn sorted(
    db: &Db,
    query: &Query,
    out: &mut Out,
    statistics: &mut Statistics,
) -> Result<Option<Bookmark>, Failure> {
    let wanted = query.limit.saturating_add(query.skip);
    if wanted > MOST_SORTED {
        return Err(MangoError::no_usable_index().into());
    }
    let mut best: Vec<Match> = Vec::new();
    let mut size = 0usize;
    let order = |a: &Match, b: &Match| query.sort.compare((&a.key, &a.id), (&b.key, &b.id));
    // Sorted in now and then only: one by one would move everything for every document.
    let trim = |best: &mut Vec<Match>, size: &mut usize| {
        best.sort_by(order);
        best.truncate(wanted as usize);
        *size = best.iter().map(Match::size).sum();
    };
    each_match(db, query, out, statistics, |_, _, found| {
        if query.bookmark.as_ref().is_some_and(|bookmark| !is_behind(query, &found, bookmark)) {
            return Ok(Flow::On);
        }
        size += found.size();
        best.push(found);
        if best.len() as u64 >= 2 * wanted.max(64) || size > ROOM {
            trim(&mut best, &mut size);
            if size > ROOM {
                return Err(MangoError::no_usable_index().into());
            }
        }
        Ok(Flow::On)
    })?;
    trim(&mut best, &mut size);
    out.write_all(b"{\"docs\":[")?;
    let mut last = None;
    for found in best.into_iter().skip(query.skip as usize) {
        out.write_all(if statistics.given > 0 { b",\r\n" } else { b"\r\n" })?;
        out.write_all(&found.text)?;
        statistics.given += 1;
        last = Some(Bookmark { id: found.id, key: found.key });
    }
    Ok(last)
}

impl Match {
    fn size(&self) -> usize {
        // Keys are parts of the document, so they are not larger.
        2 * self.text.len() + self.id.len() + 256
    }
}

/// Whether a document comes after the one where the last answer ended.
fn is_behind(query: &Query, found: &Match, bookmark: &Bookmark) -> bool {
    query.sort.compare((&found.key, &found.id), (&bookmark.key, &bookmark.id)) == Ordering::Greater
}

/// Calls `each` with every document that matches.
fn each_match(
    db: &Db,
    query: &Query,
    out: &mut Out,
    statistics: &mut Statistics,
    mut each: impl FnMut(&mut Out, &mut Statistics, Match) -> Result<Flow, Failure>,
) -> Result<(), Failure> {
    let walk = match &query.partition {
        Some(partition) => Walk::prefix(&format!("{partition}:")),
        None => walk_over(query.selector.id_range()),
    };
    let walk = if query.sort.is_by_id() { directed(walk, query) } else { walk };
    db.0.documents(&walk, |doc| -> Result<Flow, Failure> {
        out.check()?;
        if doc.is_deleted() || doc.id().starts_with("_design/") {
            return Ok(Flow::On);
        }
        statistics.examined += 1;
        match read_match(db, doc, query)? {
            Some(found) => each(out, statistics, found),
            None => Ok(Flow::On),
        }
    })
}

/// A walk over a range of ids.
fn walk_over(ids: IdRange) -> Walk {
    let bytes = |id: Option<String>| id.map(String::into_bytes);
    Walk { start: bytes(ids.start), end: bytes(ids.end), ..Walk::default() }
}

/// The walk in the direction of the order, starting where the last answer ended.
fn directed(mut walk: Walk, query: &Query) -> Walk {
    if query.sort.is_descending() {
        std::mem::swap(&mut walk.start, &mut walk.end);
        // The exact ends are looked at once more by the selector.
        (walk.descending, walk.exclusive_end) = (true, false);
    }
    if let Some(bookmark) = &query.bookmark {
        let from = bookmark.id.as_bytes().to_vec();
        let is_later = walk.start.as_ref().is_none_or(|start| (from < *start) == walk.descending);
        if is_later {
            walk.start = Some(from);
        }
    }
    walk
}

/// The document as the query wants it, if it matches.
fn read_match(db: &Db, doc: &Document<'_>, query: &Query) -> Result<Option<Match>, Failure> {
    let winner = doc.winner().map_err(|e| db.failed(doc.id(), e))?;
    let shown = Shown { conflicts: query.conflicts, ..Shown::default() };
    let text = DocumentText::read(db, doc, winner, shown, None)?.to_vec()?;
    let value = value_of(db, doc, &text)?;
    if !query.selector.matches(&value) {
        return Ok(None);
    }
    let Some(key) = query.sort.key(&value) else { return Ok(None) };
    let text = match query.fields.extract(&value) {
        Some(part) => part.to_vec(),
        None => text,
    };
    Ok(Some(Match { id: doc.id().to_owned(), key, text }))
}

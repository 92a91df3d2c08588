//! `_all_docs` and `_design_docs`.
//!
//! Sources: `chttpd_db.erl` (`all_docs_view/4`), `fabric_view_all_docs.erl`, `couch_mrview_http.erl` (`view_cb/2`).

use std::io::Write;

use serde_json::{Value, json};
use snapshot::{Document, Flow, Walk};

use super::context::{Context, Db};
use super::document_query::Shown;
use super::document_text::{DocumentText, string};
use super::page::{Page, Row};
use super::queries;
use super::view_arguments::ViewArguments;
use crate::http::{Done, Failure, Head, HttpError, Method, Out, Reply};

/// `GET` and `POST /{db}/_all_docs`
pub(super) fn list(context: Context<'_>, db: &Db, list: &str, reply: Reply) -> Result<Done, Failure> {
    if !matches!(context.call.method, Method::Get | Method::Post) {
        return Err(HttpError::only("GET,HEAD,POST").into());
    }
    let arguments = ViewArguments::of(context.call)?;
    check(&arguments, db)?;
    let mut out = reply.stream(Head::json(200));
    write_list(db, prefix(list), &arguments, &mut out)?;
    out.write_all(b"\n")?;
    out.finish()
}

/// `GET` and `POST /{db}/_partition/{partition}/_all_docs`
pub(super) fn of_partition(
    context: Context<'_>,
    db: &Db,
    partition: &str,
    reply: Reply,
) -> Result<Done, Failure> {
    if !matches!(context.call.method, Method::Get | Method::Post) {
        return Err(HttpError::only("GET,HEAD,POST").into());
    }
    let arguments = ViewArguments::of(context.call)?.within(partition)?;
    let mut out = reply.stream(Head::json(200));
    write_list(db, "", &arguments, &mut out)?;
    out.write_all(b"\n")?;
    out.finish()
}

/// `POST /{db}/_all_docs/queries`
pub(super) fn queries(context: Context<'_>, db: &Db, list: &str, reply: Reply) -> Result<Done, Failure> {
    let queries = queries::read(context.call)?;
    queries.iter().try_for_each(|arguments| check(arguments, db))?;
    queries::answer(&queries, reply, |arguments, out| write_list(db, prefix(list), arguments, out))
}

/// What the ids of a list begin with.
fn prefix(list: &str) -> &'static str {
    if list == "_design_docs" { "_design/" } else { "" }
}

fn check(arguments: &ViewArguments, db: &Db) -> Result<(), HttpError> {
    if arguments.partition.is_some() && !db.0.map().is_partitioned() {
        return Err(HttpError::query_parse("`partition` parameter is not supported on this db"));
    }
    Ok(())
}

/// Writes a list, without a newline at its end.
fn write_list(db: &Db, prefix: &str, arguments: &ViewArguments, out: &mut Out) -> Result<(), Failure> {
    let total = match (prefix, &arguments.partition) {
        ("", _) => db.0.info()?.documents,
        (prefix, _) => count(db, &Walk::prefix(prefix))?,
    };
    match &arguments.keys {
        Some(keys) => write_keys(db, prefix, keys, arguments, total, out),
        None => write_range(db, prefix, arguments, total, out),
    }
}

fn write_range(
    db: &Db,
    prefix: &str,
    arguments: &ViewArguments,
    total: u64,
    out: &mut Out,
) -> Result<(), Failure> {
    let partition = arguments.partition.as_ref().map(|partition| format!("{partition}:"));
    let within = partition.as_deref().unwrap_or(prefix);
    let range = arguments.range(within);
    let before = offset(db, range.as_ref(), arguments.descending, total)?;
    write!(out, "{{\"total_rows\":{total},\"offset\":{}", total.min(before.saturating_add(arguments.skip)))?;
    if arguments.update_seq {
        write!(out, ",\"update_seq\":\"{}\"", db.0.info()?.update_seq)?;
    }
    out.write_all(b",\"rows\":[\r\n")?;
    let mut page = Page::of(arguments, b",\r\n");
    if let Some(walk) = range {
        db.0.documents(&walk, |doc| -> Result<Flow, Failure> {
            out.check()?;
            if doc.is_deleted() {
                return Ok(Flow::On);
            }
            match page.next(out)? {
                Row::Shown => write_row(db, doc, arguments, out)?,
                Row::Skipped => {}
                Row::Beyond => return Ok(Flow::Stop),
            }
            Ok(Flow::On)
        })?;
    }
    out.write_all(b"\r\n]}")?;
    Ok(())
}

fn write_keys(
    db: &Db,
    prefix: &str,
    keys: &[Value],
    arguments: &ViewArguments,
    total: u64,
    out: &mut Out,
) -> Result<(), Failure> {
    write!(out, "{{\"total_rows\":{total},\"offset\":null")?;
    if arguments.update_seq {
        out.write_all(b",\"update_seq\":null")?;
    }
    out.write_all(b",\"rows\":[\r\n")?;
    let ordered: Box<dyn Iterator<Item = &Value>> =
        if arguments.descending { Box::new(keys.iter().rev()) } else { Box::new(keys.iter()) };
    let skip = usize::try_from(arguments.skip).unwrap_or(usize::MAX);
    let limit = arguments.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let wanted = |key: &&Value| prefix.is_empty() || key.as_str().is_some_and(|id| id.starts_with(prefix));
    for (i, key) in ordered.skip(skip).take(limit).filter(wanted).enumerate() {
        out.check()?;
        if i > 0 {
            out.write_all(b",\r\n")?;
        }
        let doc = match key.as_str() {
            Some(id) => db.0.document(id)?,
            None => None,
        };
        match doc {
            Some(doc) => write_row(db, &doc, arguments, out)?,
            None => write!(out, "{}", json!({"key": key, "error": "not_found"}))?,
        }
    }
    out.write_all(b"\r\n]}")?;
    Ok(())
}

fn write_row(db: &Db, doc: &Document<'_>, arguments: &ViewArguments, out: &mut Out) -> Result<(), Failure> {
    let winner = doc.winner().map_err(|e| db.failed(doc.id(), e))?;
    out.write_all(b"{\"id\":")?;
    string(out, doc.id())?;
    out.write_all(b",\"key\":")?;
    string(out, doc.id())?;
    out.write_all(b",\"value\":{\"rev\":")?;
    string(out, &winner.to_string())?;
    if doc.is_deleted() {
        out.write_all(b",\"deleted\":true")?;
    }
    out.write_all(b"}")?;
    if arguments.include_docs {
        out.write_all(b",\"doc\":")?;
        if doc.is_deleted() {
            out.write_all(b"null")?;
        } else {
            let shown = Shown {
                conflicts: arguments.conflicts,
                attachments: arguments.attachments,
                encoding_info: arguments.att_encoding_info,
                ..Shown::default()
            };
            DocumentText::read(db, doc, winner, shown, None)?.write(out)?;
        }
    }
    out.write_all(b"}")?;
    Ok(())
}

/// How many documents come before a walk. CouchDB counts all, also before lists that hold few.
fn offset(db: &Db, walk: Option<&Walk>, descending: bool, total: u64) -> Result<u64, Failure> {
    // Where the keys leave nothing, it is that of where it began to look: before the first or behind the last.
    let Some(walk) = walk else { return Ok(if descending { total } else { 0 }) };
    let Some(start) = &walk.start else { return Ok(0) };
    if descending {
        let mut after = start.clone();
        // The first text that is larger.
        after.push(0);
        return Ok(db.0.info()?.documents.saturating_sub(db.0.documents_before(&after)?));
    }
    Ok(db.0.documents_before(start)?)
}

/// Documents on a walk that are not deleted.
fn count(db: &Db, walk: &Walk) -> Result<u64, Failure> {
    let mut count = 0;
    db.0.documents(walk, |doc| -> Result<Flow, Failure> {
        count += u64::from(!doc.is_deleted());
        Ok(Flow::On)
    })?;
    Ok(count)
}

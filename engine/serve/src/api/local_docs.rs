//! `_local_docs`: those of the archive together with those that clients left.
//!
//! Source: `couch_mrview.erl` (`map_fold/3` of `_local/`).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::Write;

use couchfile::json::Json;
use serde_json::{Value, json};
use snapshot::{Flow, SnapshotDatabase};

use super::context::{Context, Db};
use super::page::{Page, Row};
use super::queries;
use super::view_arguments::ViewArguments;
use crate::http::{Done, Failure, Head, HttpError, Method, Out, Reply};

/// `GET` and `POST /{db}/_local_docs`
pub(super) fn list(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    if !matches!(context.call.method, Method::Get | Method::Post) {
        return Err(HttpError::only("GET,HEAD,POST").into());
    }
    let arguments = ViewArguments::of(context.call)?;
    let mut out = reply.stream(Head::json(200));
    write_list(context, db, &arguments, &mut out)?;
    out.write_all(b"\n")?;
    out.finish()
}

/// `POST /{db}/_local_docs/queries`
pub(super) fn queries(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    let queries = queries::read(context.call)?;
    queries::answer(&queries, reply, |arguments, out| write_list(context, db, arguments, out))
}

fn write_list(
    context: Context<'_>,
    db: &Db,
    arguments: &ViewArguments,
    out: &mut Out,
) -> Result<(), Failure> {
    out.write_all(b"{\"total_rows\":null,\"offset\":null,\"rows\":[\r\n")?;
    let mut rows = Rows { arguments, out, page: Page::of(arguments, b",\r\n") };
    match &arguments.keys {
        Some(keys) => {
            let wanted = |key: &&Value| key.as_str().is_some_and(|id| id.starts_with("_local/"));
            for key in keys.iter().filter(wanted) {
                let id = key.as_str().unwrap_or_default();
                match context.archive.locals.get(&db.0, id)? {
                    Some(doc) => rows.write(id, &doc)?,
                    None => rows.missing(key)?,
                };
            }
        }
        None => walk(context, db, arguments, &mut rows)?,
    }
    out.write_all(b"\r\n]}")?;
    Ok(())
}

/// Goes through both kinds in the order of their ids.
fn walk(
    context: Context<'_>,
    db: &Db,
    arguments: &ViewArguments,
    rows: &mut Rows<'_>,
) -> Result<(), Failure> {
    let Some(range) = arguments.range("") else { return Ok(()) };
    let order = |a: &str, b: &str| {
        let order = a.as_bytes().cmp(b.as_bytes());
        if range.descending { order.reverse() } else { order }
    };
    let mut left: BTreeMap<String, Option<Json>> = context.archive.locals.left_in(db.name());
    left.retain(|id, _| {
        let after_start =
            range.start.as_deref().is_none_or(|start| order(id, &text(start)) != Ordering::Less);
        let before_end = range.end.as_deref().is_none_or(|end| match order(id, &text(end)) {
            Ordering::Less => true,
            Ordering::Equal => !range.exclusive_end,
            Ordering::Greater => false,
        });
        after_start && before_end
    });
    let mut next = move |before: Option<&str>| {
        let first = if range.descending { left.last_key_value() } else { left.first_key_value() };
        let id = first.map(|(id, _)| id.clone())?;
        if before.is_some_and(|before| order(&id, before) == Ordering::Greater) {
            return None;
        }
        left.remove(&id).map(|doc| (id, doc))
    };
    db.0.locals(&range, |id, doc| -> Result<Flow, Failure> {
        let mut replaced = false;
        while let Some((left_id, left)) = next(Some(id)) {
            replaced |= left_id == id;
            if let Some(left) = left
                && rows.write(&left_id, &left)? == Flow::Stop
            {
                return Ok(Flow::Stop);
            }
        }
        let shown = arguments.include_system || !SnapshotDatabase::is_internal_local(id);
        if replaced || !shown { Ok(Flow::On) } else { rows.write(id, &doc) }
    })?;
    while let Some((id, left)) = next(None) {
        if let Some(left) = left {
            rows.write(&id, &left)?;
        }
    }
    Ok(())
}

fn text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}

/// Rows that are written.
struct Rows<'r> {
    arguments: &'r ViewArguments,
    out: &'r mut Out,
    page: Page,
}

impl Rows<'_> {
    fn write(&mut self, id: &str, doc: &Json) -> Result<Flow, Failure> {
        match self.next()? {
            Row::Shown => {}
            Row::Skipped => return Ok(Flow::On),
            Row::Beyond => return Ok(Flow::Stop),
        }
        let rev = doc.get("_rev").and_then(Json::as_str);
        write!(self.out, "{{\"id\":{0},\"key\":{0},\"value\":{1}", json!(id), json!({"rev": rev}))?;
        if self.arguments.include_docs {
            self.out.write_all(b",\"doc\":")?;
            self.out.write_all(&doc.to_vec())?;
        }
        self.out.write_all(b"}")?;
        Ok(Flow::On)
    }

    fn missing(&mut self, key: &Value) -> Result<Flow, Failure> {
        if self.next()? == Row::Shown {
            write!(self.out, "{}", json!({"key": key, "error": "not_found"}))?;
        }
        Ok(Flow::On)
    }

    fn next(&mut self) -> Result<Row, Failure> {
        self.out.check()?;
        self.page.next(self.out)
    }
}

//! `_bulk_get`: many documents at once, as replicators fetch them.
//!
//! Source: `chttpd_db.erl` (`/db/_bulk_get stuff`).

use std::io::Write;

use serde_json::{Value, json};

use super::context::{Context, Db};
use super::document_query::DocumentQuery;
use super::document_text::DocumentText;
use super::multipart::{Multipart, boundary};
use super::revision::{self, Rev};
use crate::http::{Done, Failure, Head, HttpError, Out, Reply, accepts};

/// The head of a part that reports an error.
const ERROR: &str = "Content-Type: application/json; error=\"true\"";

/// A document that was requested.
struct Asked {
    id: Value,
    /// All leaves, or this revision.
    rev: Option<Rev>,
    atts_since: Option<Vec<Rev>>,
}

/// Why a requested document cannot be sent.
struct Refused {
    id: Value,
    rev: Value,
    error: &'static str,
    reason: String,
}

/// `POST /{db}/_bulk_get`
pub(super) fn bulk_get(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    let call = context.call;
    call.only_post()?;
    let body = call.json_object()?;
    let docs = match body.get("docs") {
        None => return Err(HttpError::bad_request("Missing JSON list of 'docs'.").into()),
        Some(Value::Array(docs)) => docs,
        Some(_) => return Err(HttpError::bad_request("`docs` parameter must be an array.").into()),
    };
    let query = DocumentQuery::of_bulk_get(call)?;
    let takes_parts = accepts(call, "multipart/mixed") || accepts(call, "multipart/related");
    if takes_parts && !accepts(call, "application/json") {
        return in_parts(context, db, docs, &query, reply);
    }
    let mut out = reply.stream(Head::json(200));
    out.write_all(b"{\"results\":[")?;
    for (i, doc) in docs.iter().enumerate() {
        out.check()?;
        write!(out, "{}{{\"docs\":[", if i > 0 { "," } else { "" })?;
        let id = match read(doc) {
            Ok(asked) => {
                write_docs(db, &asked, &query, &mut out)?;
                asked.id
            }
            Err(refused) => {
                write!(out, "{}", json!({"error": refused.to_json()}))?;
                refused.id
            }
        };
        write!(out, "],\"id\":{id}}}")?;
    }
    out.write_all(b"]}\n")?;
    out.finish()
}

fn write_docs(db: &Db, asked: &Asked, query: &DocumentQuery, out: &mut Out) -> Result<(), Failure> {
    let id = asked.id.as_str().unwrap_or_default();
    let mut separator = "";
    each(db, asked, query, |result| {
        out.write_all(std::mem::replace(&mut separator, ",").as_bytes())?;
        match result {
            Ok(text) => {
                out.write_all(b"{\"ok\":")?;
                text.write(out)?;
                out.write_all(b"}")?;
            }
            Err(rev) => write!(out, "{}", json!({"error": missing(id, &rev)}))?,
        }
        Ok(())
    })
}

fn in_parts(
    context: Context<'_>,
    db: &Db,
    docs: &[Value],
    query: &DocumentQuery,
    reply: Reply,
) -> Result<Done, Failure> {
    let kind = if accepts(context.call, "multipart/mixed") { "multipart/mixed" } else { "multipart/related" };
    let outer = format!("--{}", boundary()?);
    let head = Head::plain(200).with("content-type", format!("{kind}; boundary=\"{outer}\""));
    let mut out = reply.stream(head);
    for doc in docs {
        out.check()?;
        let asked = match read(doc) {
            Ok(asked) => asked,
            Err(refused) => {
                write!(out, "\r\n--{outer}\r\n{ERROR}\r\n\r\n{}", refused.to_json())?;
                continue;
            }
        };
        let id = asked.id.as_str().unwrap_or_default();
        let inner = format!("--{}", boundary()?);
        each(db, &asked, query, |result| {
            write!(out, "\r\n--{outer}")?;
            match result {
                Ok(text) => {
                    let text = text.with_attachments_following();
                    let multipart = Multipart::new(&text, &inner)?;
                    if multipart.has_parts() {
                        let rev = text.rev();
                        write!(out, "\r\nX-Doc-Id: ")?;
                        // An id may hold anything: in a header it must not end the line.
                        out.write_all(id.replace(['\r', '\n'], " ").as_bytes())?;
                        write!(
                            out,
                            "\r\nX-Rev-Id: {rev}\r\nContent-Type: multipart/related; boundary={inner}\r\n\r\n"
                        )?;
                    } else {
                        write!(out, "\r\nContent-Type: application/json\r\n\r\n")?;
                    }
                    multipart.write(&mut out)
                }
                Err(rev) => {
                    let told = match &asked.rev {
                        Some(_) => json!({"rev": rev, "error": "not_found", "reason": "missing"}),
                        None => missing(id, &rev),
                    };
                    write!(out, "\r\n{ERROR}\r\n\r\n{told}")?;
                    Ok(())
                }
            }
        })?;
    }
    if !docs.is_empty() {
        write!(out, "\r\n--{outer}--\r\n")?;
    }
    out.finish()
}

/// Calls `give` with every revision that was requested, or with the name of a missing revision.
fn each(
    db: &Db,
    asked: &Asked,
    query: &DocumentQuery,
    mut give: impl FnMut(Result<DocumentText<'_>, String>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let id = asked.id.as_str().unwrap_or_default();
    let Some(doc) = db.0.document(id)? else {
        return give(Err(asked.rev.as_ref().map_or_else(|| "undefined".to_owned(), ToString::to_string)));
    };
    let tree = doc.revisions().map_err(|e| db.failed(id, e))?;
    let wanted = asked.rev.as_ref().map(std::slice::from_ref);
    let opened = revision::open(&tree, wanted, query.latest);
    let shown = query.shown.without_meta();
    for found in opened.found {
        give(Ok(DocumentText::read(db, &doc, found, shown, asked.atts_since.as_deref())?))?;
    }
    opened.missing.into_iter().try_for_each(|rev| give(Err(rev.to_string())))
}

/// Reads which document is requested.
fn read(doc: &Value) -> Result<Asked, Box<Refused>> {
    let refused = |id: &Value, rev: &Value, error: &'static str, reason: &str| {
        let (id, rev, reason) = (id.clone(), rev.clone(), reason.to_owned());
        Box::new(Refused { id, rev, error, reason })
    };
    let null = Value::Null;
    let members = match doc {
        Value::Object(members) if !members.is_empty() => members,
        _ => return Err(refused(&null, &null, "bad_request", "document must be a JSON object")),
    };
    let id = members.get("id").ok_or_else(|| refused(&null, &null, "bad_request", "document id missed"))?;
    if let Err(reason) = check_id(id) {
        return Err(refused(id, &null, "illegal_docid", reason));
    }
    let read_rev =
        |rev: &Value| Rev::from_json(rev).map_err(|error| refused(id, rev, "bad_request", &error.reason));
    let rev = members.get("rev").map(read_rev).transpose()?;
    let atts_since = match members.get("atts_since") {
        None => None,
        Some(Value::Array(revs)) if revs.is_empty() => None,
        Some(Value::Array(revs)) => Some(revs.iter().map(read_rev).collect::<Result<_, _>>()?),
        Some(other) => {
            return Err(refused(id, other, "bad_request", "att_since value must be array of revs."));
        }
    };
    Ok(Asked { id: id.clone(), rev, atts_since })
}

/// Whether a document can have that id.
fn check_id(id: &Value) -> Result<(), &'static str> {
    let reserved =
        |id: &str| id.starts_with('_') && !id.starts_with("_design/") && !id.starts_with("_local/");
    match id.as_str() {
        None => Err("Document id must be a string"),
        Some("") => Err("Document id must not be empty"),
        Some("_design/") => Err("Illegal document id `_design/`"),
        Some("_local/") => Err("Illegal document id `_local/`"),
        Some(id) if reserved(id) => Err("Only reserved document ids may start with underscore."),
        Some(_) => Ok(()),
    }
}

fn missing(id: &str, rev: &str) -> Value {
    json!({"error": "not_found", "id": id, "reason": "missing", "rev": rev})
}

impl Refused {
    fn to_json(&self) -> Value {
        json!({"error": self.error, "id": self.id, "reason": self.reason, "rev": self.rev})
    }
}

//! `/{db}/{id}`: documents.
//!
//! Source: `chttpd_db.erl` (`db_doc_req/3`).

use std::io::Write;

use serde_json::json;
use snapshot::Document;

use super::context::{Context, Db};
use super::document_query::{DocumentQuery, OpenRevs};
use super::document_text::DocumentText;
use super::multipart::{Multipart, boundary};
use super::revision;
use crate::http::{Done, Failure, Head, HttpError, Method, Reply, accepts, etag_matches, opaque_etag};

/// Answers a request for a document.
pub(super) fn document(context: Context<'_>, db: &Db, id: &str, reply: Reply) -> Result<Done, Failure> {
    if context.call.method != Method::Get {
        return Err(HttpError::read_only("GET,HEAD").into());
    }
    let query = DocumentQuery::of(context.call)?;
    match &query.open_revs {
        None => one(context, db, id, &query, reply),
        Some(OpenRevs::All) => match db.0.document(id)? {
            Some(doc) => several(context, db, Some(&doc), None, &query, reply),
            None => Err(HttpError::not_found("missing").into()),
        },
        Some(OpenRevs::These(revs)) => {
            let doc = db.0.document(id)?;
            several(context, db, doc.as_ref(), Some(revs), &query, reply)
        }
    }
}

/// Functions of design documents, which it takes a CouchDB for.
pub(super) fn function(_: Context<'_>, db: &Db, id: &str, name: &str) -> Result<Done, Failure> {
    match db.0.document(id)? {
        Some(doc) if !doc.is_deleted() => {
            Err(HttpError::not_served(&format!("{name} of a design document")).into())
        }
        Some(_) => Err(HttpError::not_found("deleted").into()),
        None => Err(HttpError::not_found("missing").into()),
    }
}

/// `/{db}/_local/{id}`
pub(super) fn local(context: Context<'_>, db: &Db, id: &str, reply: Reply) -> Result<Done, Failure> {
    if id == "_local/" {
        return Err(HttpError::bad_request("Invalid _local document id.").into());
    }
    let locals = &context.archive.locals;
    match context.call.method {
        Method::Get => {
            let doc = locals.get(&db.0, id)?.ok_or_else(|| HttpError::not_found("missing"))?;
            let etag = opaque_etag(&[&doc.to_string()]);
            if etag_matches(context.call, &etag) {
                return reply.not_modified(&etag);
            }
            reply.exact_json(Head::json(200).with("etag", etag), &doc)
        }
        Method::Put => {
            let rev = locals.put(&db.0, id, context.call)?;
            let head = Head::json(201).with("etag", format!("\"{rev}\""));
            reply.json_with(head, &json!({"ok": true, "id": id, "rev": rev}))
        }
        Method::Delete => {
            let rev = locals.delete(&db.0, id)?;
            reply.json(&json!({"ok": true, "id": id, "rev": rev}))
        }
        Method::Post | Method::Other => Err(HttpError::only("DELETE,GET,HEAD,PUT").into()),
    }
}

/// One revision.
fn one(
    context: Context<'_>,
    db: &Db,
    id: &str,
    query: &DocumentQuery,
    reply: Reply,
) -> Result<Done, Failure> {
    let doc = db.0.document(id)?.ok_or_else(|| HttpError::not_found("missing"))?;
    let failed = |e| db.failed(id, e);
    let tree = doc.revisions().map_err(failed)?;
    let mut shown = query.shown;
    let revision = match &query.rev {
        // With `latest` it is the winner, whatever revision was named.
        Some(rev) if !query.latest => {
            shown = shown.without_meta();
            let opened = revision::open(&tree, Some(std::slice::from_ref(rev)), false);
            opened.found.first().copied().ok_or_else(|| HttpError::not_found("missing"))?
        }
        _ if doc.is_deleted() && !query.deleted => return Err(HttpError::not_found("deleted").into()),
        _ => doc.winner().map_err(failed)?,
    };
    let text = DocumentText::read(db, &doc, revision, shown, query.atts_since.as_deref())?;
    let etag = (!shown.has_meta() || !has_meta(&doc, query, db)?).then(|| format!("\"{}\"", text.rev()));
    if let Some(etag) = &etag
        && etag_matches(context.call, etag)
    {
        return reply.not_modified(etag);
    }
    let with_etag = |head: Head| match etag {
        Some(etag) => head.with("etag", etag),
        None => head,
    };
    let wants_attachments = query.shown.attachments || query.atts_since.is_some();
    if wants_attachments && text.has_attachments() && accepts(context.call, "multipart/related") {
        let text = text.with_attachments_following();
        let boundary = boundary()?;
        let multipart = Multipart::new(&text, &boundary)?;
        let mut head = with_etag(Head::plain(200).with("content-type", multipart.content_type()));
        head.length = Some(multipart.len());
        let mut out = reply.stream(head);
        multipart.write(&mut out)?;
        return out.finish();
    }
    let mut out = reply.stream(with_etag(Head::json(200)));
    text.write(&mut out)?;
    out.write_all(b"\n")?;
    out.finish()
}

/// Whether any of the requested facts about the winner are to be shown.
fn has_meta(doc: &Document<'_>, query: &DocumentQuery, db: &Db) -> Result<bool, Failure> {
    let conflicts = |deleted| -> Result<bool, Failure> {
        Ok(!doc.conflicts(deleted).map_err(|e| db.failed(doc.id(), e))?.is_empty())
    };
    let shown = query.shown;
    Ok(shown.revs_info
        || shown.local_seq
        || (shown.conflicts && conflicts(false)?)
        || (shown.deleted_conflicts && conflicts(true)?))
}

/// Several revisions, those that are missing too.
fn several(
    context: Context<'_>,
    db: &Db,
    doc: Option<&Document<'_>>,
    revs: Option<&[revision::Rev]>,
    query: &DocumentQuery,
    reply: Reply,
) -> Result<Done, Failure> {
    let tree = doc.map(|doc| doc.revisions().map_err(|e| db.failed(doc.id(), e))).transpose()?;
    let opened = match &tree {
        Some(tree) => revision::open(tree, revs, query.latest),
        None => revision::Opened { found: Vec::new(), missing: revs.unwrap_or_default().to_vec() },
    };
    let shown = query.shown.without_meta();
    let since = query.atts_since.as_deref();
    let texts = doc.into_iter().flat_map(|doc| {
        opened.found.iter().map(move |found| DocumentText::read(db, doc, *found, shown, since))
    });
    if accepts(context.call, "multipart/mixed") {
        let (outer, inner) = (boundary()?, boundary()?);
        let content_type = format!("multipart/mixed; boundary=\"{outer}\"");
        let mut out = reply.stream(Head::plain(200).with("content-type", content_type));
        write!(out, "--{outer}")?;
        for text in texts {
            let text = text?.with_attachments_following();
            let multipart = Multipart::new(&text, &inner)?;
            write!(out, "\r\nContent-Type: {}\r\n\r\n", multipart.content_type())?;
            multipart.write(&mut out)?;
            write!(out, "\r\n--{outer}")?;
        }
        for rev in &opened.missing {
            let json = json!({"missing": rev.to_string()});
            write!(out, "\r\nContent-Type: application/json; error=\"true\"\r\n\r\n{json}\r\n--{outer}")?;
        }
        out.write_all(b"--")?;
        return out.finish();
    }
    let mut out = reply.stream(Head::json(200));
    let mut separator = "[";
    for text in texts {
        write!(out, "{}{{\"ok\":", std::mem::replace(&mut separator, ","))?;
        text?.write(&mut out)?;
        out.write_all(b"}")?;
    }
    for rev in &opened.missing {
        let json = json!({"missing": rev.to_string()});
        write!(out, "{}{json}", std::mem::replace(&mut separator, ","))?;
    }
    out.write_all(if separator == "[" { b"[]\n" } else { b"]\n" })?;
    out.finish()
}

//! `_changes`. An archive never changes, so feeds that wait for something to happen wait in vain.
//!
//! Sources: `chttpd_db.erl` (`handle_changes_req/2`), `fabric_view_changes.erl`, `fabric_rpc.erl` (`changes_enumerator/2`).

mod arguments;
mod filter;
mod format;

use std::io::Write;

use snapshot::{Document, Flow, Since};

use self::arguments::{ChangesArguments, Feed, Style};
use self::filter::Filter;
use self::format::Writer;
use super::context::{Context, Db};
use super::document_query::Shown;
use super::document_text::{DocumentText, value_of};
use crate::http::{Done, Failure, Head, HttpError, Idle, Method, Reply, etag_matches, opaque_etag};

/// `GET` and `POST /{db}/_changes`
pub(super) fn changes(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    let call = context.call;
    match call.method {
        Method::Get => {}
        Method::Post => {
            call.check_json_type()?;
            if !call.body.is_empty() {
                call.json_object()?;
            }
        }
        _ => return Err(HttpError::only("GET,POST,HEAD").into()),
    }
    let arguments = ChangesArguments::of(call)?;
    let filter = Filter::of(call, &arguments, db)?;
    let end = db.0.info()?.update_seq;
    let since = match arguments.since.as_str() {
        "now" => end.clone(),
        text => text
            .trim_matches('"')
            .parse()
            .map_err(|_| HttpError::bad_request("Malformed sequence supplied in 'since' parameter."))?,
    };
    let etag = opaque_etag(&[context.archive.snapshot.identity(), db.name(), "_changes"]);
    let head = match arguments.feed {
        Feed::Normal if etag_matches(call, &etag) => return reply.not_modified(&etag),
        Feed::Normal => Head::json(200).with("etag", etag),
        Feed::EventSource => {
            let head = Head::plain(200).with("content-type", "text/event-stream");
            head.with("cache-control", "no-cache")
        }
        // What waits must not wait for a compressor, too.
        Feed::Longpoll | Feed::Continuous => Head { compressible: false, ..Head::json(200) },
    };
    let mut writer = Writer::new(arguments.feed, reply.stream(head));
    writer.start()?;
    let mut left = arguments.limit;
    let mut reached = Reached { since: since.clone(), stopped: left == 0 };
    if left > 0 {
        db.0.changes(&since, arguments.descending, |doc, at| -> Result<Flow, Failure> {
            writer.check()?;
            let Some(revs) = filter.pass(db, doc, &arguments)? else {
                reached.since.clone_from(at);
                return Ok(Flow::On);
            };
            if left == 0 {
                reached.stopped = true;
                return Ok(Flow::Stop);
            }
            left -= 1;
            reached.since.clone_from(at);
            let seq = arguments.shows_seq(left).then(|| at.to_string());
            let doc_of_row = |out: &mut dyn Write| write_doc(db, doc, &arguments, &filter, out);
            writer.row(seq.as_deref(), doc, &revs, arguments.include_docs.then_some(doc_of_row))?;
            Ok(Flow::On)
        })?;
    }
    let last = match (reached.stopped, arguments.descending) {
        (false, false) => end,
        _ => reached.since,
    };
    let pending = if reached.stopped { db.0.changes_after(&last)? } else { 0 };
    let waits = match arguments.feed {
        Feed::Normal => false,
        _ if arguments.descending => false,
        Feed::Longpoll => left == arguments.limit,
        Feed::Continuous | Feed::EventSource => left > 0,
    };
    if !waits {
        writer.end(&last, pending)?;
        return writer.finish();
    }
    let (heartbeat, timeout) = arguments.waiting();
    let idle = Idle {
        heartbeat: heartbeat.map(|every| (every, writer.heartbeat())),
        timeout,
        last: writer.last(&last, pending),
    };
    writer.idle(idle)
}

/// How far the changes were read.
struct Reached {
    since: Since,
    /// Before their end.
    stopped: bool,
}

/// Writes the document of a row.
fn write_doc(
    db: &Db,
    doc: &Document<'_>,
    arguments: &ChangesArguments,
    filter: &Filter,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let failed = |e| db.failed(doc.id(), e);
    let revision = doc.winner().map_err(failed)?;
    let shown = Shown {
        conflicts: arguments.conflicts,
        attachments: arguments.attachments,
        encoding_info: arguments.encoding_info,
        ..Shown::default()
    };
    let text = DocumentText::read(db, doc, revision, shown, None)?;
    match filter.fields() {
        None => text.write(out),
        Some(fields) => {
            let text = text.to_vec()?;
            match fields.extract(&value_of(db, doc, &text)?) {
                Some(part) => out.write_all(&part.to_vec())?,
                None => out.write_all(&text)?,
            }
            Ok(())
        }
    }
}

impl Style {
    /// The leaves that a row lists.
    fn leaves<'d>(
        self,
        db: &Db,
        doc: &'d Document<'_>,
    ) -> Result<Vec<couchfile::revtree::Revision<'d>>, Failure> {
        let mut leaves = doc.leaves().map_err(|e| db.failed(doc.id(), e))?;
        if self == Self::MainOnly {
            leaves.truncate(1);
        }
        Ok(leaves)
    }
}

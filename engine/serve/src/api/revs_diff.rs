//! `_revs_diff` and `_missing_revs`: which revisions are not here.
//!
//! Sources: `chttpd_db.erl`, `couch_db.erl` (`get_missing_revs/2`, `possible_ancestors/2`).

use std::io::Write;

use serde_json::{Value, json};

use super::context::{Context, Db};
use super::document_text::string;
use super::revision::{Rev, unknown};
use crate::http::{Done, Failure, Head, Out, Reply};

/// What is missing of a document.
struct Missing {
    revs: Vec<String>,
    possible_ancestors: Vec<String>,
}

/// `POST /{db}/_revs_diff`
pub(super) fn revs_diff(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    let asked = read(context)?;
    let mut out = reply.stream(Head::json(200));
    write_missing(db, &asked, &mut out, |missing| {
        let mut shown = json!({"missing": missing.revs});
        if !missing.possible_ancestors.is_empty() {
            shown["possible_ancestors"] = json!(missing.possible_ancestors);
        }
        shown
    })?;
    out.write_all(b"\n")?;
    out.finish()
}

/// `POST /{db}/_missing_revs`
pub(super) fn missing_revs(context: Context<'_>, db: &Db, reply: Reply) -> Result<Done, Failure> {
    let asked = read(context)?;
    let mut out = reply.stream(Head::json(200));
    out.write_all(b"{\"missing_revs\":")?;
    write_missing(db, &asked, &mut out, |missing| json!(missing.revs))?;
    out.write_all(b"}\n")?;
    out.finish()
}

/// Writes an object with the documents of which revisions are missing, each with what `shown` makes of these.
fn write_missing(
    db: &Db,
    asked: &[(String, Vec<Rev>)],
    out: &mut Out,
    shown: impl Fn(&Missing) -> Value,
) -> Result<(), Failure> {
    let mut separator = "{";
    for (id, revs) in asked {
        let missing = missing(db, id, revs)?;
        if missing.revs.is_empty() {
            continue;
        }
        out.write_all(std::mem::replace(&mut separator, ",").as_bytes())?;
        string(out, id)?;
        write!(out, ":{}", shown(&missing))?;
    }
    out.write_all(if separator == "{" { b"{}" } else { b"}" })?;
    Ok(())
}

fn read(context: Context<'_>) -> Result<Vec<(String, Vec<Rev>)>, Failure> {
    context.call.only_post()?;
    let one = |(id, revs): (String, Value)| Ok((id, Rev::parse_list(&revs)?));
    context.call.json_object()?.into_iter().map(one).collect()
}

fn missing(db: &Db, id: &str, revs: &[Rev]) -> Result<Missing, Failure> {
    let Some(doc) = db.0.document(id)? else {
        let revs = revs.iter().map(ToString::to_string).collect();
        return Ok(Missing { revs, possible_ancestors: Vec::new() });
    };
    let failed = |e| db.failed(id, e);
    let unknown = unknown(&doc.revisions().map_err(failed)?, revs);
    // A leaf may be an ancestor of any revision that is younger.
    let youngest = unknown.last().map_or(0, |rev| rev.generation);
    let leaves = doc.leaves().map_err(failed)?;
    let possible = leaves.iter().filter(|leaf| leaf.generation < youngest).map(ToString::to_string).collect();
    Ok(Missing { revs: unknown.iter().map(ToString::to_string).collect(), possible_ancestors: possible })
}

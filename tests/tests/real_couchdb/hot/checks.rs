//! Whether a restored state lies between what was acknowledged before its backup began and what was sent by its end.

use couchcopy_tests::Result;
use couchcopy_tests::lab::Http;
use serde_json::{Map, Value, json};

use super::state::{Moment, Stage};
use super::writers::{CHURN, DOCUMENTS, LOG, PHOENIX, database, is_deletion, text};

/// Checks everything, and leaves only what changed in `content`.
pub(super) fn check(
    content: &mut Value,
    bystanders: &[String],
    before: &Moment,
    after: &Moment,
) -> Result<()> {
    let databases = content.as_object_mut().ok_or("no content")?;
    for name in bystanders {
        let found = databases.shift_remove(name).ok_or_else(|| format!("{name} is not there"))?;
        let expected = if name.starts_with("empty") { 0 } else { 4 };
        if found["doc_count"] != json!(expected) {
            return Err(format!("{name}: {} documents", found["doc_count"]).into());
        }
    }
    check_log(documents(databases, LOG)?, before.log, after.log)?;
    check_churn(documents(databases, CHURN)?, before, after)?;
    check_phoenix(databases, before.phoenix, after.phoenix)?;
    check_databases(databases, before, after)?;
    let created = (0..after.databases.len()).map(database);
    let known: Vec<String> = created.chain([LOG, CHURN, PHOENIX].map(str::to_owned)).collect();
    match databases.keys().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(unknown) => Err(format!("{unknown} was not there when the backup ended").into()),
    }
}

fn documents<'v>(databases: &'v Map<String, Value>, name: &str) -> Result<&'v Map<String, Value>> {
    let database = databases.get(name).ok_or_else(|| format!("{name} is not there"))?;
    Ok(database["docs"].as_object().ok_or("no documents")?)
}

/// The only leaf of a document.
fn leaf<'v>(id: &str, leaves: &'v Value) -> Result<&'v Value> {
    match leaves.as_array().map(Vec::as_slice) {
        Some([leaf]) => Ok(leaf),
        _ => Err(format!("{id}: one revision was expected, not {leaves}").into()),
    }
}

/// The log is a prefix of what was written to it.
fn check_log(docs: &Map<String, Value>, least: u64, most: u64) -> Result<()> {
    let count = docs.len() as u64;
    if count < least || count > most {
        return Err(format!("{LOG}: {count} documents, but there were {least} to {most}").into());
    }
    for (n, (id, leaves)) in docs.iter().enumerate() {
        let leaf = leaf(id, leaves)?;
        let whole = leaf["n"] == json!(n) && leaf["text"] == json!(text(n as u64));
        if *id != format!("{n:08}") || !whole {
            return Err(format!("{LOG}: {id} stands where {n} belongs: {leaves}").into());
        }
    }
    Ok(())
}

/// Each document is at a version that it had.
fn check_churn(docs: &Map<String, Value>, before: &Moment, after: &Moment) -> Result<()> {
    if docs.len() != before.churn.len() + 1 {
        return Err(format!("{CHURN}: {} documents", docs.len()).into());
    }
    for (i, (&least, &most)) in before.churn.iter().zip(&after.churn).enumerate() {
        let leaves = docs.get(&i.to_string()).ok_or_else(|| format!("{CHURN}: {i} is not there"))?;
        let leaf = leaf(&i.to_string(), leaves)?;
        let version = leaf["version"].as_u64().unwrap_or_default();
        let generation: Option<u64> =
            leaf["_rev"].as_str().and_then(|rev| rev.split_once('-')).and_then(|(n, _)| n.parse().ok());
        let deleted = leaf["_deleted"] == json!(true);
        let whole = generation == Some(version) && deleted == is_deletion(version);
        if version < least || version > most || !whole {
            return Err(format!("{CHURN}: {i} was at versions {least} to {most}, not {leaf}").into());
        }
    }
    Ok(())
}

/// The database that comes and goes is as it was at one of its lives, or between two of them.
fn check_phoenix(databases: &Map<String, Value>, least: u64, most: u64) -> Result<()> {
    let found = documents(databases, PHOENIX).ok().and_then(|docs| docs.get("times"));
    let Some(leaves) = found else {
        // Not there, or not filled yet.
        return if most > least { Ok(()) } else { Err(format!("{PHOENIX} is not there").into()) };
    };
    match leaf("times", leaves)?["n"].as_u64() {
        Some(times) if (least..=most).contains(&times) => Ok(()),
        other => Err(format!("{PHOENIX}: {other:?} instead of {least} to {most}").into()),
    }
}

/// What was deleted before is gone, what existed all the time is whole, what came or went may be either.
fn check_databases(databases: &Map<String, Value>, before: &Moment, after: &Moment) -> Result<()> {
    for (i, late) in after.databases.iter().enumerate() {
        let name = database(i);
        let early = before.databases.get(i);
        let found = documents(databases, &name).ok();
        let whole = found.is_some_and(|docs| docs.len() as u64 == DOCUMENTS);
        let right = match early {
            Some(Stage::Deleted) => found.is_none(),
            Some(Stage::Filled) if *late == Stage::Filled => whole,
            Some(Stage::Filled | Stage::Deleting) => found.is_none() || whole,
            Some(Stage::Creating) | None => true,
        };
        if !right {
            let docs = found.map(Map::len);
            return Err(
                format!("{name}: from {early:?} to {late:?}, restored with {docs:?} documents").into()
            );
        }
    }
    Ok(())
}

/// The view has a row for each document that exists, with its version.
pub(super) fn check_view(http: &Http, docs: &Value) -> Result<()> {
    let told = http.get(&format!("/{CHURN}/_design/versions/_view/versions?reduce=false"))?;
    let mut rows: Vec<(&str, u64)> = Vec::new();
    for row in told["rows"].as_array().ok_or("no rows")? {
        rows.push((row["id"].as_str().unwrap_or_default(), row["key"].as_u64().unwrap_or_default()));
    }
    let mut expected: Vec<(&str, u64)> = Vec::new();
    for (id, leaves) in docs.as_object().ok_or("no documents")? {
        let leaf = leaf(id, leaves)?;
        if !id.starts_with('_') && leaf["_deleted"] != json!(true) {
            expected.push((id, leaf["version"].as_u64().unwrap_or_default()));
        }
    }
    rows.sort_unstable();
    expected.sort_unstable();
    assert_eq!(rows, expected);
    Ok(())
}

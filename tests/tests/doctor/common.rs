//! Runs the command and reads what it found.

use std::collections::BTreeSet;

use couchcopy_tests::Result;
use couchcopy_tests::fixtures::Node;
use couchcopy_tests::lab::{Ended, couchcopy};
use serde_json::Value;

/// A finding: its identifier, and the database or else the node that it is about.
pub(super) type Found = BTreeSet<(String, String)>;

/// Runs `couchcopy doctor` on data directories.
pub(super) fn doctor(nodes: &[Node], more: &[&str]) -> Result<Ended> {
    let mut arguments = vec!["doctor".to_owned(), "--json".to_owned()];
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    arguments.extend(nodes.iter().map(|node| node.data.display().to_string()));
    Ok(couchcopy(&arguments)?.unwrapped())
}

/// What a command prints as JSON.
pub(super) fn told(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).map_err(|e| format!("{e}: {ended:?}").into())
}

/// What was found, with where it is.
pub(super) fn found(told: &Value) -> Found {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let all = told["findings"].as_array().into_iter().flatten();
    all.map(|finding| {
        let place = text(&finding["database"]).or_else(|| text(&finding["node"])).unwrap_or_default();
        (text(&finding["kind"]).unwrap_or_default(), place)
    })
    .collect()
}

/// Findings as they are expected.
pub(super) fn expected(list: &[(&str, &str)]) -> Found {
    list.iter().map(|(kind, place)| ((*kind).to_owned(), (*place).to_owned())).collect()
}

/// Fails unless exactly these things were found; every finding has to have a remedy and to be counted.
pub(super) fn check(ended: &Ended, wanted: &Found) -> Result<()> {
    let told = told(ended)?;
    let found = found(&told);
    let missed: Vec<_> = wanted.difference(&found).collect();
    let surplus: Vec<_> = found.difference(wanted).collect();
    if !missed.is_empty() || !surplus.is_empty() {
        return Err(format!("missed: {missed:?}; not planted: {surplus:?}; {told:#}").into());
    }
    let all = told["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let counted: u64 = told["counts"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
    if counted != all.len() as u64
        || all.iter().any(|finding| finding["remedy"].as_str().is_none_or(str::is_empty))
    {
        return Err(format!("{told:#}").into());
    }
    Ok(())
}

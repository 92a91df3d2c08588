//! What must be true of a cluster whose data was replaced.

use std::path::Path;
use std::time::Instant;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{check_indexes, check_log, check_login, wait_until_synchronised};
use couchcopy_tests::live::{Frozen, Site};
use serde_json::Value;

/// Replaces the data of a cluster, and fails unless every node then tells what is expected and CouchDB found nothing to
/// repair, to create or to build.
pub(super) fn restore_and_examine(
    site: &Site,
    archive: &Path,
    more: &[&str],
    expected: &Value,
) -> Result<()> {
    site.freeze()?;
    let told = site.restore(archive, more)?.success()?;
    println!("{told}");
    assert!(told.contains("All nodes agree"), "{told}");
    let begun = Instant::now();
    examine(site, expected)?;
    println!("examined in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn examine(site: &Site, expected: &Value) -> Result<()> {
    let frozen = site.frozen()?;
    site.check_content(expected)?;
    let joined: Vec<usize> = site.nodes.iter().map(|node| node.log().len()).collect();
    for node in &site.nodes {
        check_indexes(&node.http)?;
        check_login(&node.http)?;
    }
    wait_until_synchronised(&site.nodes)?;
    let (shards, views): (Vec<usize>, Vec<usize>) = frozen.iter().map(Frozen::counts).unzip();
    assert!(!shards.contains(&0) && views.iter().any(|&views| views > 0), "{shards:?} {views:?}");
    let mut found = Vec::new();
    for ((node, frozen), joined) in site.nodes.iter().zip(&frozen).zip(joined) {
        let log = node.log();
        let log = log.get(frozen.log_length..).ok_or("a log that has become shorter")?;
        let checks = [frozen.check_untouched(), check_log(log, joined - frozen.log_length)];
        found.extend(
            checks.into_iter().filter_map(Result::err).map(|wrong| format!("{}: {wrong}", node.name)),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    site.check_nothing_left()
}

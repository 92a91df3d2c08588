//! Plans and results of restores of running nodes, for people.

use std::fmt::Write as _;

use cluster::agreement::Agreement;
use restore::live::{LiveResult, NodeDescription, PlanDescription, SelectionDescription};
use restore::outside::LeftBehind;

use super::offline::{NEVER_REPLICATE, choice_text, restored_text};
use super::placed_text::{placement_text, shares_text};
use crate::text::sizes::{bytes, count, first_of};

/// Names of lost databases that are printed as text; `--json` lists all.
const GONE_SHOWN: usize = 10;
/// Paths of files that are printed as text; `--json` lists all.
const FILES_SHOWN: usize = 5;

/// What a restore will do.
pub(super) fn plan_text(plan: &PlanDescription) -> String {
    let mut text = format!(
        "{}{}: {}",
        plan.archive,
        plan.made.as_ref().map_or_else(String::new, |made| format!(" of {made}")),
        count(plan.databases, "database", "databases"),
    );
    if plan.left_out > 0 {
        let _ = write!(text, ", {} left out as damaged", plan.left_out);
    }
    text.push('\n');
    if let Some(selection) = &plan.selection {
        selection_text(&mut text, selection);
    }
    text.push_str("The data of these nodes will be REPLACED:\n");
    for node in &plan.nodes {
        let now = node.databases_now.map_or_else(
            || "its databases".to_owned(),
            |n| format!("its {}", count(n, "database", "databases")),
        );
        let _ = writeln!(
            text,
            "  {} ({}): {now} in {}, by {} of new data; stopped and started with {}",
            node.name,
            node.url,
            node.data.display(),
            bytes(node.bytes),
            node.service
        );
        files_text(&mut text, "KEPT, files of deleted databases", &node.kept);
        files_text(&mut text, "REMOVED, files that belong to no database", &node.orphans);
    }
    if plan.nodes.len() > 1 {
        text.push_str("What each node gets:\n");
        text.push_str(&shares_text(&plan.nodes.iter().map(NodeDescription::share).collect::<Vec<_>>()));
    }
    text.push_str(&placement_text(&plan.placement, plan.nodes.len()));
    if plan.reshaped > 0 {
        let n = count(plan.reshaped, "database gets", "databases get");
        let _ = writeln!(
            text,
            "{n} another number of ranges: CouchDB rebuilds the view indexes, and consumers of _changes read once from the start."
        );
    }
    if let Some(plugin) = &plan.transformed_by {
        let _ = write!(
            text,
            "Every document passes through the plugin {plugin}, which may change it or leave it out. View indexes, local documents, \
             purges and the contents of older revisions are not restored.\n{NEVER_REPLICATE}"
        );
    }
    if let Some(version) = &plan.md5_for {
        let _ = writeln!(
            text,
            "CouchDB {version} reads only MD5 checksums: files with other checksums (xxHash, of CouchDB 3.5) get MD5."
        );
    }
    if plan.fresh_uuids {
        text.push_str("Consumers of _changes will read once from the start (fresh uuids).\n");
    }
    if let Some(suffix) = &plan.new_suffix {
        let _ = writeln!(
            text,
            "Databases get the new suffix {suffix} in the names of their files: CouchDB rebuilds indexes outside the data \
             directory."
        );
    }
    left_behind_text(&mut text, &plan.left_behind);
    text
}

/// What a restore has done.
pub(super) fn result_text(result: &LiveResult) -> String {
    let mut text = restored_text(&result.restored);
    if result.agreement.agreed {
        agreed_text(&mut text, result);
    } else {
        interrupted_text(&mut text, &result.agreement);
    }
    left_behind_text(&mut text, &result.left_behind);
    if result.old_kept && result.written_down {
        text.push_str("The old data is still next to the new data: `couchcopy clean` removes it.\n");
    }
    text
}

/// That a restore was interrupted while it waited for the nodes to agree.
pub(super) fn interrupted_text(text: &mut String, agreement: &Agreement) {
    text.push_str(
        "INTERRUPTED: the new data is in place and CouchDB runs on it, but couchcopy did not see all nodes agree.\n\
         The old data still exists. Continue with `couchcopy restore --resume`, or restore the old data with \
         `couchcopy restore --roll-back`.\n",
    );
    for difference in &agreement.differences {
        let _ = writeln!(text, "  {difference}");
    }
}

fn agreed_text(text: &mut String, result: &LiveResult) {
    let agreement = &result.agreement;
    let _ = writeln!(
        text,
        "All nodes agree, {:.1} s after the restore began. CouchDB was down for {:.1} s; all databases were available again after \
         {:.1} s.",
        result.seconds,
        result.service_down,
        result.serving.unwrap_or(result.seconds)
    );
    if agreement.opened_each {
        text.push_str("Every database opens on every node with all its documents.\n");
    } else {
        let _ = writeln!(
            text,
            "{} of {} databases were opened, each with all its documents; use --open all to open every database.",
            agreement.opened_at_least_once, result.restored.databases
        );
    }
    if agreement.replication_jobs > 0 {
        let _ = writeln!(
            text,
            "CouchDB counts {} changes that it still has to bring to copies. You need not wait for it.",
            agreement.replication_jobs
        );
    }
}

/// Files of a node, the first of them by name.
fn files_text(text: &mut String, what: &str, paths: &[String]) {
    if !paths.is_empty() {
        let _ = writeln!(text, "    {what}: {} ({})", paths.len(), first_of(paths, FILES_SHOWN));
    }
}

/// Indexes outside the data directories, with how to remove them.
fn left_behind_text(text: &mut String, left: &[LeftBehind]) {
    for LeftBehind { node, what, place, remove } in left {
        let _ = writeln!(
            text,
            "Left on {node}, and useless to CouchDB after the restore: {what} of the replaced databases, in {place}.\n  {remove}"
        );
    }
}

/// What a choice among databases means, the losses last.
fn selection_text(text: &mut String, chosen: &SelectionDescription) {
    let options: Vec<String> = chosen.backed_up.options().collect();
    if !options.is_empty() {
        let _ = writeln!(
            text,
            "The backup does not hold all databases of its nodes: it was made with {}.",
            options.join(" ")
        );
    }
    choice_text(text, chosen.not_chosen, &chosen.selection.rename);
    if chosen.gone.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "LOST: {} of the cluster will be GONE, kept aside only until the new data is accepted: {}\n\
         (`couchcopy restore --db NAME` restores single databases and leaves all others as they are.)",
        count(chosen.gone.len() as u64, "database", "databases"),
        first_of(&chosen.gone, GONE_SHOWN)
    );
}

//! Carries out the commands that replace data on nodes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cluster::agreement::{WaitFor, WaitOptions};
use node::Node;
use outcome::{Code, Failure, Result};
use restore::folders::{RestoreOptions, RestoreResult, restore_offline};
use restore::live::{
    LiveOptions, LiveResult, MapsBy, PlanDescription, PlannedRestore, SelectionDescription, resume, roll_back,
};
use restore::outside::LeftBehind;
use restore::preflight::{Proofs, Verdict, prove};
use restore::selection::Rename;
use restore::status::{NodeStatus, clean, status};
use serde::Serialize;
use site::plugins::Plugins;

use crate::cluster::{can_ask, nodes_with_credentials, sandbox, tunnel};
use crate::commands::problems_text;
use crate::exit::Outcome;
use crate::output::{Output, bytes, count};
use crate::plugin_arguments::{HttpFlags, PluginFlags};
use crate::progress::Terminal;
use crate::restore_arguments::{Check, Clean, Maps, Nodes, Restore, Status, Wait};
use crate::{database_commands, interrupt, nodes};

/// Names of lost databases that are shown as text; `--json` has them all.
const GONE_SHOWN: usize = 10;
/// Paths of files likewise.
const FILES_SHOWN: usize = 5;

/// Plugins and what they lead to. The plugins have to live as long as the nodes.
struct Cluster {
    nodes: Vec<Node>,
    _plugins: Plugins,
}

fn connect(
    names: &[String],
    flags: &PluginFlags,
    http: &HttpFlags,
    output: &Output,
    reporter: &Arc<Terminal>,
) -> Result<Cluster> {
    if names.is_empty() && flags.cluster.is_none() {
        return Err(Failure::refused(
            Code::new("CC-X04"),
            "no node is named",
            "Give the nodes as [user:password@]HOST[:port],DATA_DIR[,NODENAME], or a --cluster file.",
        ));
    }
    let sites = nodes_with_credentials(names, flags, http, output)?;
    let plugins = sandbox(Some(&flags.grants), output, reporter)?;
    let nodes = sites.iter().map(|site| plugins.connect(site, tunnel(http))).collect::<Result<_>>()?;
    Ok(Cluster { nodes, _plugins: plugins })
}

fn connect_all(nodes: &Nodes, output: &Output, reporter: &Arc<Terminal>) -> Result<Cluster> {
    connect(&nodes.names, &nodes.plugins, &nodes.http, output, reporter)
}

/// Carries out `couchcopy restore`.
pub(crate) fn restore(
    command: &Restore,
    threads: usize,
    output: &Output,
    reporter: &Arc<Terminal>,
) -> Result<Outcome> {
    if command.offline {
        let result = restore_offline(&offline_options(command, threads)?, reporter.as_ref())?;
        reporter.end();
        if !reporter.is_quiet() {
            output.print(&result, restored_text);
        }
        return Ok(Outcome::of(result.is_complete()));
    }
    if !command.databases.db.is_empty() {
        return database_commands::restore_databases(command, threads, output, reporter);
    }
    let unfinished = command.resume || command.roll_back;
    let (archive, names) = match command.arguments.split_first() {
        Some((first, rest)) if !unfinished || Path::new(first).is_file() => {
            (Some(PathBuf::from(first)), rest)
        }
        _ => (None, command.arguments.as_slice()),
    };
    let options = live_options(command, archive.clone().unwrap_or_default(), threads)?;
    let Cluster { mut nodes, _plugins } = connect(names, &command.plugins, &command.http, output, reporter)?;
    let interrupted = interrupt::flag()?;
    let told = reporter.as_ref();
    let result = if command.roll_back {
        agreed(
            command.yes,
            output,
            reporter,
            "The data that the restore replaced will be brought back; what was written since is lost.",
        )?;
        let names = roll_back(&mut nodes, told)?;
        reporter.end();
        if !reporter.is_quiet() {
            output.print(&RolledBack { rolled_back: names }, |result| {
                format!("the old data is back in place on {}", result.rolled_back.join(", "))
            });
        }
        return Ok(Outcome::Done);
    } else if command.resume {
        resume(&options, archive, &mut nodes, interrupted, told)?
    } else {
        if archive.is_none() {
            return Err(Failure::refused(
                Code::new("CC-X05"),
                "no archive is named",
                "Give the archive, then the nodes.",
            ));
        }
        let mut planned = PlannedRestore::make(&options, &mut nodes, told)?;
        reporter.end();
        let description = planned.describe(&nodes);
        if command.dry_run {
            output.print(&description, description_text);
            return Ok(Outcome::of(description.left_out == 0));
        }
        agreed(command.yes, output, reporter, &description_text(&description))?;
        planned.carry_out(&nodes, interrupted, told)?
    };
    reporter.end();
    if !reporter.is_quiet() {
        output.print(&result, live_text);
    }
    Ok(Outcome::of(result.restored.is_complete() && result.written_down))
}

#[derive(Serialize)]
struct RolledBack {
    rolled_back: Vec<String>,
}

fn offline_options(command: &Restore, threads: usize) -> Result<RestoreOptions> {
    let split = command.arguments.split_first().filter(|(_, targets)| !targets.is_empty());
    let Some((archive, targets)) = split else {
        return Err(Failure::refused(
            Code::new("CC-X06"),
            "an archive and at least one target have to be named",
            "For example: couchcopy restore --offline backup.tar.gz /opt/couchdb/data,couchdb@127.0.0.1",
        ));
    };
    Ok(RestoreOptions {
        archive: archive.into(),
        targets: targets.iter().map(|text| nodes::target(text)).collect::<Result<_>>()?,
        copies: command.n.map(usize::from),
        fresh_uuids: command.fresh_uuids,
        suffixes: command.suffixes(),
        allow_empty: command.allow_empty,
        skip_damaged: command.skip_damaged,
        selection: command.selection.selection()?,
        for_couchdb: command.for_couchdb.clone(),
        threads,
    })
}

fn live_options(command: &Restore, archive: PathBuf, threads: usize) -> Result<LiveOptions> {
    Ok(LiveOptions {
        archive,
        copies: command.n.map(usize::from),
        fresh_uuids: command.fresh_uuids,
        suffixes: command.suffixes(),
        remove_orphans: command.remove_orphans,
        allow_empty: command.allow_empty,
        skip_damaged: command.skip_damaged,
        selection: command.selection.selection()?,
        threads,
        maps: match command.maps {
            Maps::File => MapsBy::File,
            Maps::Http => MapsBy::Http,
        },
        keep_old: command.keep_old,
        wait: WaitOptions {
            wait_for: match command.wait {
                Wait::Agreement => WaitFor::Agreement,
                Wait::Replication => WaitFor::Replication,
            },
            limit: Duration::from_secs(command.timeout),
            open_for: command.open.0,
        },
    })
}

/// Has the user agree.
pub(crate) fn agreed(yes: bool, output: &Output, reporter: &Arc<Terminal>, what: &str) -> Result<()> {
    reporter.end();
    if yes {
        return Ok(());
    }
    if !can_ask(output) {
        return Err(Failure::refused(
            Code::new("CC-X07"),
            "there is nobody to ask whether data may be changed",
            "Give -y to go on without asking, or --dry-run to see what would be done.",
        ));
    }
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{}\nGo on? [y/N] ", what.trim_end());
    let _ = err.flush();
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    if read.is_ok() && matches!(line.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::refused(
        Code::new("CC-X08"),
        "you did not agree; nothing was changed",
        "Answer y, or give -y.",
    ))
}

fn description_text(plan: &PlanDescription) -> String {
    let mut text = format!(
        "{}{}: {}",
        plan.archive.display(),
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
    if let Some(version) = &plan.md5_for {
        let _ = writeln!(
            text,
            "CouchDB {version} reads no checksum but MD5: files that carry others (xxHash, of CouchDB 3.5) get MD5."
        );
    }
    if plan.fresh_uuids {
        text.push_str("Consumers of _changes will read once from the start (fresh uuids).\n");
    }
    if let Some(suffix) = &plan.new_suffix {
        let _ = writeln!(
            text,
            "Databases get the new suffix {suffix} in the names of their files: indexes outside the data folder are built again."
        );
    }
    left_behind_text(&mut text, &plan.left_behind);
    text
}

/// Files of a node, the first of them by name.
fn files_text(text: &mut String, what: &str, paths: &[String]) {
    if paths.is_empty() {
        return;
    }
    let shown: Vec<&str> = paths.iter().take(FILES_SHOWN).map(String::as_str).collect();
    let more = paths.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let _ = writeln!(text, "    {what}: {} ({}{more})", paths.len(), shown.join(", "));
}

/// Indexes outside the data folders, with how to remove them.
fn left_behind_text(text: &mut String, left: &[LeftBehind]) {
    for LeftBehind { node, what, place, remove } in left {
        let _ = writeln!(
            text,
            "Left behind on {node}, and of no use to CouchDB after the restore: {what} of the replaced databases, in {place}.\n  \
             {remove}"
        );
    }
}

/// What a choice among databases means, the worst of it last.
fn selection_text(text: &mut String, chosen: &SelectionDescription) {
    if chosen.not_chosen > 0 {
        let n = count(chosen.not_chosen, "database", "databases");
        let _ = writeln!(text, "Not chosen, and not restored: {n} of the archive.");
    }
    for Rename { from, to } in &chosen.selection.rename {
        let _ = writeln!(text, "Renamed: {from} to {to}");
    }
    if chosen.gone.is_empty() {
        return;
    }
    let shown: Vec<&str> = chosen.gone.iter().take(GONE_SHOWN).map(String::as_str).collect();
    let more = chosen.gone.len() - shown.len();
    let _ = writeln!(
        text,
        "LOST: {} of the cluster will be GONE, kept aside only until the new data is accepted: {}{}\n\
         (`couchcopy restore --db NAME` brings single databases back and leaves all others as they are.)",
        count(chosen.gone.len() as u64, "database", "databases"),
        shown.join(", "),
        if more > 0 { format!(" and {more} more") } else { String::new() }
    );
}

/// What an offline restore made.
pub(crate) fn restored_text(result: &RestoreResult) -> String {
    let mut text = format!(
        "{} restored to {}: {}, {}, {}\n",
        count(result.databases, "database", "databases"),
        result.nodes.join(", "),
        count(result.shard_files, "shard file", "shard files"),
        count(result.view_files, "view index", "view indexes"),
        bytes(result.bytes)
    );
    if result.not_chosen > 0 {
        let n = count(result.not_chosen, "database", "databases");
        let _ = writeln!(text, "Not chosen, and not restored: {n} of the archive.");
    }
    for Rename { from, to } in &result.renamed {
        let _ = writeln!(text, "Renamed: {from} to {to}");
    }
    if result.files_rewritten > 0 {
        let n = count(result.files_rewritten, "file", "files");
        let _ = writeln!(text, "Got MD5 checksums, the only ones that this CouchDB reads: {n}");
    }
    if let Some(suffix) = &result.new_suffix {
        let _ = writeln!(text, "Databases have the new suffix {suffix} in the names of their files.");
    }
    if !result.left_out.is_empty() {
        let n = count(result.left_out.len() as u64, "database", "databases");
        let _ = writeln!(text, "LEFT OUT, damaged or incomplete in the archive: {n}");
        problems_text(&mut text, &result.left_out);
    }
    text
}

fn live_text(result: &LiveResult) -> String {
    let mut text = restored_text(&result.restored);
    let agreement = &result.agreement;
    if agreement.agreed {
        let _ = writeln!(
            text,
            "All nodes agree. CouchDB was down for {:.1} s of {:.1} s.",
            result.service_down, result.seconds
        );
        if agreement.opened_each {
            text.push_str("Every database opens on every node with all its documents.\n");
        } else {
            let _ = writeln!(
                text,
                "{} of {} databases were opened, all with all their documents; --open all takes the time to open every one.",
                agreement.opened_at_least_once, result.restored.databases
            );
        }
        if agreement.replication_jobs > 0 {
            let _ = writeln!(
                text,
                "CouchDB has {} pairs of copies still to look at, which needs no waiting for.",
                agreement.replication_jobs
            );
        }
    } else {
        text.push_str(
            "INTERRUPTED: the new data is in place and CouchDB runs on it, but it was not seen that all nodes agree.\n\
             The old data is still there. Go on with `couchcopy restore --resume`, or bring the old data back with \
             `couchcopy restore --roll-back`.\n",
        );
        for difference in &agreement.differences {
            let _ = writeln!(text, "  {difference}");
        }
    }
    left_behind_text(&mut text, &result.left_behind);
    if result.old_kept && result.written_down {
        text.push_str("The old data is still beside the new one: `couchcopy clean` removes it.\n");
    }
    text
}

/// Carries out `couchcopy check`.
pub(crate) fn check(command: &Check, output: &Output, reporter: &Arc<Terminal>) -> Result<Outcome> {
    let mut cluster = connect_all(&command.nodes, output, reporter)?;
    let proofs = prove(&mut cluster.nodes)?;
    reporter.end();
    output.print(&proofs, proofs_text);
    Ok(Outcome::of(proofs.is_fine()))
}

fn proofs_text(proofs: &Proofs) -> String {
    let width =
        |of: &dyn Fn(&restore::preflight::Proof) -> usize| proofs.proofs.iter().map(of).max().unwrap_or(0);
    let node = width(&|proof| proof.node.chars().count());
    let subject = width(&|proof| proof.subject.len());
    let mut text = String::new();
    for proof in &proofs.proofs {
        let word = match proof.verdict {
            Verdict::Fine => "fine",
            Verdict::Warning => "WARNING",
            Verdict::Problem => "PROBLEM",
        };
        let _ =
            writeln!(text, "{word:<8}{:<node$}  {:<subject$}  {}", proof.node, proof.subject, proof.found);
        if let Some(remedy) = &proof.remedy {
            let _ = writeln!(text, "{:8}{:node$}  {:subject$}  -> {remedy}", "", "", "");
        }
    }
    text.push_str(if proofs.is_fine() { "A restore would do.\n" } else { "A restore would be refused.\n" });
    text
}

/// Carries out `couchcopy status`.
pub(crate) fn tell_status(command: &Status, output: &Output, reporter: &Arc<Terminal>) -> Result<Outcome> {
    let cluster = connect_all(&command.nodes, output, reporter)?;
    let statuses = status(&cluster.nodes)?;
    output.print(&statuses, |statuses| statuses.iter().map(status_text).collect());
    Ok(Outcome::of(statuses.iter().all(|status| status.situation.is_some())))
}

fn status_text(status: &NodeStatus) -> String {
    let mut text = format!(
        "{}: {}\n  CouchDB: {}, {}\n",
        status.node,
        status.meaning,
        status.service,
        if status.answers { "answers" } else { "does not answer" }
    );
    if let (Some(archive), Some(begun)) = (&status.archive, &status.begun) {
        let _ = writeln!(text, "  restore of {archive}, begun {begun}, to {}", status.nodes.join(", "));
    }
    text
}

/// Carries out `couchcopy clean`.
pub(crate) fn remove_old(command: &Clean, output: &Output, reporter: &Arc<Terminal>) -> Result<Outcome> {
    let cluster = connect_all(&command.nodes, output, reporter)?;
    let cleaned = clean(&cluster.nodes, reporter.as_ref())?;
    reporter.end();
    if !reporter.is_quiet() {
        output.print(&cleaned, |cleaned| match cleaned.as_slice() {
            [] => "there was nothing to remove".into(),
            nodes => format!("removed what restores had left on {}", nodes.join(", ")),
        });
    }
    Ok(Outcome::Done)
}

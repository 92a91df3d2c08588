//! Restores of one node of a running cluster (`--node`).

use std::fmt::Write as _;

use outcome::Result;
use restore::one_node::{OneNodeDescription, OneNodeOptions, OneNodeResult, PlannedNode};
use store::Location;

use super::Restore;
use super::live_text::interrupted_text;
use crate::exit::Outcome;
use crate::session::Session;
use crate::text::sizes::{bytes, count, first_of};

/// Names that are printed as text; `--json` lists all.
const SHOWN: usize = 5;

impl Restore {
    /// Brings one node back; the others run on.
    pub(super) fn bring_back(
        &self,
        name: &str,
        archive: &Location,
        names: &[String],
        session: &Session,
    ) -> Result<Outcome> {
        let live = self.live_options(archive, session)?;
        let options = OneNodeOptions {
            name: name.to_owned(),
            archive: live.archive,
            remove_orphans: live.remove_orphans,
            keep_old: live.keep_old,
            wait: live.wait,
            threads: live.threads,
        };
        let mut cluster = self.connect(names, session)?;
        let interrupted = session.interruptible()?;
        let mut planned = PlannedNode::make(&options, &mut cluster.nodes, session.reporter())?;
        let plan = planned.describe(&cluster.nodes);
        if self.mode.dry_run {
            session.answer(&plan, plan_text);
            return Ok(Outcome::Done);
        }
        session.confirm(self.mode.yes, &plan_text(&plan))?;
        let result = planned.carry_out(&cluster.nodes, interrupted, session.reporter())?;
        Ok(finished(&result, session))
    }
}

pub(super) fn finished(result: &OneNodeResult, session: &Session) -> Outcome {
    session.summary(result, result_text);
    Outcome::of(result.written_down)
}

fn plan_text(plan: &OneNodeDescription) -> String {
    let mut text = format!(
        "{}{}: {} of {}, which holds shards of {}\n",
        plan.archive,
        plan.made.as_ref().map_or_else(String::new, |made| format!(" of {made}")),
        count(plan.shards, "shard", "shards"),
        plan.node,
        count(plan.databases, "database", "databases"),
    );
    if plan.from_others > 0 {
        let _ = writeln!(
            text,
            "{} not in the archive: CouchDB copies them from the other nodes.",
            count(plan.from_others, "shard is", "shards are")
        );
    }
    let _ = writeln!(
        text,
        "The data of this node will be REPLACED:\n  {} ({}): {}, by {} of new data; stopped and started with {}; CouchDB {}",
        plan.node,
        plan.url,
        plan.data.display(),
        bytes(plan.bytes),
        plan.service,
        if plan.answers { "answers" } else { "does not answer" }
    );
    let _ = writeln!(text, "These nodes run on, and are not changed: {}", plan.others.join(", "));
    if !plan.only_here.is_empty() {
        let _ = writeln!(
            text,
            "LOST: {} ranges on no other node; what was written there since the backup is lost: {}",
            count(plan.only_here.len() as u64, "database has", "databases have"),
            first_of(&plan.only_here, SHOWN)
        );
    }
    for (what, paths) in [
        ("KEPT, files of deleted databases", &plan.kept),
        ("REMOVED, files that belong to no database", &plan.orphans),
    ] {
        if !paths.is_empty() {
            let _ = writeln!(text, "  {what}: {} ({})", paths.len(), first_of(paths, SHOWN));
        }
    }
    text
}

fn result_text(result: &OneNodeResult) -> String {
    let mut text = String::new();
    if result.shard_files > 0 {
        let _ = writeln!(
            text,
            "{}: {} and {} from the archive, {}",
            result.node,
            count(result.shard_files, "shard", "shards"),
            count(result.view_files, "view index", "view indexes"),
            bytes(result.bytes)
        );
    }
    for problem in &result.damaged {
        let _ = writeln!(
            text,
            "damaged in the archive, copied from the other nodes: {}: {}",
            problem.path, problem.problem
        );
    }
    if result.agreement.agreed {
        let _ = writeln!(
            text,
            "{} is back, and all nodes agree, {:.1} s after the restore began. CouchDB of {} was down for {:.1} s.",
            result.node, result.seconds, result.node, result.service_down
        );
        if result.agreement.replication_jobs > 0 {
            let _ = writeln!(
                text,
                "CouchDB counts {} changes that it still has to bring to copies: what was written since the backup. You need not \
                 wait for it.",
                result.agreement.replication_jobs
            );
        }
    } else {
        interrupted_text(&mut text, &result.agreement);
    }
    if result.old_kept && result.written_down {
        text.push_str("The old data is still next to the new data: `couchcopy clean` removes it.\n");
    }
    text
}

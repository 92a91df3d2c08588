//! `couchcopy rename-node`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use cluster::agreement::{WaitFor, WaitOptions};
use outcome::Result;
use restore::live::roll_back;
use restore::rename::{NewNames, PlannedRename, RenameDescription, RenameOptions, RenameResult, resume};
use serde::Serialize;

use super::restore::{OpenFor, open_for};
use crate::cluster::Cluster;
use crate::exit::Outcome;
use crate::flags::access::AccessFlags;
use crate::flags::http::HttpFlags;
use crate::session::Session;
use crate::text::sizes::count;

/// Give nodes new names, for example after the host name has changed. No data is copied.
///
/// CouchDB finds its shards by the names of nodes. If a node starts under another name, databases do not open any more.
#[derive(Debug, Args)]
#[command(
    override_usage = "couchcopy rename-node [OPTIONS] OLD=NEW... NODE...\n       \
        couchcopy rename-node --offline [OPTIONS] OLD=NEW... NODE...\n       \
        couchcopy rename-node --resume [OPTIONS] NODE...\n       \
        couchcopy rename-node --roll-back [OPTIONS] NODE...",
    after_help = "Run `couchcopy rename-node --help` for all options, details and examples.",
    after_long_help = "First set the new name in the configuration of each node: -name in vm.args, and [cluster] seedlist if it is used. \
    CouchDB may run under its old name, run under its new name, or be stopped.\n\n\
    What happens: couchcopy checks that all nodes of the cluster are given, and that the names fit. It stops all nodes, writes \
    _dbs.couch (the shard maps) and _nodes.couch (the list of nodes) with the new names next to the old files, swaps them by \
    renaming, and starts all nodes. When the nodes agree, it removes the old files. If anything fails before that, it puts the old \
    files back. Shards and view indexes are not touched. To finish a renaming that was killed, use --resume; to undo it, use \
    --roll-back.\n\n\
    Examples:\n  \
    couchcopy rename-node couchdb@old=couchdb@db1.example.com \\\n    admin:password@localhost:5984,/opt/couchdb/data\n  \
    couchcopy rename-node --cluster prod.toml couchdb@a=couchdb@x \\\n    couchdb@b=couchdb@y\n  \
    couchcopy rename-node --offline couchdb@a=couchdb@x \\\n    localhost,/opt/couchdb/data"
)]
pub(crate) struct RenameNode {
    /// The old and the new name of each node that is renamed, then all nodes of the cluster.
    ///
    /// A node is written as [user:password@]HOST[:port],DATA_DIR[,NODENAME], where NODENAME is its old or its new name. With
    /// --cluster and no nodes, all nodes in the file are taken. With --resume and --roll-back, give nodes only.
    #[arg(value_names = ["OLD=NEW", "NODE"], num_args = 1.., required_unless_present = "cluster")]
    arguments: Vec<String>,

    #[command(flatten)]
    mode: ModeFlags,

    /// Remove this node, which does not exist any more, from the list of the cluster's nodes. Can be repeated.
    ///
    /// CouchDB adds every name under which it starts to the list. No shard map may name the node.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["resume", "roll_back"])]
    forget: Vec<String>,

    /// Keep the old files next to the new ones; `couchcopy clean` removes them.
    #[arg(long)]
    keep_old: bool,

    #[command(flatten)]
    waiting: WaitFlags,

    #[command(flatten)]
    access: AccessFlags,

    #[command(flatten)]
    http: HttpFlags,
}

/// How nodes are renamed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mode")]
struct ModeFlags {
    /// Do not stop or start CouchDB, which is stopped on all nodes. The old files are kept.
    #[arg(long, conflicts_with_all = ["resume", "roll_back"])]
    offline: bool,

    /// Finish an interrupted renaming.
    #[arg(long, conflicts_with = "roll_back")]
    resume: bool,

    /// Put the files back that a renaming has replaced, as long as they exist.
    #[arg(long)]
    roll_back: bool,

    /// Check everything and show what would be done, without doing it.
    #[arg(long, conflicts_with_all = ["resume", "roll_back"])]
    dry_run: bool,

    /// Continue without confirmation.
    #[arg(short, long)]
    yes: bool,
}

/// What a renaming waits for after the nodes have started.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
struct WaitFlags {
    /// Put the old files back if the nodes do not agree within SECONDS.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=1_000_000), hide_short_help = true)]
    timeout: u64,

    /// Time for opening databases after the start (`all`: no limit, until every node has opened every database).
    #[arg(long, value_name = "SECONDS|all", default_value = "15", value_parser = open_for, hide_short_help = true)]
    open: OpenFor,
}

/// The nodes whose old files are in place again, as `--json` prints them.
#[derive(Serialize)]
struct RolledBack {
    rolled_back: Vec<String>,
}

impl RenameNode {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        if self.mode.roll_back {
            return self.roll_back(session);
        }
        if self.mode.resume {
            let mut cluster = self.connect(&self.arguments, session)?;
            let interrupted = session.interruptible()?;
            let options = self.options(NewNames::default(), session);
            let result = resume(&options, &mut cluster.nodes, interrupted, session.reporter())?;
            return Ok(finished(&result, session));
        }
        let (pairs, nodes) = NewNames::split(&self.arguments)?;
        let options = self.options(NewNames::parse(pairs, &self.forget)?, session);
        let mut cluster = self.connect(nodes, session)?;
        let interrupted = session.interruptible()?;
        let planned = PlannedRename::make(&options, &mut cluster.nodes, session.reporter())?;
        let plan = planned.describe(&cluster.nodes);
        if self.mode.dry_run {
            session.answer(&plan, plan_text);
            return Ok(Outcome::Done);
        }
        session.confirm(self.mode.yes, &plan_text(&plan))?;
        let result = planned.carry_out(&cluster.nodes, interrupted, session.reporter())?;
        Ok(finished(&result, session))
    }

    fn roll_back(&self, session: &Session) -> Result<Outcome> {
        let mut cluster = self.connect(&self.arguments, session)?;
        // Ctrl-C does not end the process in the middle of this.
        session.interruptible()?;
        session.confirm(
            self.mode.yes,
            "The shard maps and the list of nodes will be as they were before the renaming; databases that were created since then \
             are lost.",
        )?;
        let names = roll_back(&mut cluster.nodes, session.reporter())?;
        session.summary(&RolledBack { rolled_back: names }, |result| {
            format!("the old data is back in place on {}", result.rolled_back.join(", "))
        });
        Ok(Outcome::Done)
    }

    fn connect(&self, names: &[String], session: &Session) -> Result<Cluster> {
        Cluster::connect(names, &self.access, &self.http, session)
    }

    fn options(&self, names: NewNames, session: &Session) -> RenameOptions {
        RenameOptions {
            names,
            offline: self.mode.offline,
            keep_old: self.keep_old,
            wait: WaitOptions {
                wait_for: WaitFor::Agreement,
                limit: Duration::from_secs(self.waiting.timeout),
                open_for: self.waiting.open.0,
            },
            threads: session.threads(),
        }
    }
}

fn finished(result: &RenameResult, session: &Session) -> Outcome {
    session.summary(result, result_text);
    Outcome::of(result.written_down)
}

/// What a renaming will do.
fn plan_text(plan: &RenameDescription) -> String {
    let mut text = String::new();
    for name in &plan.names {
        let _ = writeln!(text, "{} becomes {}", name.old, name.new);
    }
    for name in &plan.forget {
        let _ = writeln!(text, "{name} is removed from the list of the cluster's nodes");
    }
    let _ = writeln!(
        text,
        "{} of {} will name the new nodes. The shard maps and the list of nodes of these nodes will be REPLACED:",
        count(plan.maps, "shard map", "shard maps"),
        plan.databases
    );
    for node in &plan.nodes {
        let now = match &node.answers_as {
            Some(name) => format!("CouchDB answers as {name}"),
            None => "CouchDB does not answer".to_owned(),
        };
        let service =
            if plan.offline { String::new() } else { format!("; stopped and started with {}", node.service) };
        let _ = writeln!(text, "  {} ({}): {}, {now}{service}", node.name, node.url, node.data.display());
    }
    if plan.differing > 0 {
        let _ = writeln!(
            text,
            "{} not the same on all nodes; the newest revision of each is taken.",
            count(plan.differing, "document of these files is", "documents of these files are")
        );
    }
    if !plan.offline {
        text.push_str("CouchDB has to start under the new names: check -name in vm.args on each node.\n");
    }
    text
}

/// What a renaming has done.
fn result_text(result: &RenameResult) -> String {
    let mut text = String::new();
    for name in &result.names {
        let _ = writeln!(text, "{} is now {}", name.old, name.new);
    }
    match &result.agreement {
        None => text.push_str(
            "The new files are in place on all nodes; CouchDB was not started. Start it under the new names. `couchcopy clean` \
             removes the old files, `couchcopy rename-node --roll-back` puts them back while CouchDB is stopped.\n",
        ),
        Some(agreement) if agreement.agreed => {
            let _ = writeln!(
                text,
                "All nodes agree, {:.1} s after the renaming began. CouchDB was down for {:.1} s. {} of {} opened on the nodes.",
                result.seconds,
                result.service_down.unwrap_or_default(),
                agreement.opened_at_least_once,
                count(result.databases, "database was", "databases were"),
            );
            if result.old_kept && result.written_down {
                text.push_str("The old files are still next to the new files: `couchcopy clean` removes them.\n");
            }
        }
        Some(agreement) => {
            text.push_str(
                "INTERRUPTED: the new files are in place and CouchDB runs on them, but couchcopy did not see all nodes agree.\n\
                 The old files still exist. Continue with `couchcopy rename-node --resume`, or put the old files back with \
                 `couchcopy rename-node --roll-back`.\n",
            );
            for difference in &agreement.differences {
                let _ = writeln!(text, "  {difference}");
            }
        }
    }
    text
}

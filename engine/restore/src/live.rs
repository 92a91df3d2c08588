//! Replaces the data of a running cluster.
//!
//! New data is copied next to the old data while CouchDB runs. Then all nodes are stopped, old and new data are swapped by
//! renaming, and all nodes are started. The old data is removed only when the nodes agree. Any failure before that rolls back to
//! the old data.

mod kept;
mod maps_http;
mod resume;
mod stage;
mod standstill;
mod steps;
mod undoing;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cluster::agreement::{Agreement, WaitOptions};
use cluster::identity::Identity;
use cluster::on_each;
use contents::{Contents, unusable};
use couchfile::database_name;
use node::Node;
use outcome::report::{Notice, Reporter, Severity, Steps};
use outcome::{Code, Failure, Result, parallel};
use serde::Serialize;
use stage::Staged;

use crate::folders::plan::Plan;
use crate::folders::proof::Damage;
use crate::folders::suffix::TakenSuffixes;
use crate::folders::{RestoreOptions, RestoreResult, Suffixes, Target, check_targets, only_md5, tell_damage};
use crate::outside::{self, LeftBehind, Outside, Views};
use crate::preflight::{Allowed, Learned, Proofs, prove_all};
use crate::selection::Selection;
use crate::swap::{Journal, JournalOptions};

pub use resume::{resume, roll_back};
pub(crate) use steps::remove_all;

/// How shard maps are written to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MapsBy {
    /// As files, before the nodes start.
    #[default]
    File,
    /// Through the HTTP interface of the first node, which replicates them to the others.
    Http,
}

/// The options of a restore of running nodes.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// The archive.
    pub archive: PathBuf,
    /// Copies of every range; `None`: as many as each database had, limited by the number of nodes.
    pub copies: Option<usize>,
    /// Whether every copy gets a new uuid. This is implied if the name of one of the nodes is in the archive.
    pub fresh_uuids: bool,
    /// Which suffix databases get. By default, a new suffix is chosen if every copy gets a new uuid, if the nodes hold a database
    /// with the same name and suffix, or if their view indexes are outside the data directory.
    pub suffixes: Suffixes,
    /// Whether files below `shards` that belong to no database may be removed with the old data.
    pub remove_orphans: bool,
    /// Whether an archive without databases may replace everything.
    pub allow_empty: bool,
    /// Whether to leave out databases with damaged or missing shards.
    pub skip_damaged: bool,
    /// Which databases to restore, and under which names. The cluster loses all other databases.
    pub selection: Selection,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
    /// How shard maps are written to the nodes.
    pub maps: MapsBy,
    /// Whether to keep the old data next to the new data.
    pub keep_old: bool,
    /// What to wait for at the end.
    pub wait: WaitOptions,
}

/// A finished restore.
#[derive(Debug, Clone, Serialize)]
pub struct LiveResult {
    /// What was written.
    #[serde(flatten)]
    pub restored: RestoreResult,
    /// The agreement of the nodes.
    pub agreement: Agreement,
    /// Whether every copy got a new uuid, so that consumers of changes feeds read from the start.
    pub fresh_uuids: bool,
    /// Seconds from the first stop command until all nodes answered again.
    pub service_down: f64,
    /// The total duration in seconds, without the removal of the old data.
    pub seconds: f64,
    /// Whether every node has recorded that the new data is good; if not, `--resume` continues.
    pub written_down: bool,
    /// Whether the old data is still there.
    pub old_kept: bool,
    /// Indexes of the replaced databases that are outside the data directories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<LeftBehind>,
}

/// What a restore is going to do, for the user to confirm.
#[derive(Debug, Clone, Serialize)]
pub struct PlanDescription {
    /// The archive.
    pub archive: PathBuf,
    /// When the archive was made, according to the archive.
    pub made: Option<String>,
    /// Databases of the archive that will be restored.
    pub databases: u64,
    /// Databases that are left out.
    pub left_out: u64,
    /// Which databases were selected, and what that means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionDescription>,
    /// Whether every copy gets a new uuid.
    pub fresh_uuids: bool,
    /// The oldest CouchDB of the nodes, if it reads only MD5: files with other checksums get MD5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5_for: Option<String>,
    /// The new suffix that all databases get in the names of their files, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_suffix: Option<String>,
    /// Indexes of the replaced databases that are outside the data directories and stay there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<LeftBehind>,
    /// What the restore does on each node.
    pub nodes: Vec<NodeDescription>,
}

/// What a selection of an archive's databases means for a cluster.
#[derive(Debug, Clone, Serialize)]
pub struct SelectionDescription {
    /// The selection.
    #[serde(flatten)]
    pub selection: Selection,
    /// Databases of the archive that are not restored.
    pub not_chosen: u64,
    /// Names of databases that the cluster has now and will lose; CouchDB's own databases come first.
    pub gone: Vec<String>,
}

/// What a restore is going to do on a node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeDescription {
    /// Its name.
    pub name: String,
    /// The URL of its CouchDB.
    pub url: String,
    /// Its data directory.
    pub data: PathBuf,
    /// The service plugin that stops and starts it.
    pub service: String,
    /// Databases on the node that will be replaced.
    pub databases_now: Option<u64>,
    /// Bytes that will be written.
    pub bytes: u64,
    /// Files of deleted databases that CouchDB has kept. They stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Files that belong to no database and will be removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<String>,
}

/// A restore that has been planned and checked, and has changed nothing yet.
pub struct PlannedRestore {
    options: LiveOptions,
    contents: Contents,
    plan: Plan,
    /// The options of the corresponding offline restore.
    restore: RestoreOptions,
    learned: Vec<Learned>,
    /// Damage that was found during staging; the damaged databases are left out.
    damage: Damage,
    /// Databases that the cluster has now; queried only if not all databases of the archive are restored.
    databases_now: Vec<String>,
    /// The results of the checks.
    pub proofs: Proofs,
}

impl PlannedRestore {
    /// Plans a restore to these nodes, which must be all nodes of their cluster, and checks that it would succeed. Sets the names
    /// of nodes that were not given.
    pub fn make(options: &LiveOptions, nodes: &mut [Node], reporter: &dyn Reporter) -> Result<Self> {
        reporter.phase("inspecting the nodes", None);
        let begun = Instant::now();
        let allowed = Allowed {
            remove_orphans: options.remove_orphans,
            keep_suffix: options.suffixes == Suffixes::Keep,
        };
        let (proofs, learned) = prove_all(nodes, allowed)?;
        proofs.refuse()?;
        reporter.timing("nodes inspected", begun.elapsed().as_secs_f64());
        let mut planned = Self::of_archive(options, Damage::default(), nodes, reporter)?;
        if !options.allow_empty {
            planned.plan.refuse_empty(planned.contents.name())?;
        }
        planned.know_targets(&learned);
        for ((node, learned), bytes) in nodes.iter().zip(&learned).zip(&planned.plan.bytes) {
            if let Some(free) = learned.free
                && free < *bytes
            {
                return Err(Failure::refused(
                    Code::new("CC-R33"),
                    format!(
                        "{} has {} MiB free, but the new data needs about {} MiB next to the old data",
                        node.shown(),
                        free >> 20,
                        bytes >> 20
                    ),
                    "Free some space. The old data is kept until the nodes agree on the new data.",
                ));
            }
        }
        let databases_now = match nodes.first().filter(|_| !options.selection.is_everything()) {
            Some(first) => first.http.databases()?,
            None => Vec::new(),
        };
        planned.restore.for_couchdb = only_md5(learned.iter().filter_map(|learned| learned.version.as_ref()));
        Ok(Self { learned, databases_now, proofs, ..planned })
    }

    /// Plans without inspecting the nodes; `damage` is the known damage in the archive.
    fn of_archive(
        options: &LiveOptions,
        damage: Damage,
        nodes: &[Node],
        reporter: &dyn Reporter,
    ) -> Result<Self> {
        let begun = Instant::now();
        let mut contents = Contents::open(&options.archive, parallel::threads(options.threads), reporter)?;
        damage.note_in(&mut contents);
        let targets = nodes
            .iter()
            .map(|node| {
                let name = node.id.name.clone();
                let name = name.ok_or_else(|| Failure::bug("a node has no name yet"))?;
                Ok(Target { folder: node.data.clone(), node: name })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut restore = RestoreOptions {
            archive: options.archive.clone(),
            targets,
            copies: options.copies,
            fresh_uuids: options.fresh_uuids,
            suffixes: options.suffixes.clone(),
            allow_empty: options.allow_empty,
            skip_damaged: options.skip_damaged,
            selection: options.selection.clone(),
            for_couchdb: None,
            threads: options.threads,
        };
        check_names(&restore.targets)?;
        let mut plan = Plan::make(&contents, &restore)?;
        // What is finished goes on with what was chosen; else that depends on the nodes.
        plan.choose_suffix(&options.suffixes, false, &TakenSuffixes::default());
        // Consumers may have seen a newer state on the very same node; see docs/couch-format.md, 7.4.
        restore.fresh_uuids |= restore.targets.iter().any(|target| plan.sources.contains(&target.node));
        reporter.timing("restore planned", begun.elapsed().as_secs_f64());
        Ok(Self {
            options: options.clone(),
            contents,
            plan,
            restore,
            learned: Vec::new(),
            damage,
            databases_now: Vec::new(),
            proofs: Proofs::default(),
        })
    }

    /// Decides what depends on the data that is to be replaced.
    fn know_targets(&mut self, learned: &[Learned]) {
        let mut taken = TakenSuffixes::default();
        let mut has_same = false;
        for holdings in learned.iter().map(|learned| &learned.holdings) {
            taken.note_all(&holdings.suffixes);
            has_same |= self.plan.with_suffixes.iter().any(|database| holdings.databases.contains(database));
        }
        // It may be newer there, whatever the nodes are called.
        self.restore.fresh_uuids |= has_same;
        let views_elsewhere = learned.iter().any(|learned| learned.outside.views != Views::Inside);
        if views_elsewhere {
            // CouchDB does not look for them where they would be.
            self.plan.views.clear();
        }
        let needed = self.restore.fresh_uuids || views_elsewhere;
        self.plan.choose_suffix(&self.restore.suffixes, needed, &taken);
    }

    /// Describes what the restore will do.
    pub fn describe(&self, nodes: &[Node]) -> PlanDescription {
        PlanDescription {
            archive: self.options.archive.clone(),
            made: self.contents.metadata.as_ref().map(|metadata| metadata.backup.date.clone()),
            databases: self.plan.databases,
            left_out: self.plan.left_out.len() as u64,
            selection: self.describe_selection(),
            fresh_uuids: self.restore.fresh_uuids,
            md5_for: self.restore.for_couchdb.as_ref().map(ToString::to_string),
            new_suffix: self.plan.new_suffix.clone(),
            left_behind: self.left_behind(|i| self.learned.get(i).map(|learned| learned.outside.clone())),
            nodes: nodes
                .iter()
                .zip(&self.restore.targets)
                .enumerate()
                .map(|(i, (node, target))| NodeDescription {
                    name: target.node.clone(),
                    url: node.http.url().to_owned(),
                    data: node.data.clone(),
                    service: node.service.shown().to_owned(),
                    databases_now: self.learned.get(i).and_then(|learned| learned.databases),
                    bytes: self.plan.bytes[i],
                    kept: self.learned.get(i).map_or_else(Vec::new, |of| of.holdings.soft_deleted.clone()),
                    orphans: self.learned.get(i).map_or_else(Vec::new, |of| of.holdings.orphans.clone()),
                })
                .collect(),
        }
    }

    /// The indexes of replaced databases that stay outside the data directory of the node with this number, as far as known.
    fn left_behind(&self, outside: impl Fn(usize) -> Option<Outside>) -> Vec<LeftBehind> {
        let Some(suffix) = &self.plan.new_suffix else { return Vec::new() };
        let of = |(i, target): (usize, &Target)| Some(outside(i)?.left_behind(&target.node, suffix));
        self.restore.targets.iter().enumerate().filter_map(of).flatten().collect()
    }

    /// The indexes of replaced databases that stay outside the data directories, according to the running nodes. Nodes that do
    /// not answer are skipped.
    fn left_behind_on(&self, nodes: &[Node]) -> Vec<LeftBehind> {
        if self.plan.new_suffix.is_none() {
            return Vec::new();
        }
        let found = on_each(nodes, |_, node| Ok(outside::look(node)?));
        self.left_behind(|i| found.get(i)?.as_ref().ok().cloned())
    }

    fn describe_selection(&self) -> Option<SelectionDescription> {
        let selection = &self.options.selection;
        if selection.is_everything() {
            return None;
        }
        let stay: HashSet<&str> = self.plan.promised.names().collect();
        let mut gone = self.databases_now.clone();
        gone.retain(|name| !stay.contains(name.as_str()));
        gone.sort_by_cached_key(|name| (!database_name::is_system(name), name.clone()));
        Some(SelectionDescription {
            selection: selection.clone(),
            not_chosen: self.plan.chosen.not_chosen,
            gone,
        })
    }

    /// Carries out the restore. If it fails, everything is as before, or the error reports what is not.
    ///
    /// `interrupted` set during the wait ends the wait and leaves everything as it is; set before the wait it rolls back.
    pub fn carry_out(
        &mut self,
        nodes: &[Node],
        interrupted: &AtomicBool,
        reporter: &dyn Reporter,
    ) -> Result<LiveResult> {
        let begun = Instant::now();
        self.plan.tell(reporter);
        let steps = Steps::new(reporter);
        let (written, mut journals) = loop {
            let journals = self.journals()?;
            let id = journals.first().map(|journal| journal.id.clone());
            let discard = || steps::discard(nodes, id.as_deref(), &steps, reporter);
            let staged = stage::stage(self, nodes, journals, &steps, reporter).and_then(|staged| {
                if interrupted.load(Ordering::Relaxed) {
                    return Err(Failure::refused(
                        Code::new("CC-R34"),
                        "interrupted before anything was replaced",
                        "Run the same command again.",
                    ));
                }
                Ok(staged)
            });
            match staged {
                Ok(Staged::Proven(written, journals)) => break (written, journals),
                Ok(Staged::Damaged(damage)) => {
                    tell_damage(&damage, reporter);
                    discard();
                    self.leave_out(damage)?;
                    self.plan.tell(reporter);
                }
                Err(error) => {
                    discard();
                    return Err(error);
                }
            }
        };
        let identities = self.identities();
        let exchanged =
            steps::exchange(self, nodes, &identities, &mut journals, &steps, interrupted, reporter);
        let exchanged = undoing::or_undo(exchanged, nodes, &identities, &steps, interrupted, reporter)?;
        let seconds = begun.elapsed().as_secs_f64();
        let accepted = steps::accept(nodes, &exchanged.agreement, self.options.keep_old, &steps, reporter);
        Ok(LiveResult {
            restored: RestoreResult {
                nodes: self.restore.targets.iter().map(|target| target.node.clone()).collect(),
                databases: self.plan.databases,
                shard_files: written.shards,
                view_files: written.views,
                bytes: written.bytes,
                left_out: self.plan.left_out.clone(),
                views_left_out: self.plan.views_left_out.clone(),
                not_chosen: self.plan.chosen.not_chosen,
                renamed: self.options.selection.rename.clone(),
                files_rewritten: written.rewritten,
                new_suffix: self.plan.new_suffix.clone(),
            },
            left_behind: self.left_behind_on(nodes),
            agreement: exchanged.agreement,
            fresh_uuids: self.restore.fresh_uuids,
            service_down: exchanged.service_down,
            seconds,
            written_down: accepted.written_down,
            old_kept: accepted.old_kept,
        })
    }

    /// Plans again without the damaged databases.
    ///
    /// Fails if databases are damaged and are not to be left out.
    fn leave_out(&mut self, damage: Damage) -> Result<()> {
        damage.note_in(&mut self.contents);
        self.damage.shards.extend(damage.shards);
        self.damage.views.extend(damage.views);
        let (before, learned) = (std::mem::take(&mut self.plan), std::mem::take(&mut self.learned));
        self.plan = Plan::make(&self.contents, &self.restore)?;
        if !self.options.allow_empty {
            self.plan.refuse_empty(self.contents.name())?;
        }
        self.know_targets(&learned);
        // What has been shown and agreed to stays as it is.
        self.plan.new_suffix = before.new_suffix;
        self.learned = learned;
        Ok(())
    }

    /// What is known about every node, to recognise it after the restart.
    fn identities(&self) -> Vec<Identity> {
        self.learned.iter().map(|learned| learned.identity.clone().unwrap_or_default()).collect()
    }

    /// The first journals of this restore, by node.
    fn journals(&self) -> Result<Vec<Journal>> {
        let id = couchfile::writer::random_uuid().map_err(|e| unusable("no file", e))?;
        let archive =
            std::path::absolute(&self.options.archive).unwrap_or_else(|_| self.options.archive.clone());
        let length = std::fs::metadata(&archive).map_or(0, |found| found.len());
        let options = JournalOptions {
            copies: self.options.copies,
            fresh_uuids: self.restore.fresh_uuids,
            skip_damaged: self.options.skip_damaged,
            maps_by_http: self.options.maps == MapsBy::Http,
            selection: self.options.selection.clone(),
            damaged: self.damage.shards.clone(),
            damaged_views: self.damage.views.clone(),
            new_suffix: self.plan.new_suffix.clone(),
            remove_orphans: self.options.remove_orphans,
            allow_empty: self.options.allow_empty,
        };
        let names: Vec<String> = self.restore.targets.iter().map(|target| target.node.clone()).collect();
        let archive = (archive.display().to_string(), length);
        let begin = |name: &String| {
            Journal::begin(id.clone(), archive.clone(), names.clone(), name.clone(), options.clone())
        };
        let mut journals: Vec<Journal> = names.iter().map(begin).collect();
        for (journal, identity) in journals.iter_mut().zip(self.identities()) {
            journal.identity = Some(identity);
        }
        Ok(journals)
    }
}

/// The targets as for an offline restore, except that directories of different machines may have the same path.
fn check_names(targets: &[Target]) -> Result<()> {
    let apart = |(i, target): (usize, &Target)| Target {
        folder: PathBuf::from(format!("/{i}")),
        node: target.node.clone(),
    };
    check_targets(&targets.iter().enumerate().map(apart).collect::<Vec<_>>())
}

/// Reports a failure that does not affect the requested result.
fn warn(reporter: &dyn Reporter, text: String) {
    reporter.notice(&Notice { severity: Severity::Warning, text });
}

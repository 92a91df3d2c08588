//! A restore that has changed nothing yet.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cluster::identity::Identity;
use contents::Contents;
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Code, Failure, Result, parallel};

use super::options::{LiveOptions, LiveResult, MapsBy};
use super::phases::{Run, refuse_interrupted};
use super::stage::Staged;
use crate::folders::plan::{NodeShare, Plan};
use crate::folders::proof::Damage;
use crate::folders::suffix::TakenSuffixes;
use crate::folders::{RestoreOptions, RestoreResult, Suffixes, Target, check_targets, only_md5, tell_damage};
use crate::outside::Views;
use crate::preflight::placement::Followed;
use crate::preflight::{Allowed, Learned, Proofs, prove_all};
use crate::swap::Change;

/// A restore that has been planned and checked, and has changed nothing yet.
pub struct PlannedRestore {
    pub(super) options: LiveOptions,
    pub(super) contents: Contents,
    pub(super) plan: Plan,
    /// The options of the corresponding offline restore.
    pub(super) restore: RestoreOptions,
    pub(super) learned: Vec<Learned>,
    /// Damage that was found during staging; the damaged databases are left out.
    pub(super) damage: Damage,
    /// Databases that the cluster has now; queried only if not all databases of the archive are restored.
    pub(super) databases_now: Vec<String>,
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
            keep_suffix: options.choices.suffixes == Suffixes::Keep,
            followed: Followed::by(&options.choices.placement),
        };
        let (proofs, learned) = prove_all(nodes, allowed)?;
        proofs.refuse()?;
        reporter.timing("nodes inspected", begun.elapsed().as_secs_f64());
        let mut options = options.clone();
        learn_placement(&mut options, nodes, &learned);
        let mut planned = Self::of_archive(&options, Damage::default(), nodes, reporter)?;
        if !options.choices.allow_empty {
            planned.plan.refuse_empty(planned.contents.name())?;
        }
        options.choices.transformation.try_out(planned.plan.first_reshaped())?;
        planned.know_targets(&learned);
        planned.learned = learned;
        planned.refuse_without_room(nodes)?;
        let databases_now = match nodes.first().filter(|_| !options.choices.selection.is_everything()) {
            Some(first) => first.http.databases()?,
            None => Vec::new(),
        };
        planned.restore.for_couchdb =
            only_md5(planned.learned.iter().filter_map(|learned| learned.version.as_ref()));
        Ok(Self { databases_now, proofs, ..planned })
    }

    /// Plans without inspecting the nodes; `damage` is the known damage in the archive.
    pub(super) fn of_archive(
        options: &LiveOptions,
        mut damage: Damage,
        nodes: &[Node],
        reporter: &dyn Reporter,
    ) -> Result<Self> {
        let begun = Instant::now();
        let threads = parallel::threads(options.threads);
        let mut contents = options.choices.open(&options.archive, threads, reporter)?;
        damage.add(Damage::lost(&contents)?);
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
            choices: options.choices.clone(),
            for_couchdb: None,
            threads: options.threads,
        };
        check_names(&restore.targets)?;
        let mut plan = Plan::make(&contents, &restore)?;
        // What is finished goes on with what was chosen; else that depends on the nodes.
        plan.choose_suffix(&options.choices.suffixes, false, &TakenSuffixes::default());
        // Consumers may have seen a newer state on the very same node; see docs/couch-format.md, 7.4.
        restore.choices.fresh_uuids |=
            restore.targets.iter().any(|target| plan.sources.contains(&target.node));
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
    pub(super) fn know_targets(&mut self, learned: &[Learned]) {
        let mut taken = TakenSuffixes::default();
        let mut has_same = false;
        for holdings in learned.iter().map(|learned| &learned.holdings) {
            taken.note_all(&holdings.suffixes);
            has_same |= self.plan.with_suffixes.iter().any(|database| holdings.databases.contains(database));
        }
        // It may be newer there, whatever the nodes are called.
        self.restore.choices.fresh_uuids |= has_same;
        let views_elsewhere = learned.iter().any(|learned| learned.outside.views != Views::Inside);
        if views_elsewhere {
            // CouchDB does not look for them where they would be.
            self.plan.views.clear();
        }
        let needed = self.restore.choices.fresh_uuids || views_elsewhere || !self.plan.reshaped.is_empty();
        self.plan.choose_suffix(&self.restore.choices.suffixes, needed, &taken);
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
        let (mut written, journals) = loop {
            let journals = self.journals()?;
            let id = journals.first().map(|journal| journal.id.clone());
            let discard = || super::removal::discard(nodes, id.as_deref(), &steps, reporter);
            let staged = super::stage::stage(self, nodes, journals, &steps, reporter).and_then(|staged| {
                refuse_interrupted(interrupted)?;
                Ok(staged)
            });
            match staged {
                Ok(Staged::Proven(written, journals)) => break (written, journals),
                Ok(Staged::Damaged(damage)) => {
                    tell_damage(&damage, reporter);
                    discard();
                    self.leave_out(damage)?;
                    self.refuse_without_room(nodes)?;
                    self.plan.tell(reporter);
                }
                Err(error) => {
                    discard();
                    return Err(error);
                }
            }
        };
        let identities = self.identities();
        let passed = std::mem::take(&mut written.passed);
        passed.promise(&mut self.plan.promised);
        let run = self.run(nodes, &identities, &steps, interrupted, reporter);
        let agreed = run.or_roll_back(run.finish_staged(journals))?;
        let seconds = begun.elapsed().as_secs_f64();
        let accepted = agreed.accept(self.options.keep_old);
        Ok(LiveResult {
            restored: RestoreResult {
                nodes: self.restore.node_names(),
                databases: self.plan.databases,
                shard_files: written.shards,
                view_files: written.views,
                bytes: written.bytes,
                left_out: self.plan.left_out.clone(),
                views_left_out: self.plan.views_left_out.clone(),
                not_chosen: self.plan.chosen.not_chosen,
                renamed: self.options.choices.selection.rename.clone(),
                reshaped: self.plan.with_other_ranges(),
                transformed_by: self.options.choices.transformation.name().map(str::to_owned),
                documents_left_out: passed.left_out(),
                files_rewritten: written.rewritten,
                new_suffix: self.plan.new_suffix.clone(),
                placed: self.shares(),
            },
            left_behind: self.left_behind_on(nodes),
            serving: agreed.agreement.serving(seconds),
            service_down: agreed.service_down,
            agreement: agreed.agreement,
            fresh_uuids: self.restore.choices.fresh_uuids,
            seconds,
            written_down: accepted.written_down,
            old_kept: accepted.old_kept,
        })
    }

    /// What the phases after staging need.
    pub(super) fn run<'r>(
        &'r self,
        nodes: &'r [Node],
        identities: &'r [Identity],
        steps: &'r Steps<'r>,
        interrupted: &'r AtomicBool,
        reporter: &'r dyn Reporter,
    ) -> Run<'r> {
        Run {
            change: Change::Restore,
            promised: &self.plan.promised,
            wait: self.options.wait,
            maps_first: self.options.maps == MapsBy::Http,
            creates_maps: (self.options.maps == MapsBy::Http).then_some(self),
            nodes,
            cluster: nodes,
            identities,
            started_as: identities,
            steps,
            interrupted,
            reporter,
        }
    }

    /// Plans again without the damaged databases.
    ///
    /// Fails if databases are damaged and are not to be left out.
    pub(super) fn leave_out(&mut self, damage: Damage) -> Result<()> {
        damage.note_in(&mut self.contents);
        self.damage.shards.extend(damage.shards);
        self.damage.views.extend(damage.views);
        let (before, learned) = (std::mem::take(&mut self.plan), std::mem::take(&mut self.learned));
        self.plan = Plan::make(&self.contents, &self.restore)?;
        if !self.options.choices.allow_empty {
            self.plan.refuse_empty(self.contents.name())?;
        }
        self.know_targets(&learned);
        // What has been shown and agreed to stays as it is.
        self.plan.new_suffix = before.new_suffix;
        self.learned = learned;
        Ok(())
    }

    /// Refuses new data that does not fit next to the old data of a node.
    fn refuse_without_room(&self, nodes: &[Node]) -> Result<()> {
        for ((node, learned), bytes) in nodes.iter().zip(&self.learned).zip(&self.plan.bytes) {
            if let Some(free) = learned.free {
                refuse_without_room(node, free, *bytes)?;
            }
        }
        Ok(())
    }

    /// What each node gets.
    pub(super) fn shares(&self) -> Vec<NodeShare> {
        self.plan.shares(&self.restore.node_names(), &self.restore.choices)
    }

    /// What is known about every node, to recognise it after the restart.
    pub(super) fn identities(&self) -> Vec<Identity> {
        self.learned.iter().map(|learned| learned.identity.clone().unwrap_or_default()).collect()
    }
}

/// Takes from the nodes, which agree, where they would have CouchDB place copies.
fn learn_placement(options: &mut LiveOptions, nodes: &[Node], learned: &[Learned]) {
    let Some(told) = learned.iter().find_map(|learned| learned.placement.as_ref()) else { return };
    let facts = told.facts(nodes.iter().filter_map(|node| node.id.name.as_deref()));
    // What is not readable has been refused, unless it does not matter.
    options.choices.placement.learn(told.zones().unwrap_or_default(), facts);
}

/// Refuses new data that does not fit next to the old data; both numbers are bytes.
pub(crate) fn refuse_without_room(node: &Node, free: u64, bytes: u64) -> Result<()> {
    if free >= bytes {
        return Ok(());
    }
    Err(Failure::refused(
        Code::new("CC-R33"),
        format!(
            "{} has {} MiB free, but the new data needs about {} MiB next to the old data",
            node.shown(),
            free >> 20,
            bytes >> 20
        ),
        "Free some space. The old data is kept until the nodes agree on the new data.",
    ))
}

/// The targets as for an offline restore, except that directories of different machines may have the same path.
fn check_names(targets: &[Target]) -> Result<()> {
    let apart = |(i, target): (usize, &Target)| Target {
        folder: PathBuf::from(format!("/{i}")),
        node: target.node.clone(),
    };
    check_targets(&targets.iter().enumerate().map(apart).collect::<Vec<_>>())
}

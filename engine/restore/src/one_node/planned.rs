//! A restore of one node that has changed nothing yet, and how it is carried out.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cluster::identity::Identity;
use contents::{Contents, unusable};
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Code, Failure, Result, parallel};

use super::checks::{self, Inspected};
use super::options::{OneNodeDescription, OneNodeOptions, OneNodeResult};
use super::{Properties, blank, current, properties};
use crate::RestoreChoices;
use crate::folders::plan::{Blank, Held, Plan};
use crate::folders::proof::Damage;
use crate::folders::visitor::WrittenFiles;
use crate::folders::{RestoreOptions, Target, only_md5, write};
use crate::live::phases::{Run, refuse_interrupted};
use crate::live::planned::refuse_without_room;
use crate::live::removal::discard;
use crate::live::stage::{check_sent, destination};
use crate::preflight::holdings::Holdings;
use crate::swap::{self, Change, Journal, JournalOptions, Places, Situation};

/// Shown in a refusal.
const SHOWN: usize = 5;

/// A restore of one node that has been planned and checked, and has changed nothing yet.
pub struct PlannedNode {
    pub(super) options: OneNodeOptions,
    contents: Contents,
    pub(super) plan: Plan,
    blanks: Vec<Blank>,
    held: BTreeMap<String, Held>,
    restore: RestoreOptions,
    inspected: Inspected,
    holdings: Holdings,
    /// What is known about every node: first the node, then the others.
    pub(super) identities: Vec<Identity>,
    others: Vec<String>,
}

impl PlannedNode {
    /// Plans to bring one of these nodes back, which must be all nodes of their cluster, and checks that it would succeed. Sets the
    /// names of nodes that were not given, and puts the node in front of the others.
    pub fn make(options: &OneNodeOptions, nodes: &mut [Node], reporter: &dyn Reporter) -> Result<Self> {
        reporter.phase("inspecting the nodes", None);
        let inspected = checks::inspect(nodes, &options.name)?;
        let (Some(target), Some(running)) = (nodes.first(), nodes.get(1)) else {
            return Err(Failure::bug("a node without others was accepted"));
        };
        let held = current::held(&options.name, running)?;
        let holdings = checks::holdings(target, running, options.remove_orphans)?;
        let contents = Contents::open(&options.archive, parallel::threads(options.threads), reporter)?;
        let restore = RestoreOptions {
            archive: options.archive.clone(),
            targets: vec![Target { folder: target.data.clone(), node: options.name.clone() }],
            // Consumers have seen a newer state of the same copies.
            choices: RestoreChoices { fresh_uuids: true, ..RestoreChoices::default() },
            for_couchdb: only_md5(&inspected.versions),
            threads: options.threads,
        };
        let others = nodes.iter().skip(1).map(Node::shown).collect();
        let identities = inspected.identities.clone();
        let mut planned = Self {
            options: options.clone(),
            contents,
            plan: Plan::default(),
            blanks: Vec::new(),
            held,
            restore,
            inspected,
            holdings,
            identities,
            others,
        };
        planned.plan()?;
        refuse_without_room(target, planned.inspected.free, planned.plan.bytes[0])?;
        Ok(planned)
    }

    fn plan(&mut self) -> Result<()> {
        let (mut plan, blanks) = Plan::of_one_node(&self.contents, &self.held, self.options.threads)?;
        let lost: Vec<String> = blanks
            .iter()
            .filter(|blank| blank.only_here)
            .map(|blank| format!("{} {}", blank.shard.db, blank.shard.range))
            .collect();
        if !lost.is_empty() {
            return Err(Failure::incomplete(
                Code::new("CC-R92"),
                format!(
                    "{} ranges are on {} alone, and not in the archive: {}{}",
                    lost.len(),
                    self.options.name,
                    lost.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", "),
                    if lost.len() > SHOWN { ", …" } else { "" }
                ),
                "Use a backup that holds them. If there is none, delete these databases, and try again.",
            ));
        }
        if self.inspected.views_elsewhere {
            // CouchDB does not look for them where they would be.
            plan.views.clear();
        }
        plan.properties = std::mem::take(&mut self.plan.properties);
        (self.plan, self.blanks) = (plan, blanks);
        Ok(())
    }

    /// Describes what the restore will do.
    pub fn describe(&self, nodes: &[Node]) -> OneNodeDescription {
        let target = nodes.first();
        OneNodeDescription {
            archive: self.options.archive.clone(),
            made: self.contents.metadata.as_ref().map(|metadata| metadata.backup.date.clone()),
            node: self.options.name.clone(),
            url: target.map(|node| node.http.url().to_owned()).unwrap_or_default(),
            data: target.map(|node| node.data.clone()).unwrap_or_default(),
            service: target.map(|node| node.service.shown().to_owned()).unwrap_or_default(),
            answers: self.inspected.answers,
            others: self.others.clone(),
            databases: self.plan.databases,
            shards: self.plan.shards.len() as u64,
            from_others: self.blanks.len() as u64,
            only_here: self
                .held
                .iter()
                .filter(|(_, held)| !held.only_here.is_empty())
                .map(|(db, _)| db.clone())
                .collect(),
            bytes: self.plan.bytes[0],
            kept: self.holdings.soft_deleted.clone(),
            orphans: self.holdings.orphans.clone(),
        }
    }

    /// Carries out the restore. If it fails, everything is as before, or the error reports what is not. The other nodes are never
    /// stopped.
    ///
    /// `interrupted` set during the wait ends the wait and leaves everything as it is; set before the wait it rolls back.
    pub fn carry_out(
        &mut self,
        nodes: &[Node],
        interrupted: &AtomicBool,
        reporter: &dyn Reporter,
    ) -> Result<OneNodeResult> {
        let begun = Instant::now();
        let steps = Steps::new(reporter);
        let [target, running, ..] = nodes else {
            return Err(Failure::bug("a node without others was accepted"));
        };
        let own = &nodes[..1];
        let names: Vec<&String> =
            self.held.iter().filter(|(_, held)| !held.ranges.is_empty()).map(|(db, _)| db).collect();
        self.plan.properties = properties::learn(running, &names, reporter)?;
        let (written, journal) = loop {
            let journal = self.journal()?;
            let id = journal.id.clone();
            let staged = self.stage(target, journal, &steps, reporter).and_then(|staged| {
                refuse_interrupted(interrupted)?;
                Ok(staged)
            });
            match staged {
                Ok(Ok(staged)) => break staged,
                Ok(Err(damage)) => {
                    crate::folders::tell_damage(&damage, reporter);
                    discard(own, Some(&id), &steps, reporter);
                    damage.note_in(&mut self.contents);
                    self.plan()?;
                }
                Err(error) => {
                    discard(own, Some(&id), &steps, reporter);
                    return Err(error);
                }
            }
        };
        let run = self.run(nodes, &steps, interrupted, reporter);
        let agreed = run.or_roll_back(run.finish_staged(vec![journal]))?;
        let seconds = begun.elapsed().as_secs_f64();
        let accepted = agreed.accept(self.options.keep_old);
        Ok(OneNodeResult {
            node: self.options.name.clone(),
            others: self.others.clone(),
            databases: self.plan.databases,
            shard_files: written.shards,
            view_files: written.views,
            bytes: written.bytes,
            from_others: self.blanks.len() as u64,
            damaged: self.plan.left_out.clone(),
            service_down: agreed.service_down,
            agreement: agreed.agreement,
            seconds,
            written_down: accepted.written_down,
            old_kept: accepted.old_kept,
        })
    }

    /// What the phases after staging need.
    fn run<'r>(
        &'r self,
        nodes: &'r [Node],
        steps: &'r Steps<'r>,
        interrupted: &'r AtomicBool,
        reporter: &'r dyn Reporter,
    ) -> Run<'r> {
        Run {
            change: Change::Restore,
            promised: &self.plan.promised,
            wait: self.options.wait,
            maps_first: true,
            creates_maps: None,
            nodes: &nodes[..1],
            cluster: nodes,
            identities: &self.identities,
            started_as: &self.identities,
            steps,
            interrupted,
            reporter,
        }
    }

    /// Writes the new data next to the old data, and checks each file as it is written.
    fn stage(
        &self,
        target: &Node,
        mut journal: Journal,
        steps: &Steps<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Result<(WrittenFiles, Journal), Damage>> {
        let places = Places::of(target);
        if matches!(swap::look(target)?.situation, Situation::Undone | Situation::Leftover) {
            places.remove(target)?;
        }
        places.begin(target, &journal)?;
        steps.done("begun", target);
        let destinations = [destination(target, &places.new)?];
        for blank in &self.blanks {
            let properties: Option<&Properties> = self.plan.properties.get(blank.shard.db.as_str());
            blank::write(blank, properties, &self.options.name, &destinations[0])?;
        }
        let written = match write(&self.contents, &self.plan, &self.restore, &destinations, false, reporter)?
        {
            Ok(written) => written,
            Err(damage) => return Ok(Err(damage)),
        };
        reporter.phase("making the data durable", None);
        let sent = destinations[0].finish()?;
        steps.done("copied", target);
        if target.files.streams().is_some() {
            check_sent(target, &places, sent)?;
        }
        places.staged(target, &mut journal)?;
        steps.done("staged", target);
        Ok(Ok((written, journal)))
    }

    fn journal(&self) -> Result<Journal> {
        let id = couchfile::writer::random_uuid().map_err(|e| unusable("no file", e))?;
        let archive = self.options.archive.absolute();
        let length = archive.length()?.unwrap_or_default();
        let name = self.options.name.clone();
        let options = JournalOptions {
            fresh_uuids: true,
            remove_orphans: self.options.remove_orphans,
            others: self.others.clone(),
            ..JournalOptions::default()
        };
        let mut journal =
            Journal::begin(id, (archive.to_string(), length), vec![name.clone()], name, options);
        journal.identity = self.identities.first().cloned();
        Ok(journal)
    }
}

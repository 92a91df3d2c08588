//! A renaming that has changed nothing yet, and how it is carried out.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cluster::agreement::Promised;
use cluster::identity::Identity;
use cluster::{ClusterError, on_all, on_each};
use contents::unusable;
use node::Node;
use outcome::report::{Reporter, Steps};
use outcome::{Code, Failure, Result, parallel};

use super::checks::{self, Facts, Inspected, Merged};
use super::error::RenameError;
use super::files::NodeMaps;
use super::names::NewNames;
use super::options::{RenameDescription, RenameOptions, RenameResult, RenamedNode};
use super::{offline, write};
use crate::error::ChangeError;
use crate::live::phases::{Run, refuse_interrupted};
use crate::live::removal::discard;
use crate::live::stage::{check_sent, destination};
use crate::live::standstill;
use crate::preflight::Proofs;
use crate::swap::{self, Change, Journal, Places, Situation};

/// A renaming that has been planned and checked, and has changed nothing yet.
pub struct PlannedRename {
    pub(super) options: RenameOptions,
    /// Names of all nodes from now on.
    given: Vec<String>,
    inspected: Vec<Inspected>,
    facts: Facts,
    /// The results of the checks.
    pub proofs: Proofs,
}

impl PlannedRename {
    /// Plans to rename nodes of a cluster, all of which are given, and checks that it would succeed. Sets the names of the nodes:
    /// those from now on.
    pub fn make(options: &RenameOptions, nodes: &mut [Node], reporter: &dyn Reporter) -> Result<Self> {
        let names = &options.names;
        reporter.phase("inspecting the nodes", None);
        let mut proofs = Proofs::default();
        let mut inspected = Vec::with_capacity(nodes.len());
        for found in on_each(nodes, |_, node| Ok(checks::inspect(node, names, options.offline))) {
            let (of_node, found) = found?;
            proofs.proofs.extend(of_node);
            inspected.push(found);
        }
        proofs.refuse_all(Code::new("CC-R84"), "the nodes cannot be renamed")?;
        let of_nodes = on_all(nodes, |_, node| NodeMaps::open(node, &node.data))?;
        for ((node, maps), inspected) in nodes.iter_mut().zip(&of_nodes).zip(&inspected) {
            let answers = inspected.answers_as.clone();
            let known =
                answers.or_else(|| node.id.name.clone()).or_else(|| maps.opened_by().map(str::to_owned));
            node.id.name = known.map(|known| names.after(&known).to_owned());
        }
        let given: Vec<String> = nodes.iter().map(Node::shown).collect();
        let facts = Merged::of(&of_nodes)?.learn(names, parallel::threads(options.threads))?;
        facts.refuse(names, &given)?;
        Ok(Self { options: options.clone(), given, inspected, facts, proofs })
    }

    /// Describes what the renaming will do.
    pub fn describe(&self, nodes: &[Node]) -> RenameDescription {
        let of_node = |(node, inspected): (&Node, &Inspected)| RenamedNode {
            name: node.shown(),
            url: node.http.url().to_owned(),
            data: node.data.clone(),
            service: node.service.shown().to_owned(),
            answers_as: inspected.answers_as.clone(),
        };
        RenameDescription {
            names: self.options.names.names.clone(),
            forget: self.options.names.forget.clone(),
            offline: self.options.offline,
            databases: self.facts.promised.databases(),
            maps: self.facts.changed,
            differing: self.facts.differing,
            nodes: nodes.iter().zip(&self.inspected).map(of_node).collect(),
        }
    }

    /// Carries out the renaming. If it fails, everything is as before, or the error reports what is not.
    ///
    /// `interrupted` set during the wait ends the wait and leaves everything as it is; set before the stop it ends the renaming.
    pub fn carry_out(
        &self,
        nodes: &[Node],
        interrupted: &AtomicBool,
        reporter: &dyn Reporter,
    ) -> Result<RenameResult> {
        let begun = Instant::now();
        let steps = Steps::new(reporter);
        let journals = self.journals()?;
        let id = journals.first().map(|journal| journal.id.clone());
        let started = begin(nodes, &journals, &steps).and_then(|()| refuse_interrupted(interrupted));
        if let Err(error) = started {
            discard(nodes, id.as_deref(), &steps, reporter);
            return Err(error);
        }
        if self.options.offline {
            offline::carry_out(self, nodes, &journals, &steps, reporter)?;
            return Ok(self.result(&self.facts.promised, begun));
        }
        let (identities, started_as) = self.identities();
        let run = Run {
            change: Change::Rename,
            promised: &self.facts.promised,
            wait: self.options.wait,
            maps_first: false,
            creates_maps: None,
            cluster: nodes,
            nodes,
            identities: &identities,
            started_as: &started_as,
            steps: &steps,
            interrupted,
            reporter,
        };
        reporter.phase("stopping CouchDB", None);
        let since = Instant::now();
        let staged = run.stop().and_then(|()| {
            reporter.timing("nodes stopped", since.elapsed().as_secs_f64());
            standstill::check(nodes)?;
            // A database may have been created or deleted since the checks.
            self.stage(nodes, &journals, &steps, reporter)
        });
        let (facts, journals) = match staged {
            Ok(staged) => staged,
            Err(error) => {
                run.or_roll_back(Err(error))?;
                return Err(Failure::bug("a renaming that failed went on"));
            }
        };
        let run = Run { promised: &facts.promised, ..run };
        let agreed =
            run.finish_stopped(journals, since).map_err(|e| explained(e, nodes, &self.options.names));
        let agreed = run.or_roll_back(agreed)?;
        let mut result = self.result(&facts.promised, begun);
        let accepted = agreed.accept(self.options.keep_old);
        result.service_down = Some(agreed.service_down);
        result.agreement = Some(agreed.agreement);
        result.written_down = accepted.written_down;
        result.old_kept = accepted.old_kept;
        Ok(result)
    }

    /// Writes the new files next to the old ones; CouchDB is stopped everywhere.
    pub(super) fn stage(
        &self,
        nodes: &[Node],
        journals: &[Journal],
        steps: &Steps<'_>,
        reporter: &dyn Reporter,
    ) -> Result<(Facts, Vec<Journal>)> {
        let (names, threads) = (&self.options.names, parallel::threads(self.options.threads));
        reporter.phase("rewriting the shard maps", None);
        let begun = Instant::now();
        let of_nodes = on_all(nodes, |_, node| NodeMaps::open(node, &node.data))?;
        let merged = Merged::of(&of_nodes)?;
        let facts = merged.learn(names, threads)?;
        facts.refuse(names, &self.given)?;
        let destinations = on_all(nodes, |_, node| destination(node, &Places::of(node).new))?;
        write::write(&merged, names, &self.given, &of_nodes, &destinations, threads)?;
        let journals = on_all(nodes, |i, node| {
            let sent = destinations[i].finish()?;
            if node.files.streams().is_some() {
                check_sent(node, &Places::of(node), sent)?;
            }
            let mut journal = journals[i].clone();
            Places::of(node).staged(node, &mut journal)?;
            steps.done("staged", node);
            Ok(journal)
        })?;
        reporter.timing("maps rewritten", begun.elapsed().as_secs_f64());
        Ok((facts, journals))
    }

    fn journals(&self) -> Result<Vec<Journal>> {
        let id = couchfile::writer::random_uuid().map_err(|e| unusable("no file", e))?;
        let renaming = self.options.names.renaming(self.options.offline);
        let of_node = |(name, inspected): (&String, &Inspected)| {
            let mut journal =
                Journal::begin_renaming(id.clone(), renaming.clone(), self.given.clone(), name.clone());
            journal.identity = Some(inspected.identity.clone());
            journal
        };
        Ok(self.given.iter().zip(&self.inspected).map(of_node).collect())
    }

    /// What is known of each node before the start under the new names, and after it.
    fn identities(&self) -> (Vec<Identity>, Vec<Identity>) {
        let after: Vec<Identity> = self.inspected.iter().map(|found| found.identity.clone()).collect();
        let before = after.iter().zip(&self.given).map(|(identity, name)| Identity {
            other_name: Some(self.options.names.before(name).to_owned()),
            ..identity.clone()
        });
        (before.collect(), after)
    }

    fn result(&self, promised: &Promised, begun: Instant) -> RenameResult {
        RenameResult {
            names: self.options.names.names.clone(),
            nodes: self.given.clone(),
            databases: promised.databases(),
            agreement: None,
            service_down: None,
            seconds: begun.elapsed().as_secs_f64(),
            written_down: true,
            old_kept: true,
        }
    }
}

/// Writes the first journals.
fn begin(nodes: &[Node], journals: &[Journal], steps: &Steps<'_>) -> Result<()> {
    on_all(nodes, |i, node| {
        let places = Places::of(node);
        if matches!(swap::look(node)?.situation, Situation::Undone | Situation::Leftover) {
            places.remove(node)?;
        }
        places.begin(node, &journals[i])?;
        steps.done("begun", node);
        Ok(())
    })?;
    Ok(())
}

/// The error of a start, with its cause where that is known.
pub(super) fn explained(error: Failure, nodes: &[Node], names: &NewNames) -> Failure {
    let is_another = matches!(error.get(), Some(ClusterError::AnotherCouchDb { .. }));
    let is_disagreement = matches!(error.get(), Some(ChangeError::Disagreement { .. }));
    for node in nodes.iter().filter(|_| is_another || is_disagreement) {
        let new = node.shown();
        let old = names.before(&new);
        if is_another && old != new && node.http.node_name().is_ok_and(|name| name == old) {
            return RenameError::OldName { old: old.to_owned(), new }.into();
        }
        if is_disagreement && let Ok(Some(old)) = checks::in_seedlist(node, names) {
            return RenameError::Seedlist { node: new, old }.into();
        }
    }
    error
}

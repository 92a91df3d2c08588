//! What a planned restore will do, for people and for journals.

use std::collections::HashSet;

use cluster::on_each;
use contents::unusable;
use couchfile::database_name;
use node::Node;
use outcome::Result;

use super::options::{MapsBy, NodeDescription, PlacementDescription, PlanDescription, SelectionDescription};
use super::planned::PlannedRestore;
use crate::folders::Target;
use crate::outside::{self, LeftBehind, Outside};
use crate::swap::{Journal, JournalOptions};

impl PlannedRestore {
    /// Describes what the restore will do.
    pub fn describe(&self, nodes: &[Node]) -> PlanDescription {
        PlanDescription {
            archive: self.options.archive.clone(),
            made: self.contents.metadata.as_ref().map(|metadata| metadata.backup.date.clone()),
            databases: self.plan.databases,
            left_out: self.plan.left_out.len() as u64,
            selection: self.describe_selection(),
            reshaped: self.plan.with_other_ranges(),
            transformed_by: self.restore.choices.transformation.name().map(str::to_owned),
            fresh_uuids: self.restore.choices.fresh_uuids,
            md5_for: self.restore.for_couchdb.as_ref().map(ToString::to_string),
            new_suffix: self.plan.new_suffix.clone(),
            left_behind: self.left_behind(|i| self.learned.get(i).map(|learned| learned.outside.clone())),
            placement: self.describe_placement(),
            nodes: nodes
                .iter()
                .zip(self.shares())
                .enumerate()
                .map(|(i, (node, share))| NodeDescription {
                    name: share.node,
                    url: node.http.url().to_owned(),
                    data: node.data.clone(),
                    service: node.service.shown().to_owned(),
                    databases_now: self.learned.get(i).and_then(|learned| learned.databases),
                    zone: share.zone,
                    databases: share.databases,
                    shards: share.shards,
                    bytes: share.bytes,
                    kept: self.learned.get(i).map_or_else(Vec::new, |of| of.holdings.soft_deleted.clone()),
                    orphans: self.learned.get(i).map_or_else(Vec::new, |of| of.holdings.orphans.clone()),
                })
                .collect(),
        }
    }

    fn describe_placement(&self) -> PlacementDescription {
        let placement = &self.restore.choices.placement;
        let mut decommissioned = self.restore.node_names();
        decommissioned.retain(|node| placement.is_decommissioned(node));
        PlacementDescription {
            cluster: placement.of_cluster().map(ToString::to_string),
            place: placement.places().texts(),
            kept: self.plan.placed.kept,
            other_copies: self.plan.placed.other_copies,
            decommissioned,
        }
    }

    /// The indexes of replaced databases that stay outside the data directory of the node with this number, as far as known.
    pub(super) fn left_behind(&self, outside: impl Fn(usize) -> Option<Outside>) -> Vec<LeftBehind> {
        let Some(suffix) = &self.plan.new_suffix else { return Vec::new() };
        let of = |(i, target): (usize, &Target)| Some(outside(i)?.left_behind(&target.node, suffix));
        self.restore.targets.iter().enumerate().filter_map(of).flatten().collect()
    }

    /// The indexes of replaced databases that stay outside the data directories, according to the running nodes. Nodes that do
    /// not answer are skipped.
    pub(super) fn left_behind_on(&self, nodes: &[Node]) -> Vec<LeftBehind> {
        if self.plan.new_suffix.is_none() {
            return Vec::new();
        }
        let found = on_each(nodes, |_, node| Ok(outside::look(node)?));
        self.left_behind(|i| found.get(i)?.as_ref().ok().cloned())
    }

    pub(super) fn describe_selection(&self) -> Option<SelectionDescription> {
        let selection = &self.options.choices.selection;
        if selection.is_everything() && self.plan.backed_up.is_everything() {
            return None;
        }
        let stay: HashSet<&str> = self.plan.promised.names().collect();
        let mut gone = self.databases_now.clone();
        gone.retain(|name| !stay.contains(name.as_str()));
        gone.sort_by_cached_key(|name| (!database_name::is_system(name), name.clone()));
        Some(SelectionDescription {
            selection: selection.clone(),
            backed_up: self.plan.backed_up.clone(),
            not_chosen: self.plan.chosen.not_chosen,
            gone,
        })
    }

    /// The first journals of this restore, by node.
    pub(super) fn journals(&self) -> Result<Vec<Journal>> {
        let id = couchfile::writer::random_uuid().map_err(|e| unusable("no file", e))?;
        let archive = self.options.archive.absolute();
        let length = archive.length()?.unwrap_or_default();
        let chosen = &self.restore.choices;
        let options = JournalOptions {
            copies: chosen.copies,
            fresh_uuids: chosen.fresh_uuids,
            skip_damaged: chosen.skip_damaged,
            maps_by_http: self.options.maps == MapsBy::Http,
            selection: chosen.selection.clone(),
            damaged: self.damage.shards.clone(),
            damaged_views: self.damage.views.clone(),
            new_suffix: self.plan.new_suffix.clone(),
            remove_orphans: self.options.remove_orphans,
            others: Vec::new(),
            allow_empty: chosen.allow_empty,
            rebuild_maps: chosen.rebuild_maps,
            ranges: chosen.ranges.clone(),
            placement: Some(chosen.placement.clone()),
            transformed_by: chosen.transformation.name().map(str::to_owned),
        };
        let names = self.restore.node_names();
        let archive = (archive.to_string(), length);
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

//! One look at everything, or at what was found before.

use std::collections::HashMap;

use contents::NamePatterns;
use couchfile::shard_map::ShardMap;
use outcome::report::{Reporter, Silent, timed};
use outcome::{Failure, Result};

use super::DoctorOptions;
use super::database::Examination;
use super::finding::{Finding, FindingKind};
pub(super) use super::verdict::Suspects;
use super::verdict::Verdict;
use super::verdict::{Area, Notebook};
use super::{files, indexes, members, shard_maps};
use crate::folder::NodeFolder;
use crate::plan::{Plan, for_each_map};

/// Copies that are looked at before others are: so many are held at once.
const COPIES: usize = 512;

/// One look.
pub(super) struct Round<'r> {
    pub(super) folders: &'r [NodeFolder],
    pub(super) options: &'r DoctorOptions,
    pub(super) threads: usize,
    pub(super) reporter: &'r dyn Reporter,
}

impl Round<'_> {
    /// Looks at `suspects`; adds to what is certain, and returns what has to be looked at again, too.
    pub(super) fn look(&self, suspects: &Suspects, verdict: Verdict) -> Result<(Verdict, Suspects)> {
        let notes = Notebook::new(suspects, verdict);
        let Self { folders, threads, reporter, .. } = self;
        reporter.phase("reading the shard maps", None);
        notes.count(|diagnosis| {
            diagnosis.nodes = folders.iter().map(NodeFolder::node_display_name).collect();
        });
        shard_maps::readable(folders, &notes);
        if folders.iter().all(|folder| folder.maps.is_err()) {
            return Ok(notes.into_results());
        }
        // What is wrong with the maps is a finding, no notice.
        let (plan, _) = Plan::survey(folders, &NamePatterns::default(), *threads, &Silent)?;
        timed(*reporter, "copies examined", || self.databases(&plan, &notes))?;
        if suspects.has(Area::Indexes) {
            reporter.phase("examining view indexes", None);
            timed(*reporter, "view indexes examined", || indexes::examine(self, &plan, &notes))?;
        }
        if suspects.has(Area::Files) {
            reporter.phase("looking for files that no shard map names", None);
            timed(*reporter, "other files found", || files::examine(folders, &plan, &notes))?;
        }
        Ok(notes.into_results())
    }

    /// Examines every shard map and the copies that it names.
    fn databases(&self, plan: &Plan<'_>, notes: &Notebook<'_>) -> Result<()> {
        let members = members::members(self.folders)?;
        let mut checked = shard_maps::Checked::new(self.folders, &members, notes);
        let by_name: HashMap<&str, usize> = self
            .folders
            .iter()
            .enumerate()
            .filter_map(|(number, folder)| Some((folder.name.as_deref()?, number)))
            .collect();
        let copies = plan.shards.iter().map(|shard| shard.folders.len() as u64).sum();
        self.reporter.phase("examining copies", notes.suspects().is_all().then_some(copies));
        let examination = Examination::new(self, &by_name, notes);
        let mut batch = Vec::new();
        let mut held = 0;
        let mut add = |map: ShardMap| -> Result<()> {
            checked.check(&map);
            if !notes.suspects().has_database(&map.db) {
                return Ok(());
            }
            held += map.by_range.values().map(Vec::len).sum::<usize>();
            batch.push(map);
            if held < COPIES {
                return Ok(());
            }
            held = 0;
            self.refuse_interrupted()?;
            examination.batch(&std::mem::take(&mut batch))
        };
        for_each_map(plan.maps.database, self.threads, |map| match map {
            Ok(map) if plan.disputed.contains_key(&map.db) => Ok(()),
            Ok(map) => add(map),
            Err(unreadable) => {
                let finding = Finding::new(FindingKind::MapDamaged, &unreadable.problem).of(&unreadable.db);
                notes.note(Area::Maps, finding.on(plan.maps.folder.node_display_name()));
                Ok(())
            }
        })?;
        for winner in plan.disputed.values().filter_map(|disputed| disputed.winner.as_ref()) {
            add(winner.map.clone())?;
        }
        examination.batch(&batch)?;
        shard_maps::disputed(self.folders, &plan.disputed, notes);
        checked.finish();
        notes.count(|diagnosis| diagnosis.databases = plan.databases);
        Ok(())
    }

    /// Fails if the user has interrupted the examination.
    pub(super) fn refuse_interrupted(&self) -> Result<()> {
        if self.reporter.is_interrupted() { Err(Failure::interrupted()) } else { Ok(()) }
    }
}

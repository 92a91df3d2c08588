//! Which shard goes to which nodes.

use std::collections::{HashMap, HashSet};

use couchfile::shard_map::ShardMap;

use super::RestoreOptions;
use crate::agreement::Promised;
use crate::backup::FileProblem;
use crate::error::{OperationError, Result};
use crate::survey::Survey;

/// Bytes that a file may take on disk beyond its length: its last block and what an edit appends.
const SLACK: u64 = 8192;

/// What will be written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Nodes that get a copy, by the shard's path; the first one's copy keeps its uuid unless all are to be fresh.
    pub(super) shards: HashMap<Box<str>, Box<[u16]>>,
    /// View indexes that go along with their shard, by the shard's path.
    pub(super) views: HashMap<Box<str>, HashSet<String>>,
    /// Number of databases.
    pub(super) databases: u64,
    /// Bytes that each target will take.
    pub(super) bytes: Vec<u64>,
    pub(super) left_out: Vec<FileProblem>,
    pub(super) views_left_out: Vec<FileProblem>,
    pub(super) deleted_meanwhile: Vec<String>,
    /// Shards in the archive that no map names.
    pub(super) orphans: u64,
    /// How many documents every database is to hold.
    pub(super) promised: Promised,
    /// The nodes that the archive's shard maps name.
    pub(super) sources: HashSet<String>,
    /// Databases whose maps are not written.
    skipped: HashSet<String>,
}

impl Plan {
    /// Plans the restore of everything in an archive.
    ///
    /// Fails where a shard is missing or damaged and databases like that are not to be left out.
    pub(super) fn make(survey: &Survey, options: &RestoreOptions) -> Result<Self> {
        let mut plan = Self { bytes: vec![0; options.targets.len()], ..Self::default() };
        plan.deleted_meanwhile = survey.deleted_meanwhile().to_vec();
        plan.skipped.extend(plan.deleted_meanwhile.iter().cloned());
        let nodes: Vec<String> = options.targets.iter().map(|target| target.node.clone()).collect();
        let numbers: HashMap<&str, u16> =
            nodes.iter().enumerate().map(|(i, node)| (node.as_str(), i as u16)).collect();
        let mut mapped = 0usize;
        survey.maps.for_each_map(|map| {
            mapped += map.shards().filter(|s| survey.shards.contains_key(s.path().as_str())).count();
            if plan.skipped.contains(&map.db) {
                return Ok(());
            }
            let problems = problems_of(survey, &map);
            if !problems.is_empty() {
                plan.skipped.insert(map.db.clone());
                plan.left_out.push(FileProblem { path: map.db.clone(), problem: problems.join("; ") });
                return Ok(());
            }
            plan.databases += 1;
            for node in map.by_range.values().flatten() {
                if !plan.sources.contains(node) {
                    plan.sources.insert(node.clone());
                }
            }
            let facts = map.shards().filter_map(|shard| survey.shards.get(shard.path().as_str()));
            plan.promised.add(&map.db, facts.map(|facts| facts.docs + facts.deleted).sum());
            plan.add(survey, &placed(map, &nodes, options.copies), &numbers);
            Ok(())
        })?;
        plan.orphans = (survey.shards.len() - mapped) as u64;
        if !plan.left_out.is_empty() && !options.skip_damaged {
            return Err(damaged(&plan.left_out));
        }
        Ok(plan)
    }

    fn add(&mut self, survey: &Survey, map: &ShardMap, numbers: &HashMap<&str, u16>) {
        for (shard, holders) in map.shards().zip(map.by_range.values()) {
            let path = shard.path();
            let Some(facts) = survey.shards.get(path.as_str()) else { continue };
            let targets: Box<[u16]> =
                holders.iter().filter_map(|node| numbers.get(node.as_str()).copied()).collect();
            let mut size = facts.size + SLACK;
            for view in survey.views.get(path.as_str()).into_iter().flatten() {
                match view.unfit_for(facts) {
                    None => {
                        size += view.size + SLACK;
                        self.views
                            .entry(path.clone().into_boxed_str())
                            .or_default()
                            .insert(view.signature.clone());
                    }
                    Some(problem) => self
                        .views_left_out
                        .push(FileProblem { path: format!("{path} {}", view.signature), problem }),
                }
            }
            for &target in &targets {
                self.bytes[usize::from(target)] += size;
            }
            self.shards.insert(path.into_boxed_str(), targets);
        }
    }

    /// Whether a database's map is written.
    pub(super) fn includes(&self, db: &str) -> bool {
        !self.skipped.contains(db)
    }
}

/// The map of a database on the new nodes. It keeps its ranges and properties; its copies are spread like CouchDB does it,
/// beginning at a node that depends on the name.
pub(super) fn placed(mut map: ShardMap, nodes: &[String], copies: Option<usize>) -> ShardMap {
    let copies = copies.unwrap_or_else(|| map.copies());
    let first = crc32fast::hash(map.db.as_bytes()) as usize % nodes.len().max(1);
    map.place(nodes, copies, first);
    map
}

/// What keeps a database from being restored.
fn problems_of(survey: &Survey, map: &ShardMap) -> Vec<String> {
    let mut problems = Vec::new();
    if !map.covers_everything() {
        problems.push("its ranges leave gaps".to_owned());
    }
    for shard in map.shards() {
        match survey.shards.get(shard.path().as_str()) {
            None => problems.push(format!("the range {} is not in the archive", shard.range)),
            Some(facts) => {
                if let Some(damage) = &facts.damage {
                    problems.push(format!("the range {} is damaged: {damage}", shard.range));
                }
            }
        }
    }
    problems
}

fn damaged(left_out: &[FileProblem]) -> OperationError {
    let shown: Vec<String> =
        left_out.iter().take(5).map(|problem| format!("{}: {}", problem.path, problem.problem)).collect();
    OperationError::incomplete(
        format!(
            "{} databases cannot be restored whole: {}{}",
            left_out.len(),
            shown.join("; "),
            if left_out.len() > 5 { "; …" } else { "" }
        ),
        "Use another backup, or give --skip-damaged to restore all databases but these. (CouchDB would make empty \
         databases of what is missing.)",
    )
}

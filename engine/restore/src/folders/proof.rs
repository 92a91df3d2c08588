//! Checks every file while it is being staged, before any node is stopped: damaged files of the archive must not replace intact
//! files on the nodes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use contents::integrity::{self, Checker};
use contents::{Contents, FileProblem, LostFile};
use couchfile::check::Placement;
use couchfile::data_dir::{DataFile, ShardName};
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use outcome::Result;
use outcome::report::{Notice, Reporter, Severity};

use super::plan::Plan;

/// The most problems of a shard that a refusal names.
const NAMED: usize = 5;

/// The damage in an archive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Damaged shards, by their paths below the data directory.
    pub(crate) shards: Vec<FileProblem>,
    /// Damaged view indexes, by the shards' paths, with the indexes' signatures.
    pub(crate) views: Vec<(String, String, String)>,
}

impl Damage {
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.is_empty() && self.views.is_empty()
    }

    /// Of files of a backup that cannot be read, by their names in it. Other files than shards and view indexes do not count.
    pub(crate) fn of_files(contents: &Contents, lost: Vec<LostFile>) -> Self {
        let mut damage = Self::default();
        for LostFile { name, problem } in lost {
            match name.strip_prefix(contents.root.as_str()).and_then(DataFile::parse) {
                Some(DataFile::Shard(shard)) => {
                    damage.shards.push(FileProblem { path: shard.path(), problem });
                }
                Some(DataFile::View { shard, signature }) => {
                    damage.views.push((shard.path(), signature, problem));
                }
                Some(DataFile::ShardMaps) | None => {}
            }
        }
        damage
    }

    /// What is known to be lost without reading it.
    pub(crate) fn lost(contents: &Contents) -> Result<Self> {
        Ok(match contents.source.files() {
            Some(files) => Self::of_files(contents, files.lost()?),
            None => Self::default(),
        })
    }

    /// Adds other damage.
    pub(crate) fn add(&mut self, other: Self) {
        self.shards.extend(other.shards);
        self.views.extend(other.views);
        self.shards.sort();
        self.shards.dedup_by(|one, other| one.path == other.path);
        self.views.sort();
        self.views.dedup_by(|one, other| (&one.0, &one.1) == (&other.0, &other.1));
    }

    /// Makes later plans of this archive use the recorded damage.
    pub(crate) fn note_in(&self, contents: &mut Contents) {
        for FileProblem { path, problem } in &self.shards {
            if let Some(facts) = contents.shards.get_mut(path.as_str()) {
                facts.damage = Some(problem.as_str().into());
            }
        }
        for (path, signature, problem) in &self.views {
            for view in contents.views.get_mut(path.as_str()).into_iter().flatten() {
                if view.signature == *signature {
                    view.damage = Some(problem.as_str().into());
                }
            }
        }
    }
}

/// The result of the checks so far.
pub(crate) struct Proof<'p> {
    plan: &'p Plan,
    /// Whether `verify` has found the complete backup intact.
    is_spared: bool,
    checker: Checker,
    found: Mutex<Damage>,
    is_damaged: AtomicBool,
}

impl<'p> Proof<'p> {
    /// A check for files of this backup. A backup that was verified on this machine is not checked again.
    pub(crate) fn new(contents: &Contents, plan: &'p Plan, threads: usize, reporter: &dyn Reporter) -> Self {
        let verified_at = contents::verified_at(&*contents.source);
        if let Some(when) = &verified_at {
            let text =
                format!("the backup was verified on this machine at {when}: its files are not checked again");
            reporter.notice(&Notice { severity: Severity::Info, text });
        }
        Self {
            plan,
            is_spared: verified_at.is_some(),
            checker: Checker::new(threads),
            found: Mutex::default(),
            is_damaged: AtomicBool::new(false),
        }
    }

    /// Whether anything is damaged: then nothing will be put in place, and the other files are only checked.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    pub(crate) fn into_damage(self) -> Damage {
        let mut damage = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        damage.shards.sort();
        damage.views.sort();
        damage
    }

    fn note(&self, note: impl FnOnce(&mut Damage)) {
        note(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner));
        self.is_damaged.store(true, Ordering::Relaxed);
    }

    /// Checks a shard as `verify` does; `false` if it is damaged.
    ///
    /// Fails if the file cannot be read or was written by a newer CouchDB.
    pub(crate) fn shard(&self, shard: &ShardName, content: &dyn ReadAt) -> Result<bool, CouchFileError> {
        if self.is_spared {
            return Ok(true);
        }
        let placement =
            Placement { range: shard.range, partitioned: self.plan.partitioned.contains(shard.db.as_str()) };
        let report = self.checker.database(content, Some(placement), None)?;
        if report.is_whole() {
            return Ok(true);
        }
        let problem = FileProblem { path: shard.path(), problem: report.in_words(NAMED) };
        self.note(|damage| damage.shards.push(problem));
        Ok(false)
    }

    /// Checks a view index as `verify` does; `false` if it is damaged.
    pub(crate) fn view(
        &self,
        shard: &ShardName,
        signature: &str,
        content: &dyn ReadAt,
    ) -> Result<bool, CouchFileError> {
        if self.is_spared {
            return Ok(true);
        }
        let Some(problem) = integrity::view_problem(signature, content)? else { return Ok(true) };
        self.note(|damage| damage.views.push((shard.path(), signature.to_owned(), problem)));
        Ok(false)
    }
}

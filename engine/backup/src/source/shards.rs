//! Shards as entries of the archive: of the first node that has an intact copy.

use std::path::Path;

use archive::{EntrySource, Facts, FileStat, Glance, LateFacts, Opened, Seen};
use contents::{FileProblem, SecurityTerm, ShardHeader, unusable};
use couchfile::check::Report;
use couchfile::data_dir::{DataFile, ShardName};
use couchfile::error::CouchFileError;
use outcome::Failure;

use super::{Findings, opened};
use crate::checking::Checking;
use crate::drift::{self, Fate, LatestMaps};
use crate::file::{self, Content, FileFailure};
use crate::folder::NodeFolder;
use crate::mirror::NodeMirror;
use crate::origin::Origin;
use crate::plan::{Maps, PlannedShard};
use crate::remote::{self, Absence, Fetched, Streams};

/// A shard, from the first data directory that has it complete.
pub(crate) struct ShardSource<'p, 'f> {
    pub(crate) shard: PlannedShard,
    pub(crate) folders: &'p [NodeFolder],
    pub(crate) maps: &'p Maps<'f>,
    pub(crate) latest: &'p LatestMaps,
    pub(crate) findings: &'p Findings,
    pub(crate) streams: &'p Streams,
    /// The checker, if more than headers is read.
    pub(crate) checking: Option<&'p Checking>,
    /// The number of the round in which the shard is saved, if it was split off while the backup ran.
    pub(crate) round: Option<u8>,
}

/// A copy of a shard that can be saved. The bytes of a small copy are in the caller's buffer.
struct Copy {
    opened: Opened,
    /// The damage of the copy, if it was checked and is damaged.
    damage: Option<Report>,
    /// Its security object, if it was read.
    security: KnownSecurity,
}

/// A security object, `null` for CouchDB's default, if it was read.
type KnownSecurity = Option<SecurityTerm>;

/// A copy of a shard, or why that node has none.
type Tried = Result<Copy, FileFailure>;

impl ShardSource<'_, '_> {
    /// The name of its entry.
    fn name(&self) -> String {
        super::shard_name(&self.shard.path, self.round)
    }

    /// The copy of one node.
    fn copy(&self, number: u16, shard: &ShardName, buf: &mut Vec<u8>) -> Result<Tried, Failure> {
        let path = &self.shard.path;
        let folder = &self.folders[usize::from(number)];
        match &folder.origin {
            Origin::Local => {
                let (near, limiter) = (folder.path.join(path), folder.limiter.as_ref());
                let read = file::read_shard(&near, &folder.patience, limiter, buf);
                Ok(read.and_then(|content| self.checked(folder, shard, content, buf)))
            }
            Origin::Streamed(_) => self.fetch(number, shard, buf),
            Origin::Mirrored(_, mirror) => {
                if let Some(found) = self.mirrored(folder, mirror, shard, buf)? {
                    Ok(found)
                } else {
                    buf.clear();
                    self.fetch(number, shard, buf)
                }
            }
        }
    }

    /// The copy in a node's mirror; `None` if there is none, or a damaged one.
    fn mirrored(
        &self,
        folder: &NodeFolder,
        mirror: &NodeMirror,
        shard: &ShardName,
        buf: &mut Vec<u8>,
    ) -> Result<Option<Tried>, Failure> {
        let near = mirror.folder.join(&self.shard.path);
        let Some(content) = mirrored(&near, buf)? else { return Ok(None) };
        match self.checked(folder, shard, content, buf) {
            Ok(Copy { damage: Some(_), .. }) => {
                // The node's file may be intact.
                std::fs::remove_file(&near).map_err(|e| Failure::io("remove", near, e))?;
                Ok(None)
            }
            found => Ok(Some(found)),
        }
    }

    /// Checks what was read, if requested.
    fn checked(
        &self,
        folder: &NodeFolder,
        shard: &ShardName,
        content: Content<ShardHeader>,
        buf: &[u8],
    ) -> Tried {
        let damage = match (self.checking, &content.large) {
            (None, _) => None,
            (Some(checking), Some(large)) => checking.damage(shard, self.shard.partitioned, large)?,
            (Some(checking), None) => checking.damage(shard, self.shard.partitioned, &buf)?,
        };
        let security = content.header.security.clone();
        let memo = security.as_ref().map(SecurityTerm::to_memo);
        // A damaged copy is tried again by the next backup.
        let seen = content.stat.filter(|_| damage.is_none()).map(|stat| Seen { stat, memo });
        let facts = content.header.facts(shard.clone(), folder.name.clone());
        Ok(Copy { opened: opened(self.name(), content.mtime, facts, seen, content.large), damage, security })
    }

    /// A shard of another machine.
    fn fetch(&self, number: u16, shard: &ShardName, buf: &mut Vec<u8>) -> Result<Tried, Failure> {
        let path = &self.shard.path;
        let folder = &self.folders[usize::from(number)];
        let gone = || drift::fate_lately(self.maps, self.latest, shard).map(|fate| fate != Fate::Stays);
        let fetched = match self.streams.shard(self.folders, number, path, buf, gone) {
            Ok(fetched) => fetched,
            Err(Absence::File(failure)) => return Ok(Err(failure)),
            Err(Absence::Node(error)) => return Err(error),
        };
        let (content, passed, mtime) = match fetched {
            Fetched::Small { header, mtime } => {
                let content = Content { header, mtime, stat: self.listed(number), large: None };
                return Ok(self.checked(folder, shard, content, buf));
            }
            Fetched::Grown { header, content, mtime } => {
                let seen = self.listed(number).map(|stat| Seen { stat, memo: None });
                let facts = header.facts(shard.clone(), folder.name.clone());
                let opened = Opened::Large { name: self.name(), mtime, facts, seen, data: Box::new(content) };
                return Ok(Ok(Copy { opened, damage: None, security: None }));
            }
            Fetched::Large { content, passed, mtime } => (content, passed, mtime),
        };
        if let Some(checking) = self.checking {
            let whole = checking.whole(&content, mtime)?;
            return Ok(whole.and_then(|content| self.checked(folder, shard, content, buf)));
        }
        let name = self.name();
        let (findings, shard, path) = (self.findings.clone(), shard.clone(), path.clone());
        let (node, shown) = (folder.name.clone(), folder.file_display_name(&path));
        let facts: LateFacts = Box::new(move || match remote::passed_shard(&passed) {
            Ok(header) => header.facts(shard, node),
            // It has gone into the archive by now. Without facts it is no shard of the database to a restore.
            Err(e) => {
                findings.note(|found| {
                    found.shards = found.shards.saturating_sub(1);
                    if matches!(e, CouchFileError::Newer { .. }) {
                        found.newer = Some(unusable(shown, e));
                    } else {
                        found.problems.push(FileProblem { path, problem: e.to_string() });
                    }
                });
                Facts::Other
            }
        });
        let seen = self.listed(number).map(|stat| Seen { stat, memo: None });
        let opened = Opened::Stream { name, mtime, data: Box::new(content), facts, seen };
        Ok(Ok(Copy { opened, damage: None, security: None }))
    }

    /// The stat of this node's copy when the files were listed. What has changed since makes the next backup fetch it again.
    fn listed(&self, number: u16) -> Option<FileStat> {
        self.shard.stat.filter(|_| self.shard.folders.first() == Some(&number))
    }

    /// Records the result for a shard for which a copy was found, after others that were damaged.
    fn note_saved(
        &self,
        folder: &NodeFolder,
        damage: Option<&Report>,
        damaged: Vec<(String, String)>,
        security: KnownSecurity,
    ) {
        let path = &self.shard.path;
        if let (Some(object), Some(DataFile::Shard(shard))) = (security, DataFile::parse(path)) {
            self.findings.securities.note(&shard.db, object);
        }
        let from = folder.display_name();
        let copies = damaged.into_iter().filter(|(node, _)| *node != from);
        self.findings.note(|found| {
            found.shards += 1;
            if let Some(damage) = damage {
                let problem =
                    format!("damaged on {from}, and no given node has an intact copy: {}", words(damage));
                found.damaged.push(FileProblem { path: path.clone(), problem });
                return;
            }
            found.damaged_copies.extend(copies.map(|(node, words)| FileProblem {
                path: path.clone(),
                problem: format!("damaged on {node} ({words}); the copy of {from} is saved"),
            }));
        });
    }
}

fn words(damage: &Report) -> String {
    /// The most problems of a copy that are spelled out.
    const TOLD: usize = 5;
    damage.in_words(TOLD)
}

impl EntrySource for ShardSource<'_, '_> {
    fn glance(&self) -> Option<Glance> {
        let first = self.shard.folders.first().and_then(|number| self.folders.get(usize::from(*number)));
        // What is checked has to be read.
        let first = first.filter(|_| self.checking.is_none());
        Some(super::glance(self.name(), first, &self.shard.path, self.shard.stat))
    }

    fn keep(self, memo: Option<&[u8]>) {
        let security = memo.map(SecurityTerm::of_memo);
        if let (Some(object), Some(DataFile::Shard(shard))) = (security, DataFile::parse(&self.shard.path)) {
            self.findings.securities.note(&shard.db, object);
        }
        self.findings.note(|found| found.shards += 1);
    }

    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let path = &self.shard.path;
        let Some(DataFile::Shard(shard)) = DataFile::parse(path) else {
            return Err(Failure::bug(format!("planned to save {path}, which is not a shard")));
        };
        let mut failures = Vec::new();
        let mut all_missing = true;
        // The least damaged copy so far, with its bytes, and what is damaged of all copies.
        let mut best: Option<(&NodeFolder, Opened, Report, Vec<u8>, KnownSecurity)> = None;
        let mut damaged = Vec::new();
        for &number in &self.shard.folders {
            let folder = &self.folders[usize::from(number)];
            buf.clear();
            match self.copy(number, &shard, buf)? {
                Ok(Copy { opened, damage: None, security }) => {
                    self.note_saved(folder, None, damaged, security);
                    return Ok(opened);
                }
                Ok(Copy { opened, damage: Some(report), security }) => {
                    damaged.push((folder.display_name(), words(&report)));
                    let is_better = best
                        .as_ref()
                        .is_none_or(|(_, _, best, ..)| report.problem_count < best.problem_count);
                    if is_better {
                        best = Some((folder, opened, report, std::mem::take(buf), security));
                    }
                }
                Err(FileFailure::Unreadable(e)) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                    return Err(Failure::io("read", folder.path.join(path), e));
                }
                Err(FileFailure::Damaged(e @ CouchFileError::Newer { .. })) => {
                    return Err(unusable(folder.file_display_name(path), e));
                }
                Err(failure) => {
                    all_missing &= failure.is_missing();
                    failures.push(format!("{}: {failure}", folder.display_name()));
                }
            }
        }
        if let Some((folder, opened, report, bytes, security)) = best {
            *buf = bytes;
            self.note_saved(folder, Some(&report), damaged, security);
            return Ok(opened);
        }
        if all_missing {
            let holders = self.shard.folders.iter().map(|&number| &self.folders[usize::from(number)]);
            match drift::fate_now(self.maps, self.latest, &shard, holders)? {
                Fate::Deleted => {
                    self.findings.note(|found| {
                        found.deleted.insert(shard.db);
                    });
                    return Ok(Opened::Skip);
                }
                Fate::Split => {
                    self.findings.note(|found| {
                        found.split.insert(shard);
                    });
                    return Ok(Opened::Skip);
                }
                Fate::Stays => {}
            }
        }
        let problem = FileProblem { path: path.clone(), problem: failures.join("; ") };
        self.findings.note(|found| found.problems.push(problem));
        Ok(Opened::Skip)
    }
}

/// Reads a shard from the mirror. A shard that is missing there, or is not a complete database, has to be read from its node, and
/// is fetched again by the next backup.
fn mirrored(path: &Path, buf: &mut Vec<u8>) -> Result<Option<Content<ShardHeader>>, Failure> {
    match file::read_settled_shard(path, buf) {
        Ok(content) => Ok(Some(content)),
        // It is refused where it is asked of its node.
        Err(FileFailure::Damaged(_)) => {
            std::fs::remove_file(path).map_err(|e| Failure::io("remove", path, e))?;
            Ok(None)
        }
        Err(FileFailure::Unreadable(e)) => Err(Failure::io("read", path, e)),
        Err(FileFailure::Missing | FileFailure::OnlyCompaction { .. }) => Ok(None),
    }
}

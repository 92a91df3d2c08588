//! The files of the nodes as sources of the archive, opened on its threads.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use archive::{EntrySource, Facts, LateFacts, Opened};
use contents::{BackupSummary, FileProblem, IndexHeader, SecurityTerm, ShardHeader, unusable};
use couchfile::check::Report;
use couchfile::data_dir::{DataFile, ShardName};
use couchfile::error::CouchFileError;
use couchfile::read_at::{Prefix, ReadAt};
use outcome::Failure;

use crate::checking::Checking;
use crate::drift::{self, Fate, LatestMaps};
use crate::file::{self, Content, FileFailure};
use crate::folder::NodeFolder;
use crate::maps::NewMaps;
use crate::plan::{Maps, PlannedShard, PlannedView};
use crate::remote::{self, Absence, Fetched, Streams};
use crate::security::Securities;

/// Directory inside the archive that holds the data directory.
const DATA: &str = "data/";

/// What the threads find.
#[derive(Default, Clone)]
pub(super) struct Findings {
    found: Arc<Mutex<Found>>,
    /// The security objects of all shards that were read.
    pub(super) securities: Securities,
}

#[derive(Debug, Default)]
struct Found {
    deleted: BTreeSet<String>,
    split: BTreeSet<ShardName>,
    views_left_out: Vec<String>,
    problems: Vec<FileProblem>,
    damaged: Vec<FileProblem>,
    damaged_copies: Vec<FileProblem>,
    /// A file that was found to be of a newer CouchDB only after its transfer.
    newer: Option<Failure>,
    views: u64,
    shards: u64,
}

impl Findings {
    fn note(&self, what: impl FnOnce(&mut Found)) {
        what(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Shards that were split before they were read; each is reported once.
    pub(super) fn take_split(&self) -> BTreeSet<ShardName> {
        std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner).split)
    }

    /// A shard that cannot be saved.
    pub(super) fn problem(&self, path: String, problem: String) {
        self.note(|found| found.problems.push(FileProblem { path, problem }));
    }

    /// Fails if a file of a newer CouchDB was transferred.
    pub(super) fn refuse_newer(&self) -> Result<(), Failure> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.newer.take().map_or(Ok(()), Err)
    }

    /// View indexes that cannot be saved, each with the reason.
    pub(super) fn leave_out(&self, views: Vec<String>) {
        self.note(|found| found.views_left_out.extend(views));
    }

    pub(super) fn into_summary(self) -> BackupSummary {
        let mut found = std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
        found.views_left_out.sort();
        BackupSummary {
            shards: found.shards,
            views: found.views,
            deleted_meanwhile: found.deleted.into_iter().collect(),
            views_left_out: found.views_left_out,
            problems: found.problems,
            damaged: found.damaged,
            damaged_copies: found.damaged_copies,
            ..BackupSummary::default()
        }
    }
}

/// The shard maps as they were opened at the beginning, or as they were rewritten for the archive.
pub(super) struct MapsSource<'p, 'f> {
    pub(super) maps: &'p Maps<'f>,
    pub(super) rewritten: Option<NewMaps>,
    pub(super) now: u64,
}

impl EntrySource for MapsSource<'_, '_> {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let Maps { database, folder, count } = self.maps;
        let name = format!("{DATA}{}", DataFile::ShardMaps.path());
        let mtime = folder.maps_mtime.min(self.now);
        if let Some(NewMaps { content, facts }) = self.rewritten {
            let len = content.len();
            return whole(name, mtime, facts, content, len, buf);
        }
        let header = database.header();
        let facts = Facts::ShardMaps {
            node: folder.name.clone(),
            maps: *count,
            uuid: header.uuid.clone(),
            seq: header.update_seq,
            header: database.header_offset(),
        };
        whole(name, mtime, facts, database.source().clone(), database.header_end(), buf)
    }
}

/// The first `len` bytes of a file, in `buf` if they are few.
fn whole<R: ReadAt + 'static>(
    name: String,
    mtime: u64,
    facts: Facts,
    source: R,
    len: u64,
    buf: &mut Vec<u8>,
) -> Result<Opened, Failure> {
    if len <= contents::SMALL {
        buf.resize(len as usize, 0);
        source.read_exact_at(buf, 0).map_err(|e| Failure::io("read", &name, e))?;
        return Ok(Opened::Small { name, mtime, facts });
    }
    Ok(Opened::Large { name, mtime, facts, data: Box::new(Prefix::new(source, len)) })
}

/// A view index of the chosen copy.
pub(super) struct ViewSource<'p> {
    pub(super) view: PlannedView,
    pub(super) folders: &'p [NodeFolder],
    pub(super) findings: &'p Findings,
    pub(super) streams: &'p Streams,
}

impl EntrySource for ViewSource<'_> {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let folder = &self.folders[usize::from(self.view.folder)];
        let path = &self.view.path;
        let Some(DataFile::View { shard, signature }) = DataFile::parse(path) else {
            return Ok(Opened::Skip);
        };
        let (Some(near), Some(near_shard)) = (folder.near(path), folder.near(&shard.path())) else {
            return self.open_remote(shard, signature, buf);
        };
        let left_out = |why: &str| {
            self.findings.note(|found| found.views_left_out.push(format!("{path} ({why})")));
            Ok(Opened::Skip)
        };
        let content = match file::read_view(&near, buf) {
            Ok(content) => content,
            Err(FileFailure::Missing | FileFailure::OnlyCompaction { .. }) => return Ok(self.missing()?),
            Err(failure @ FileFailure::Unreadable(_)) => return left_out(&failure.to_string()),
            Err(FileFailure::Damaged(e)) => return left_out(&e.to_string()),
        };
        if hex::encode(&content.header.signature) != signature {
            return left_out("its signature does not match its name");
        }
        // CouchDB trusts an index that is ahead of its database, and never indexes what then is added. Only a database
        // that was put back to an older state has such an index: this header is read after the index.
        match file::peek_shard(&near_shard) {
            Ok(header)
                if content.header.seq <= header.seq && content.header.purge_seq <= header.purge_seq => {}
            Ok(_) => return left_out("it is ahead of its database"),
            // Asked of its node it may come. Whoever restores holds the two against each other.
            Err(_) if folder.remote.is_some() => {}
            Err(_) => return left_out("its shard cannot be read"),
        }
        let facts = content.header.facts(shard, signature, folder.name.clone());
        self.findings.note(|found| found.views += 1);
        Ok(opened(format!("{DATA}{path}"), content.mtime, facts, content.large))
    }
}

impl ViewSource<'_> {
    /// A view index that does not exist: it was deleted with its design document, or is just being swapped by a compaction. On
    /// another machine it may only be unreadable.
    fn missing(&self) -> Result<Opened, Failure> {
        let folder = &self.folders[usize::from(self.view.folder)];
        if let Some(files) = &folder.remote
            && remote::is_there(&**files, &folder.path, &self.view.path)?
        {
            let left_out = format!("{} (it cannot be read, or was being replaced)", self.view.path);
            self.findings.leave_out(vec![left_out]);
        }
        Ok(Opened::Skip)
    }

    /// A view index of another machine.
    ///
    /// Its shard is read later, and cannot be read a second time to compare the index with it: an index that is ahead of its
    /// database is archived with its sequence, and a restore leaves it out, according to the manifest (`ViewFacts::unfit_for`).
    fn open_remote(self, shard: ShardName, signature: String, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let path = self.view.path.clone();
        let findings = self.findings.clone();
        let node = self.folders[usize::from(self.view.folder)].name.clone();
        let fetched = match self.streams.view(self.view.folder, &path, buf) {
            Ok(Some(fetched)) => fetched,
            Ok(None) => return Ok(self.missing()?),
            Err(Absence::Node(error)) => return Err(error.into()),
            Err(Absence::File(failure)) => {
                findings.note(|found| found.views_left_out.push(format!("{path} ({failure})")));
                return Ok(Opened::Skip);
            }
        };
        let name = format!("{DATA}{path}");
        // Nothing but the header of a large one could be looked at; `left out` then means that a restore does it.
        let facts = move |header: Result<IndexHeader, String>| {
            let header = header.and_then(|header| {
                if hex::encode(&header.signature) == signature {
                    Ok(header)
                } else {
                    Err("its signature does not match its name".into())
                }
            });
            match header {
                Ok(header) => {
                    findings.note(|found| found.views += 1);
                    header.facts(shard, signature, node)
                }
                Err(why) => {
                    findings.note(|found| found.views_left_out.push(format!("{path} ({why})")));
                    Facts::Other
                }
            }
        };
        match fetched {
            Fetched::Small { header, mtime } => match facts(Ok(header)) {
                Facts::Other => Ok(Opened::Skip),
                facts => Ok(Opened::Small { name, mtime, facts }),
            },
            Fetched::Large { content, passed, mtime } => {
                let facts: LateFacts =
                    Box::new(move || facts(remote::passed_view(&passed).map_err(|e| e.to_string())));
                Ok(Opened::Stream { name, mtime, data: Box::new(content), facts })
            }
        }
    }
}

/// A shard, from the first data directory that has it complete.
pub(super) struct ShardSource<'p, 'f> {
    pub(super) shard: PlannedShard,
    pub(super) folders: &'p [NodeFolder],
    pub(super) maps: &'p Maps<'f>,
    pub(super) latest: &'p LatestMaps,
    pub(super) findings: &'p Findings,
    pub(super) streams: &'p Streams,
    /// The checker, if more than headers is read.
    pub(super) checking: Option<&'p Checking>,
    /// The number of the round in which the shard is saved, if it was split off while the backup ran.
    pub(super) round: Option<u8>,
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
    /// The name of its entry. Shards that were split off while the backup ran come after all other shards, because names have to
    /// ascend.
    fn name(&self) -> String {
        match self.round {
            None => format!("{DATA}{}", self.shard.path),
            Some(round) => format!("{DATA}{}", couchfile::data_dir::late_path(&self.shard.path, round)),
        }
    }

    /// The copy of one node.
    fn copy(&self, number: u16, shard: &ShardName, buf: &mut Vec<u8>) -> Result<Tried, Failure> {
        let path = &self.shard.path;
        let folder = &self.folders[usize::from(number)];
        if folder.remote.is_none() {
            let read = file::read_shard(&folder.path.join(path), buf);
            return Ok(read.and_then(|content| self.checked(folder, shard, content, buf)));
        }
        if let Some(near) = folder.near(path)
            && let Some(content) = mirrored(&near, buf)?
        {
            match self.checked(folder, shard, content, buf) {
                Ok(Copy { damage: Some(_), .. }) => {
                    // The node's file may be intact.
                    std::fs::remove_file(&near).map_err(|e| Failure::io("remove", near, e))?;
                }
                found => return Ok(found),
            }
        }
        buf.clear();
        self.fetch(number, shard, buf)
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
        let facts = content.header.facts(shard.clone(), folder.name.clone());
        Ok(Copy { opened: opened(self.name(), content.mtime, facts, content.large), damage, security })
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
                let content = Content { header, mtime, large: None };
                return Ok(self.checked(folder, shard, content, buf));
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
        let opened = Opened::Stream { name, mtime, data: Box::new(content), facts };
        Ok(Ok(Copy { opened, damage: None, security: None }))
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
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let path = &self.shard.path;
        let Some(DataFile::Shard(shard)) = DataFile::parse(path) else {
            return Err(Failure::bug(format!("planned to save {path}, which is not a shard")).into());
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
                    return Err(Failure::io("read", folder.path.join(path), e).into());
                }
                Err(FileFailure::Damaged(e @ CouchFileError::Newer { .. })) => {
                    return Err(unusable(folder.file_display_name(path), e).into());
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

fn opened<R: ReadAt + 'static>(name: String, mtime: u64, facts: Facts, large: Option<R>) -> Opened {
    match large {
        None => Opened::Small { name, mtime, facts },
        Some(data) => Opened::Large { name, mtime, facts, data: Box::new(data) },
    }
}

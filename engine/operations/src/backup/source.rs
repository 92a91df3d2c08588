//! The files of the nodes as the archive takes them, opened on its threads.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use archive::{BoxError, EntrySource, Facts, Opened};
use couchfile::data_dir::DataFile;
use couchfile::read_at::{Prefix, ReadAt};

use super::file::{self, FileFailure};
use super::folder::NodeFolder;
use super::plan::{Maps, PlannedShard, PlannedView};
use super::{BackupSummary, FileProblem, drift};
use crate::error::OperationError;

/// Folder inside the archive that holds the data folder.
const DATA: &str = "data/";

/// What the threads find out.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    deleted: BTreeSet<String>,
    views_left_out: Vec<String>,
    problems: Vec<FileProblem>,
    views: u64,
    shards: u64,
}

impl Findings {
    fn note(&self, what: impl FnOnce(&mut Found)) {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn into_summary(self) -> BackupSummary {
        let mut found = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.views_left_out.sort();
        BackupSummary {
            shards: found.shards,
            views: found.views,
            deleted_meanwhile: found.deleted.into_iter().collect(),
            views_left_out: found.views_left_out,
            problems: found.problems,
            ..BackupSummary::default()
        }
    }
}

/// The shard maps as they were opened at the beginning.
pub(super) struct MapsSource<'p, 'f> {
    pub(super) maps: &'p Maps<'f>,
    pub(super) now: u64,
}

impl EntrySource for MapsSource<'_, '_> {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, BoxError> {
        let Maps { database, folder, count } = self.maps;
        let header = database.header();
        let facts = Facts::ShardMaps {
            node: folder.name.clone(),
            maps: *count,
            uuid: header.uuid.clone(),
            seq: header.update_seq,
            header: database.header_offset(),
        };
        let len = database.header_end();
        let name = format!("{DATA}{}", DataFile::ShardMaps.path());
        let mtime = folder.maps_mtime.min(self.now);
        if len <= file::SMALL {
            buf.resize(len as usize, 0);
            database.source().read_exact_at(buf, 0)?;
            return Ok(Opened::Small { name, mtime, facts });
        }
        // A descriptor of its own: the plan goes on reading through the other one.
        let file = database.source().file().try_clone()?;
        let data = Prefix::new(couchfile::read_at::FileBytes::new(file)?, len);
        Ok(Opened::Large { name, mtime, facts, data: Box::new(data) })
    }
}

/// A view index of the copy that was chosen.
pub(super) struct ViewSource<'p> {
    pub(super) view: PlannedView,
    pub(super) folders: &'p [NodeFolder],
    pub(super) findings: &'p Findings,
}

impl EntrySource for ViewSource<'_> {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, BoxError> {
        let folder = &self.folders[usize::from(self.view.folder)];
        let path = &self.view.path;
        let Some(DataFile::View { shard, signature }) = DataFile::parse(path) else {
            return Ok(Opened::Skip);
        };
        let left_out = |why: &str| {
            self.findings.note(|found| found.views_left_out.push(format!("{path} ({why})")));
            Ok(Opened::Skip)
        };
        let content = match file::read_view(&folder.path.join(path), buf) {
            Ok(content) => content,
            // Deleted with its design document, or swapped by a compaction this moment.
            Err(FileFailure::Missing) => return Ok(Opened::Skip),
            Err(FileFailure::Unreadable(e)) => {
                return Err(OperationError::io("read", folder.path.join(path), e).into());
            }
            Err(FileFailure::Damaged(e)) => return left_out(&e.to_string()),
        };
        if hex::encode(&content.header.signature) != signature {
            return left_out("its signature is not its name");
        }
        // CouchDB trusts an index that is ahead of its database, and never indexes what then is added. Only a database
        // that was put back to an older state has such an index: this header is read after the index.
        match file::peek_shard(&folder.path.join(shard.path())) {
            Ok(header)
                if content.header.seq <= header.seq && content.header.purge_seq <= header.purge_seq => {}
            Ok(_) => return left_out("it is ahead of its database"),
            Err(_) => return left_out("its shard cannot be read"),
        }
        let facts = Facts::View {
            db: shard.db,
            range: shard.range.to_string(),
            suffix: shard.suffix,
            signature,
            node: folder.name.clone(),
            seq: content.header.seq,
            purge_seq: content.header.purge_seq,
        };
        self.findings.note(|found| found.views += 1);
        Ok(opened(format!("{DATA}{path}"), content.mtime, facts, content.large))
    }
}

/// A shard: of the first folder that has it whole.
pub(super) struct ShardSource<'p, 'f> {
    pub(super) shard: PlannedShard,
    pub(super) folders: &'p [NodeFolder],
    pub(super) maps: &'p Maps<'f>,
    pub(super) findings: &'p Findings,
}

impl EntrySource for ShardSource<'_, '_> {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, BoxError> {
        let path = &self.shard.path;
        let Some(DataFile::Shard(shard)) = DataFile::parse(path) else {
            return Err(OperationError::Bug(format!("planned to save {path}, which is no shard")).into());
        };
        let mut failures = Vec::new();
        let mut all_missing = true;
        for &number in &self.shard.folders {
            let folder = &self.folders[usize::from(number)];
            buf.clear();
            match file::read_shard(&folder.path.join(path), buf) {
                Ok(content) => {
                    let header = content.header;
                    let facts = Facts::Shard {
                        db: shard.db,
                        range: shard.range.to_string(),
                        suffix: shard.suffix,
                        node: folder.name.clone(),
                        uuid: header.uuid,
                        seq: header.seq,
                        purge_seq: header.purge_seq,
                        docs: header.docs,
                        deleted: header.deleted,
                        header: header.offset,
                    };
                    self.findings.note(|found| found.shards += 1);
                    return Ok(opened(format!("{DATA}{path}"), content.mtime, facts, content.large));
                }
                Err(FileFailure::Unreadable(e)) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                    return Err(OperationError::io("read", folder.path.join(path), e).into());
                }
                Err(failure) => {
                    all_missing &= matches!(failure, FileFailure::Missing);
                    failures.push(format!("{}: {failure}", folder.path.display()));
                }
            }
        }
        if all_missing && drift::was_deleted(self.maps, &shard.db, &shard.suffix)? {
            self.findings.note(|found| {
                found.deleted.insert(shard.db);
            });
            return Ok(Opened::Skip);
        }
        let problem = FileProblem { path: path.clone(), problem: failures.join("; ") };
        self.findings.note(|found| found.problems.push(problem));
        Ok(Opened::Skip)
    }
}

fn opened<R: ReadAt + 'static>(name: String, mtime: u64, facts: Facts, large: Option<R>) -> Opened {
    match large {
        None => Opened::Small { name, mtime, facts },
        Some(data) => Opened::Large { name, mtime, facts, data: Box::new(data) },
    }
}

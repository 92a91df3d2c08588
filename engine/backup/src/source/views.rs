//! View indexes as entries of the archive.

use archive::{EntrySource, Facts, Glance, LateFacts, Opened, Seen};
use contents::IndexHeader;
use couchfile::data_dir::{DataFile, ShardName};
use outcome::Failure;

use super::{DATA, Findings, opened};
use crate::file::{self, FileFailure};
use crate::folder::NodeFolder;
use crate::plan::PlannedView;
use crate::remote::{self, Absence, Fetched, Streams};

/// A view index of the chosen copy.
pub(crate) struct ViewSource<'p> {
    pub(crate) view: PlannedView,
    pub(crate) folders: &'p [NodeFolder],
    pub(crate) findings: &'p Findings,
    pub(crate) streams: &'p Streams,
}

impl EntrySource for ViewSource<'_> {
    fn glance(&self) -> Option<Glance> {
        let folder = self.folders.get(usize::from(self.view.folder));
        Some(super::glance(super::view_name(&self.view.path), folder, &self.view.path, self.view.stat))
    }

    fn keep(self, _: Option<&[u8]>) {
        self.findings.note(|found| found.views += 1);
    }

    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, Failure> {
        let folder = &self.folders[usize::from(self.view.folder)];
        let path = &self.view.path;
        let Some(DataFile::View { shard, signature }) = DataFile::parse(path) else {
            return Ok(Opened::Skip);
        };
        let (Some(near), Some(near_shard)) =
            (folder.origin.near(&folder.path, path), folder.origin.near(&folder.path, &shard.path()))
        else {
            return self.open_remote(shard, signature, buf);
        };
        let left_out = |why: &str| {
            self.findings.note(|found| found.views_left_out.push(format!("{path} ({why})")));
            Ok(Opened::Skip)
        };
        // A mirror is not limited: what it got from the node was.
        let limiter = folder.limiter.as_ref().filter(|_| folder.origin.is_local());
        let content = match file::read_view(&near, limiter, buf) {
            Ok(content) => content,
            Err(FileFailure::Missing | FileFailure::OnlyCompaction { .. }) => return self.missing(),
            Err(failure @ FileFailure::Unreadable(_)) => return left_out(&failure.to_string()),
            Err(FileFailure::Damaged(e)) => return left_out(&e.to_string()),
        };
        if hex::encode(&content.header.signature) != signature {
            return left_out("its signature does not match its name");
        }
        // CouchDB trusts an index that is ahead of its database, and never indexes what then is added. Only a database
        // that was put back to an older state has such an index: this header is read after the index.
        match file::peek_shard(&near_shard, &folder.patience) {
            Ok(header)
                if content.header.seq <= header.seq && content.header.purge_seq <= header.purge_seq => {}
            Ok(_) => return left_out("it is ahead of its database"),
            // Asked of its node it may come. Whoever restores holds the two against each other.
            Err(_) if !folder.origin.is_local() => {}
            Err(_) => return left_out("its shard cannot be read"),
        }
        let facts = content.header.facts(shard, signature, folder.name.clone());
        self.findings.note(|found| found.views += 1);
        let seen = content.stat.map(|stat| Seen { stat, memo: None });
        Ok(opened(format!("{DATA}{path}"), content.mtime, facts, seen, content.large))
    }
}

impl ViewSource<'_> {
    /// A view index that does not exist: it was deleted with its design document, or is just being swapped by a compaction. On
    /// another machine it may only be unreadable.
    fn missing(&self) -> Result<Opened, Failure> {
        let folder = &self.folders[usize::from(self.view.folder)];
        if let Some(files) = folder.origin.far()
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
        let (path, listed) = (self.view.path.clone(), self.view.stat);
        let findings = self.findings.clone();
        let node = self.folders[usize::from(self.view.folder)].name.clone();
        let fetched = match self.streams.view(self.view.folder, &path, self.folders, buf) {
            Ok(Some(fetched)) => fetched,
            Ok(None) => return self.missing(),
            Err(Absence::Node(error)) => return Err(error),
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
                facts => {
                    let seen = listed.map(|stat| Seen { stat, memo: None });
                    Ok(Opened::Small { name, mtime, facts, seen })
                }
            },
            Fetched::Grown { header, content, mtime } => match facts(Ok(header)) {
                Facts::Other => Ok(Opened::Skip),
                facts => {
                    let seen = listed.map(|stat| Seen { stat, memo: None });
                    Ok(Opened::Large { name, mtime, facts, seen, data: Box::new(content) })
                }
            },
            Fetched::Large { content, passed, mtime } => {
                let facts: LateFacts =
                    Box::new(move || facts(remote::passed_view(&passed).map_err(|e| e.to_string())));
                let seen = listed.map(|stat| Seen { stat, memo: None });
                Ok(Opened::Stream { name, mtime, data: Box::new(content), facts, seen })
            }
        }
    }
}

//! View indexes: whether they can be used, and whether they are ahead of their shards.

use std::collections::BTreeMap;

use contents::IndexHeader;
use couchfile::data_dir::{DataFile, ShardName};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use node::{FileKind, FoundFile};
use outcome::{Result, parallel};

use super::files::{Pile, is_stale};
use super::finding::{Finding, FindingKind, counted};
use super::round::Round;
use super::verdict::{Area, Notebook};
use crate::far::{BATCH, Bytes, Far, Opened};
use crate::file::{self, FileFailure};
use crate::folder::NodeFolder;
use crate::plan::{Plan, collect_views};
use crate::remote;

/// The end of the name of what a compaction of a view index writes.
const COMPACTING: &str = ".compact.view";

/// Examines the view indexes of all nodes.
pub(super) fn examine(round: &Round<'_>, plan: &Plan<'_>, notes: &Notebook<'_>) -> Result<()> {
    let examined = parallel::all_at_once(round.folders, |number, folder| -> Result<()> {
        let found = match folder.origin.far() {
            None => {
                let mut found = Vec::new();
                collect_views(&folder.path, ".shards", &mut found)?;
                found
            }
            Some(files) => remote::find_views(&**files, &folder.path)?,
        };
        let indexes = sort(found, number, folder, plan, notes);
        notes.count(|diagnosis| diagnosis.indexes += indexes.len() as u64);
        for batch in indexes.chunks(BATCH) {
            round.refuse_interrupted()?;
            check(round, folder, batch, notes)?;
        }
        Ok(())
    });
    examined.into_iter().collect()
}

/// An index of a shard that is there.
struct Index {
    path: String,
    shard: ShardName,
    signature: String,
}

/// Notes what belongs to no shard of this node, and returns the indexes.
fn sort(
    found: Vec<FoundFile>,
    number: usize,
    folder: &NodeFolder,
    plan: &Plan<'_>,
    notes: &Notebook<'_>,
) -> Vec<Index> {
    let is_here = |shard: &ShardName| {
        let planned = plan.shard(&shard.path());
        planned.is_some_and(|planned| planned.folders.contains(&(number as u16)))
    };
    let newest = found.iter().map(|file| file.changed).max().unwrap_or(0);
    let mut indexes = Vec::new();
    let mut orphans: BTreeMap<String, Pile> = BTreeMap::new();
    let mut compactions: BTreeMap<String, Pile> = BTreeMap::new();
    for file in found.into_iter().filter(|file| file.kind == FileKind::File) {
        match DataFile::parse(&file.path) {
            Some(DataFile::View { shard, signature }) if is_here(&shard) => {
                indexes.push(Index { path: file.path, shard, signature });
            }
            Some(DataFile::View { shard, .. }) => {
                let pile = orphans.entry(format!("{}{}", shard.db, shard.suffix)).or_default();
                pile.add(&file.path, file.size, file.changed);
            }
            _ if file.path.ends_with(COMPACTING) && is_stale(file.changed, newest) => {
                let name = file.path.split_once("_design/").map_or(file.path.as_str(), |(before, _)| before);
                let name = name.splitn(3, '/').nth(2).unwrap_or(name).to_owned();
                compactions.entry(name).or_default().add(&file.path, file.size, file.changed);
            }
            _ => {}
        }
    }
    for (kind, piles) in [(FindingKind::OrphanIndex, orphans), (FindingKind::CompactionLeft, compactions)] {
        for (name, pile) in piles {
            let (db, _) = couchfile::data_dir::split_suffix(&name);
            let found = if kind == FindingKind::OrphanIndex {
                format!(
                    "view indexes of shards that this node does not hold: {}",
                    counted(pile.files, "file")
                )
            } else {
                format!("{} of the compaction of a view index", counted(pile.files, "file"))
            };
            let finding = Finding::new(kind, found).of(db);
            let finding = finding.on(folder.node_display_name()).file(pile.first.as_str()).taking(pile.bytes);
            notes.note_of_files(Area::Indexes, finding, pile.mark());
        }
    }
    indexes
}

/// Checks indexes. Each one is read before its shard, so that it cannot be beyond it.
fn check(round: &Round<'_>, folder: &NodeFolder, indexes: &[Index], notes: &Notebook<'_>) -> Result<()> {
    let note = |index: &Index, kind, found: String| {
        let finding = Finding::new(kind, found).of(&index.shard.db).in_range(index.shard.range);
        notes.note(Area::Indexes, finding.on(folder.node_display_name()).file(index.path.as_str()));
    };
    let judge = |index: &Index, header: Opened<IndexHeader>, shard: &dyn Fn() -> Opened<(u64, u64)>| {
        let header = match header {
            Ok(header) if hex::encode(&header.signature) != index.signature => {
                return note(
                    index,
                    FindingKind::IndexDamaged,
                    "its signature does not match its name".into(),
                );
            }
            Ok(header) => header,
            // It was deleted with its design document, or is being replaced.
            Err(FileFailure::Missing | FileFailure::OnlyCompaction { .. }) => return,
            Err(FileFailure::Damaged(e @ CouchFileError::Newer { .. })) => {
                return note(index, FindingKind::NewerFormat, e.to_string());
            }
            Err(failure) => return note(index, FindingKind::IndexDamaged, failure.to_string()),
        };
        // What is wrong with the shard is found where it is examined.
        let Ok((seq, purge_seq)) = shard() else { return };
        if header.seq > seq || header.purge_seq > purge_seq {
            let found = format!(
                "it is built up to sequence {} (purges: {}), and its shard is at {seq} (purges: {purge_seq})",
                header.seq, header.purge_seq
            );
            note(index, FindingKind::IndexAhead, found);
        }
    };
    let Some(files) = folder.origin.far() else {
        return parallel::for_each(round.threads, indexes, |_, index| {
            let bytes = file::open_bytes(&folder.path.join(&index.path));
            let header = bytes.and_then(|bytes| contents::index_header(&bytes).map_err(file::failure));
            judge(index, header.map(|(header, _)| header), &|| {
                let shard = file::peek_shard(&folder.path.join(index.shard.path()), &folder.patience)?;
                Ok((shard.seq, shard.purge_seq))
            });
            Ok(())
        });
    };
    let far = Far::new(files, &folder.path);
    let paths: Vec<String> = indexes.iter().map(|index| index.path.clone()).collect();
    let headers: Vec<Opened<IndexHeader>> = far
        .open(&paths)?
        .into_iter()
        .map(|opened| opened.and_then(|bytes| contents::index_header(&*bytes).map_err(file::failure)))
        .map(|header| header.map(|(header, _)| header))
        .collect();
    let paths: Vec<String> = indexes.iter().map(|index| index.shard.path()).collect();
    let shards = far.open(&paths)?;
    for ((index, header), shard) in indexes.iter().zip(headers).zip(shards) {
        let sequences = shard.and_then(|bytes| sequences(bytes).map_err(file::failure));
        judge(index, header, &|| match &sequences {
            Ok(found) => Ok(*found),
            Err(_) => Err(FileFailure::Missing),
        });
    }
    Ok(())
}

/// Update and purge sequence of a database.
fn sequences(bytes: Bytes) -> Result<(u64, u64), CouchFileError> {
    let database = Database::open(bytes)?;
    Ok((database.header().update_seq, database.purge_seq()?))
}

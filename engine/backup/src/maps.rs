//! The shard maps that go into the archive.

use std::io::{BufWriter, Write};

use archive::Facts;
use contents::{FileProblem, MapDocument, convert_in_order, map_document, moved, unchanged, unusable};
use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::document::DocInfo;
use couchfile::read_at::FileBytes;
use couchfile::writer::{DatabaseWriter, NewDocument, Settings, random_uuid};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result};

use crate::copies;
use crate::folder::{MapsBytes, NodeFolder};
use crate::known::Winner;
use crate::plan::{Maps, Plan};

/// Shard maps up to this size, in bytes, are archived unchanged, however much of them is garbage.
const WORTH_REWRITING: u64 = 1 << 20;

/// The shard maps of the node that is not behind the others: a node that was down does not know databases that were created in
/// the meantime, and still knows deleted ones. Also the numbers of all data directories whose maps can be read, the chosen one
/// first.
///
/// Maps that cannot be read are recorded as problems.
pub(super) fn best<'f>(
    folders: &'f [NodeFolder],
    problems: &mut Vec<FileProblem>,
    reporter: &dyn Reporter,
) -> Result<(Maps<'f>, Vec<usize>)> {
    let mut readable: Vec<(usize, &Database<MapsBytes>)> = Vec::new();
    for (number, folder) in folders.iter().enumerate() {
        match &folder.maps {
            Ok(database) => readable.push((number, database)),
            Err(e) => problems.push(FileProblem {
                path: SHARD_MAPS.to_owned(),
                problem: format!(
                    "{}: {e}; databases that only this node knew are not in the archive",
                    folder.node_display_name()
                ),
            }),
        }
    }
    let databases: Vec<&Database<MapsBytes>> = readable.iter().map(|(_, database)| *database).collect();
    let order: Vec<usize> = copies::rank(&databases).into_iter().map(|i| readable[i].0).collect();
    let found =
        order.first().and_then(|&number| Some((&folders[number], folders[number].maps.as_ref().ok()?)));
    let Some((folder, database)) = found else {
        let reasons: Vec<String> = problems.iter().map(|problem| problem.problem.clone()).collect();
        return Err(Failure::incomplete(
            Code::new("CC-B01"),
            format!(
                "none of the given nodes has readable shard maps (_dbs.couch), without which nothing can be restored: {}",
                reasons.join("; ")
            ),
            "Give the data directory of another node of the cluster too. If all nodes have lost _dbs.couch, give --rebuild-maps: \
             couchcopy then makes shard maps from the shards.",
        ));
    };
    for problem in problems.iter() {
        let text = format!(
            "_dbs.couch of {}. The shard maps of {} are used.",
            problem.problem,
            folder.node_display_name()
        );
        reporter.notice(&Notice { severity: Severity::Problem, text });
    }
    let counted = database.counts().map_err(|e| unusable(folder.file_display_name(SHARD_MAPS), e))?;
    Ok((Maps { database, folder, count: counted.0 }, order))
}

/// A `_dbs.couch` that was rewritten for the archive, in a temporary file.
pub(super) struct NewMaps {
    pub(super) content: FileBytes,
    pub(super) facts: Facts,
}

/// Rewrites the shard maps if the node's file cannot be archived unchanged: other nodes know more, shards are being split, not all
/// databases are saved, or most of it is garbage. `None` if it can.
///
/// The new file holds the live maps of the databases that are saved, with their revisions, and the design documents. Deleted
/// documents are left out: nothing needs them in an archive.
pub(super) fn rewritten(plan: &Plan<'_>, folders: &[NodeFolder], threads: usize) -> Result<Option<NewMaps>> {
    let Maps { database, folder, .. } = plan.maps;
    let failed = |e| unusable(folder.file_display_name(SHARD_MAPS), e);
    let is_of_base = |winner: &Winner| std::ptr::eq(&raw const folders[winner.folder], folder);
    let changed = plan.disputed.values().any(|disputed| !disputed.winner.as_ref().is_some_and(is_of_base));
    let len = database.header_end();
    let is_garbage = len > WORTH_REWRITING && database.sizes().map_err(failed)?.active < len / 2;
    if !changed && plan.rings.is_empty() && plan.not_chosen == 0 && !is_garbage {
        return Ok(None);
    }
    let folder_of_file = std::env::temp_dir();
    let io = |e| Failure::io("write a file in", &folder_of_file, e);
    let file = tempfile::tempfile().map_err(io)?;
    let uuid = match &database.header().uuid {
        Some(uuid) => uuid.clone(),
        None => random_uuid().map_err(failed)?,
    };
    let epoch = database.header().epochs.first().map(|epoch| epoch.node.as_str());
    let node =
        folder.name.as_deref().or(epoch).filter(|node| node.contains('@')).unwrap_or("couchdb@localhost");
    let out = BufWriter::with_capacity(1 << 20, file);
    let mut writer = DatabaseWriter::new(out, Settings::new(uuid, node)).map_err(failed)?;
    let mut count = 0;
    let convert = |doc: &DocInfo<'_>| {
        let id = String::from_utf8_lossy(doc.id);
        let is_chosen = doc.id.starts_with(b"_design/") || plan.takes(&id);
        if doc.deleted || !is_chosen || plan.disputed.contains_key(&*id) {
            return Ok(None);
        }
        // One that cannot be read is a problem that is told already.
        Ok(map_document(database, doc).ok())
    };
    convert_in_order(database, threads, "the shard maps (_dbs.couch)", convert, |document| {
        count += u64::from(!document.is_design());
        writer.add(&with_ring(document, plan)?).map_err(failed)
    })?;
    for (name, disputed) in &plan.disputed {
        let Some(winner) = &disputed.winner else { continue };
        if plan.unreachable.contains(name) {
            continue;
        }
        count += 1;
        let document = MapDocument {
            id: name.clone(),
            revision: winner.revision.clone(),
            ancestors: Vec::new(),
            body: winner.body.clone(),
            map: Ok(winner.map.clone()),
        };
        writer.add(&with_ring(document, plan)?).map_err(failed)?;
    }
    let mut out = writer.finish().map_err(failed)?;
    out.flush().map_err(io)?;
    let content = FileBytes::new(out.into_inner().map_err(|e| io(e.into_error()))?).map_err(io)?;
    let written = Database::open(&content).map_err(failed)?;
    let header = written.header();
    let facts = Facts::ShardMaps {
        node: folder.name.clone(),
        maps: count,
        uuid: header.uuid.clone(),
        seq: header.update_seq,
        header: written.header_offset(),
    };
    Ok(Some(NewMaps { content, facts }))
}

/// The document of a map. During shard splitting it names the ranges that are saved.
fn with_ring(document: MapDocument, plan: &Plan<'_>) -> Result<NewDocument> {
    match plan.rings.get(&document.id) {
        Some(ring) => moved(document, |map| map.with_ranges(ring)),
        None => Ok(unchanged(document)),
    }
}

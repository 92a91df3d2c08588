//! A file that documents are recovered from: a copy of a shard, or what is left of one.

use std::collections::{HashMap, HashSet};

use contents::AnySource;
use couchfile::blocks::Blocks;
use couchfile::btree::TreeKind;
use couchfile::error::{CouchFileError, Result};
use couchfile::header::DbHeader;
use couchfile::read_at::ReadAt as _;

use crate::found::Found;
use crate::lenient::Lenient;
use crate::report::CopyReport;
use crate::scan::{Scan, scan};
use crate::walk::{Lost, purges, walk};

/// A file to recover documents from.
pub struct Copy {
    /// What the report calls it: its path.
    pub name: String,
    /// Its content.
    pub bytes: AnySource,
}

/// Revisions that were purged on purpose, by document.
pub(crate) type Purged = HashMap<Vec<u8>, HashSet<(u64, Vec<u8>)>>;

/// A copy that was read.
pub(crate) struct ScannedCopy {
    pub(crate) blocks: Blocks<Lenient>,
    /// The newest header, if there is one.
    pub(crate) header: Option<DbHeader>,
    /// Where it ends: nodes behind it are newer. 0 without a header.
    pub(crate) header_end: u64,
    /// Whether the file ends with its newest header, so that nothing newer was lost.
    pub(crate) ends_with_header: bool,
    /// What the newest id tree does not show.
    pub(crate) lost: Lost,
    pub(crate) report: CopyReport,
}

impl ScannedCopy {
    /// Reads a file, and hands over all entries in it.
    pub(crate) fn read<E: From<CouchFileError>>(
        copy: Copy,
        number: u16,
        purged: &mut Purged,
        passed: impl FnMut(u64),
        found: &mut dyn FnMut(Found) -> Result<(), E>,
    ) -> Result<Self, E> {
        let blocks = Blocks::new(Lenient::new(copy.bytes));
        let Scan { headers, header_count, nodes, breaks } = scan(&blocks, number, passed, found)?;
        let newest = headers.first();
        let mut report = CopyReport {
            file: copy.name.clone(),
            bytes: blocks.end(),
            headers: header_count,
            nodes,
            unordered_parts: breaks,
            update_seq: newest.map(|newest| newest.header.update_seq),
            ..CopyReport::default()
        };
        let mut lost = Lost::everything();
        for (i, found_header) in headers.iter().enumerate() {
            let header = &found_header.header;
            let by_id = walk(&blocks, header, TreeKind::Id, number, i == 0, found)?;
            let by_seq = walk(&blocks, header, TreeKind::Seq, number, i == 0, found)?;
            if i == 0 {
                report.damaged_nodes = by_id.faults + by_seq.faults;
                lost = by_id.lost;
                purges(&blocks, header, |id, generation, revision| {
                    purged.entry(id.to_vec()).or_default().insert((generation, revision.to_vec()));
                })?;
            }
            // Trees that are lost near their roots show nothing; those of an older header share most of the nodes.
            if by_id.entries > 0 && by_seq.entries > 0 {
                break;
            }
        }
        let ends_with_header = newest.is_some_and(|newest| newest.end == blocks.end());
        report.ends_with_header = ends_with_header;
        report.unreadable = blocks.source().unreadable();
        let header_end = newest.map_or(0, |newest| newest.end);
        let header = newest.map(|newest| newest.header.clone());
        Ok(Self { blocks, header, header_end, ends_with_header, lost, report })
    }

    /// Whether an entry may describe the newest state of its document in this copy.
    pub(crate) fn may_be_newest(&self, found: &Found) -> bool {
        found.current || found.node >= self.header_end || self.lost.contains(&found.id)
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> u64 {
        self.blocks.source().len()
    }
}

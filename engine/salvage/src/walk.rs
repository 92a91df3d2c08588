//! Follows the trees of a file's newest header as far as they go.

use couchfile::blocks::Blocks;
use couchfile::btree::{Cursor, Key, LostKeys, TreeKind};
use couchfile::document::{DocInfo, Purge};
use couchfile::error::Result;
use couchfile::header::DbHeader;
use couchfile::read_at::ReadAt;

use crate::found::{By, Found};
use crate::scan::is_plausible;

/// So many separate places of the id tree are remembered as lost; beyond that, everything counts as lost.
const MAX_LOST: usize = 50_000;
/// So many purges are looked at. CouchDB remembers 1000 by default.
const MAX_PURGES: usize = 200_000;

/// Which documents the id tree does not show, because the nodes that hold them are damaged.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    ranges: Vec<LostKeys>,
    /// Number of documents in them, as the nodes above record it.
    pub(crate) entries: u64,
}

impl Lost {
    /// Everything: there is no tree.
    pub(crate) fn everything() -> Self {
        Self { ranges: vec![LostKeys { after: None, up_to: None, entries: 0 }], entries: 0 }
    }

    fn add(&mut self, lost: LostKeys) {
        self.entries = self.entries.saturating_add(lost.entries);
        match self.ranges.last_mut() {
            Some(last) if last.up_to.is_some() && last.up_to == lost.after => last.up_to = lost.up_to,
            _ => self.ranges.push(lost),
        }
        if self.ranges.len() > MAX_LOST {
            self.ranges = Self::everything().ranges;
        }
    }

    /// Whether the document with this id would be in a damaged node.
    pub(crate) fn contains(&self, id: &[u8]) -> bool {
        let key = Key::Bytes(id);
        // In the order of the keys: the first one that ends behind the id.
        let ends_before = |range: &LostKeys| {
            range
                .up_to
                .as_deref()
                .and_then(|raw| Key::decode(raw).ok())
                .is_some_and(|end| end.order(&key).is_lt())
        };
        let at = self.ranges.partition_point(ends_before);
        self.ranges.get(at).is_some_and(|range| range.contains(&key))
    }
}

/// A tree's damage.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) lost: Lost,
    pub(crate) entries: u64,
    pub(crate) faults: u64,
}

/// Hands over the entries of one of the two main trees. `current`: the header is the newest one.
pub(crate) fn walk<R: ReadAt, E: From<couchfile::error::CouchFileError>>(
    blocks: &Blocks<R>,
    header: &DbHeader,
    kind: TreeKind,
    copy: u16,
    current: bool,
    found: &mut dyn FnMut(Found) -> Result<(), E>,
) -> Result<Walked, E> {
    let (root, by) = match kind {
        TreeKind::Id => (header.id_tree.as_ref(), By::Id),
        _ => (header.seq_tree.as_ref(), By::Seq),
    };
    let mut walked = Walked::default();
    let mut cursor = Cursor::skipping(blocks, kind, root)?;
    loop {
        let entry = cursor.next_entry()?;
        let is_end = entry.is_none();
        if let Some(entry) = entry {
            let info =
                if by == By::Id { DocInfo::from_id_tree(&entry) } else { DocInfo::from_seq_tree(&entry) };
            match info {
                Ok(info) if is_plausible(&info) => {
                    walked.entries += 1;
                    found(Found {
                        id: info.id.to_vec(),
                        seq: info.seq,
                        copy,
                        by,
                        value: entry.value.to_vec(),
                        node: 0,
                        current,
                        framed: true,
                    })?;
                }
                _ => {
                    walked.faults += 1;
                    // The id can be the damaged part: which document was there is unknown.
                    walked.lost.ranges = Lost::everything().ranges;
                }
            }
        }
        for fault in cursor.take_faults() {
            walked.faults += 1;
            let Some(lost) = fault.lost else { continue };
            if by == By::Id
                && current
                && let Some(Ok(Key::Bytes(id))) = lost.up_to.as_deref().map(Key::decode)
                && !id.is_empty()
            {
                found(Found {
                    id: id.to_vec(),
                    seq: 0,
                    copy,
                    by: By::Key,
                    value: Vec::new(),
                    node: 0,
                    current: false,
                    framed: true,
                })?;
            }
            walked.lost.add(lost);
        }
        if is_end {
            return Ok(walked);
        }
    }
}

/// The revisions that the copy records as purged: document, generation, revision.
pub(crate) fn purges<R: ReadAt>(
    blocks: &Blocks<R>,
    header: &DbHeader,
    mut each: impl FnMut(&[u8], u64, &[u8]),
) -> Result<()> {
    let mut cursor = Cursor::skipping(blocks, TreeKind::PurgeSeq, header.purge_seq_tree.as_ref())?;
    let mut left = MAX_PURGES;
    while let Some(entry) = cursor.next_entry()? {
        let Ok(purge) = Purge::from_entry(&entry) else { continue };
        for (generation, revision) in &purge.revisions {
            each(purge.id, *generation, revision.0);
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
    Ok(())
}

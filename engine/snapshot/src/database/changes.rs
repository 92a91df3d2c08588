//! Changes of a database.

use couchfile::btree::{Key, TreeKind};

use super::SnapshotDatabase;
use crate::document::Document;
use crate::error::{Error, Result};
use crate::iterators::ShardChanges;
use crate::since::Since;
use crate::walk::Flow;

impl SnapshotDatabase {
    /// Number of documents that changed after `since`. Fast for any number of documents.
    pub fn changes_after(&self, since: &Since) -> Result<u64> {
        let mut count = 0u64;
        for (number, file) in self.files()?.into_iter().enumerate() {
            let until = |seq| file.reduce_before(TreeKind::Seq, Key::Seq(seq)).map(|before| before.count);
            let failed = |e| self.damaged(number, e);
            let all = until(u64::MAX).map_err(failed)?;
            let before = until(since.of(number).saturating_add(1)).map_err(failed)?;
            count = count.saturating_add(all.saturating_sub(before));
        }
        Ok(count)
    }

    /// Calls `each` once with every document that changed after `since`, in the order of the changes within each shard, and with
    /// the sequence reached. Shards come one after the other: changes of different shards have no order in CouchDB either. If
    /// descending, everything comes in the opposite order and `since` is ignored.
    pub fn changes<E: From<Error>>(
        &self,
        since: &Since,
        descending: bool,
        mut each: impl FnMut(&Document<'_>, &Since) -> Result<Flow, E>,
    ) -> Result<(), E> {
        let files = self.files()?;
        let mut reached = Since((0..files.len()).map(|number| since.of(number)).collect());
        if descending {
            reached.0 = files.iter().map(|file| file.header().update_seq).collect();
            for (number, file) in files.iter().enumerate().rev() {
                let failed = |e| self.damaged(number, e);
                let mut cursor = file.cursor_back(TreeKind::Seq, None).map_err(failed)?;
                while let Some(entry) = cursor.next_entry().map_err(failed)? {
                    let document =
                        Document::from_seq_tree(file, entry.key, entry.value.to_vec()).map_err(failed)?;
                    reached.0[number] = document.seq();
                    if each(&document, &reached)? == Flow::Stop {
                        return Ok(());
                    }
                }
                reached.0[number] = 0;
            }
            return Ok(());
        }
        for (number, file) in files.iter().enumerate() {
            for document in self.shard_changes(number, since.of(number))? {
                let document = document?;
                reached.0[number] = document.seq();
                if each(&document, &reached)? == Flow::Stop {
                    return Ok(());
                }
            }
            reached.0[number] = reached.0[number].max(file.header().update_seq);
        }
        Ok(())
    }

    /// The documents of one shard that changed after `since`, in the order of the changes.
    pub fn shard_changes(&self, number: usize, since: u64) -> Result<ShardChanges<'_>> {
        let file = self.file(number)?;
        let cursor = file
            .cursor_from(TreeKind::Seq, Key::Seq(since.saturating_add(1)))
            .map_err(|e| self.damaged(number, e))?;
        Ok(ShardChanges::new(self, number, file, cursor, false))
    }

    /// The documents of one shard that changed after `since`, skipping damaged nodes of the tree and damaged entries, which come
    /// as errors among the documents ([`Error::is_damage`]).
    pub fn shard_changes_around_damage(&self, number: usize) -> Result<ShardChanges<'_>> {
        let file = self.file(number)?;
        let cursor = file.cursor_around_damage(TreeKind::Seq).map_err(|e| self.damaged(number, e))?;
        Ok(ShardChanges::new(self, number, file, cursor, true))
    }
}

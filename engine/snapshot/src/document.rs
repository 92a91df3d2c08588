//! A document of an archive with all its revisions.

use std::io::{Read, Write};

use contents::AnySource;
use couchfile::btree::{Entry, Key, Sizes};
use couchfile::database::Database;
use couchfile::document::{self, Attachment, DocInfo, Encoding, JsonOptions, Summary};
use couchfile::error::{CouchFileError, Result};
use couchfile::revtree::{RevTree, Revision};

/// Where an entry was found.
#[derive(Debug, Clone, Copy)]
enum Tree {
    Id,
    Seq(u64),
}

/// A document with all its revisions. Bodies and attachments are read when they are needed.
///
/// Methods fail with a [`CouchFileError`] if the requested data is damaged.
pub struct Document<'f> {
    file: &'f Database<AnySource>,
    id: String,
    seq: u64,
    deleted: bool,
    tree: Tree,
    value: Vec<u8>,
}

/// What remains of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionStatus {
    /// Its body can be read.
    Available,
    /// The revision deleted the document; its body can be read.
    Deleted,
    /// Only the existence of the revision is known.
    Missing,
}

impl RevisionStatus {
    /// The status in CouchDB's `_revs_info`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Deleted => "deleted",
            Self::Missing => "missing",
        }
    }
}

impl<'f> Document<'f> {
    pub(crate) fn from_id_tree(file: &'f Database<AnySource>, id: &[u8], value: Vec<u8>) -> Result<Self> {
        let entry = Entry { key: Key::Bytes(id), value: &value };
        let info = DocInfo::from_id_tree(&entry).map_err(|e| unreadable(id, &e))?;
        let (seq, deleted) = (info.seq, info.deleted);
        let id = text(id)?;
        Ok(Self { file, id, seq, deleted, tree: Tree::Id, value })
    }

    pub(crate) fn from_seq_tree(file: &'f Database<AnySource>, key: Key<'_>, value: Vec<u8>) -> Result<Self> {
        let entry = Entry { key, value: &value };
        let info = DocInfo::from_seq_tree(&entry).map_err(|e| unreadable(b"?", &e))?;
        let (seq, deleted, id) = (info.seq, info.deleted, text(info.id)?);
        // Files from before CouchDB 1.2 keep the revisions in the other tree only.
        if info.revisions.is_none() {
            let mut cursor = file.cursor_from(couchfile::btree::TreeKind::Id, Key::Bytes(id.as_bytes()))?;
            return match cursor.next_entry()? {
                Some(entry) if entry.key == Key::Bytes(id.as_bytes()) => {
                    Self::from_id_tree(file, id.as_bytes(), entry.value.to_vec())
                }
                _ => Err(CouchFileError::Invalid(format!("{id} is in only one of the two trees"))),
            };
        }
        Ok(Self { file, id, seq, deleted, tree: Tree::Seq(seq), value })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The sequence of its last change in its shard.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether all leaves are deleted.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Bytes of memory for id and revisions, without bodies.
    pub fn bytes_in_memory(&self) -> usize {
        size_of::<Self>() + self.id.capacity() + self.value.capacity()
    }

    /// Sizes of leaves and attachments. They may be too large after a purge.
    pub fn sizes(&self) -> Result<Sizes> {
        Ok(self.info()?.sizes)
    }

    fn info(&self) -> Result<DocInfo<'_>> {
        match self.tree {
            Tree::Id => {
                DocInfo::from_id_tree(&Entry { key: Key::Bytes(self.id.as_bytes()), value: &self.value })
            }
            Tree::Seq(seq) => DocInfo::from_seq_tree(&Entry { key: Key::Seq(seq), value: &self.value }),
        }
        .map_err(|e| unreadable(self.id.as_bytes(), &e))
    }

    /// All its revisions.
    pub fn revisions(&self) -> Result<RevTree<'_>> {
        self.info()?.revisions.ok_or_else(|| CouchFileError::Invalid(format!("{} has no revisions", self.id)))
    }

    /// The leaf that CouchDB shows as the document.
    pub fn winner(&self) -> Result<Revision<'_>> {
        let tree = self.revisions()?;
        let winner = tree.winner().copied();
        winner.ok_or_else(|| CouchFileError::Invalid(format!("{} has no revisions", self.id)))
    }

    /// The leaves as CouchDB orders them: the winner first, deleted ones last.
    pub fn leaves(&self) -> Result<Vec<Revision<'_>>> {
        let tree = self.revisions()?;
        let mut leaves: Vec<Revision<'_>> = tree.leaves().copied().collect();
        leaves.sort_by_key(|leaf| {
            (leaf.stored.is_some_and(|stored| stored.deleted), std::cmp::Reverse((leaf.generation, leaf.id)))
        });
        Ok(leaves)
    }

    /// The leaves in conflict with the winner: either those that are not deleted, or the deleted ones.
    pub fn conflicts(&self, deleted: bool) -> Result<Vec<String>> {
        let leaves = self.leaves()?;
        let others = leaves.iter().skip(1);
        Ok(others
            .filter(|leaf| leaf.stored.is_some_and(|stored| stored.deleted) == deleted)
            .map(ToString::to_string)
            .collect())
    }

    /// The revision with the text `rev`; `None` if the document is not known to have had it.
    pub fn revision(&self, rev: &str) -> Result<Option<Revision<'_>>> {
        let Some((generation, _)) = rev.split_once('-') else { return Ok(None) };
        let Ok(generation) = generation.parse::<u64>() else { return Ok(None) };
        let tree = self.revisions()?;
        let rev = rev.to_ascii_lowercase();
        Ok(tree
            .revisions()
            .iter()
            .find(|revision| revision.generation == generation && revision.to_string() == rev)
            .copied())
    }

    /// The leaves that descend from a revision; the revision itself if it is a leaf.
    pub fn leaves_of(&self, revision: &Revision<'_>) -> Result<Vec<Revision<'_>>> {
        let tree = self.revisions()?;
        let all = tree.revisions();
        let came_of = |leaf: &Revision<'_>| {
            std::iter::successors(Some(leaf), |r| r.parent.and_then(|parent| all.get(parent)))
                .any(|r| r.generation == revision.generation && r.id == revision.id)
        };
        Ok(self.leaves()?.into_iter().filter(|leaf| came_of(leaf)).collect())
    }

    /// A revision and its known ancestors, each with what remains of it.
    pub fn history(&self, revision: &Revision<'_>) -> Result<Vec<(String, RevisionStatus)>> {
        let tree = self.revisions()?;
        let all = tree.revisions();
        Ok(std::iter::successors(Some(revision), |r| r.parent.and_then(|parent| all.get(parent)))
            .map(|r| {
                let status = match r.stored {
                    Some(stored) if stored.deleted => RevisionStatus::Deleted,
                    Some(_) => RevisionStatus::Available,
                    None => RevisionStatus::Missing,
                };
                (r.to_string(), status)
            })
            .collect())
    }

    /// A revision as JSON text.
    ///
    /// Fails if the body is not in the file.
    pub fn json(&self, revision: &Revision<'_>, options: JsonOptions<'_>) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.write_json(revision, options, &mut out)?;
        Ok(out)
    }

    /// Appends a revision as JSON text.
    ///
    /// Fails if the body is not in the file.
    pub fn write_json(
        &self,
        revision: &Revision<'_>,
        options: JsonOptions<'_>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let info = self.info()?;
        let tree = info
            .revisions
            .as_ref()
            .ok_or_else(|| CouchFileError::Invalid(format!("{} has no revisions", self.id)))?;
        document::leaf_json(self.file, &info, tree, revision, options, out)
    }

    /// A revision's body and the list of its attachments.
    ///
    /// Fails if the body is not in the file.
    pub fn summary(&self, revision: &Revision<'_>) -> Result<Summary> {
        let stored = revision
            .stored
            .ok_or_else(|| CouchFileError::Invalid(format!("the body of {revision} is not stored")))?;
        self.file.summary(&stored)
    }

    /// Reads an attachment piece by piece: as it is stored, or decoded as CouchDB serves it to clients that do not accept gzip.
    /// Its length and MD5 are checked at the end.
    ///
    /// If a client sent the attachment gzipped (its length is then not known), only the first gzip member is decoded: CouchDB
    /// ignores what follows it.
    pub fn attachment(
        &self,
        attachment: &Attachment,
        decode: bool,
        each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if !decode || attachment.encoding == Encoding::Identity {
            return self.file.attachment(attachment, each);
        }
        match attachment.decoded_len() {
            Some(len) => self.all_members(attachment, Some(len), each),
            None => self.first_member(attachment, each),
        }
    }

    /// Reads an attachment's complete content piece by piece, as CouchDB serves it within a document.
    pub fn decoded_attachment(
        &self,
        attachment: &Attachment,
        each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if attachment.encoding == Encoding::Identity {
            return self.file.attachment(attachment, each);
        }
        self.all_members(attachment, attachment.decoded_len(), each)
    }

    /// The content of all gzip members of an attachment, with this length if it is known.
    fn all_members(
        &self,
        attachment: &Attachment,
        wanted: Option<u64>,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut decoder = flate2::write::MultiGzDecoder::new(Vec::new());
        let mut len = 0u64;
        let mut give = |plain: &mut Vec<u8>| -> Result<()> {
            len = len.saturating_add(plain.len() as u64);
            if wanted.is_some_and(|wanted| len > wanted) {
                return Err(CouchFileError::damaged("gzipped attachment", 0, "its length differs"));
            }
            if !plain.is_empty() {
                each(plain)?;
                plain.clear();
            }
            Ok(())
        };
        self.file.attachment(attachment, |piece| {
            // A few bytes may stand for a lot of content: it is given on before the next ones are looked at.
            for few in piece.chunks(FEW) {
                decoder.write_all(few).map_err(no_gzip)?;
                give(decoder.get_mut())?;
            }
            Ok(())
        })?;
        let mut rest = decoder.finish().map_err(no_gzip)?;
        give(&mut rest)?;
        if wanted.is_some_and(|wanted| len != wanted) {
            return Err(CouchFileError::damaged("gzipped attachment", 0, "its length differs"));
        }
        Ok(())
    }

    /// The content of the first gzip member of an attachment.
    fn first_member(&self, attachment: &Attachment, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut decoder = flate2::write::GzDecoder::new(Vec::new());
        let mut has_ended = false;
        let mut give = |plain: &mut Vec<u8>| -> Result<()> {
            if !plain.is_empty() {
                each(plain)?;
                plain.clear();
            }
            Ok(())
        };
        self.file.attachment(attachment, |piece| {
            for mut few in piece.chunks(FEW) {
                while !has_ended && !few.is_empty() {
                    let taken = decoder.write(few).map_err(no_gzip)?;
                    give(decoder.get_mut())?;
                    has_ended = taken == 0;
                    few = &few[taken..];
                }
            }
            Ok(())
        })?;
        let mut rest = decoder.finish().map_err(no_gzip)?;
        give(&mut rest)
    }

    /// A part of an attachment's decoded content.
    pub fn attachment_content(&self, attachment: &Attachment, limit: u64) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.attachment(attachment, true, |piece| {
            let room = limit.saturating_sub(content.len() as u64);
            piece.take(room).read_to_end(&mut content).map_err(CouchFileError::Write)?;
            Ok(())
        })?;
        Ok(content)
    }
}

/// Bytes of gzip that are decoded at a time.
const FEW: usize = 4 << 10;

fn no_gzip(error: std::io::Error) -> CouchFileError {
    CouchFileError::damaged("gzipped attachment", 0, error)
}

fn unreadable(id: &[u8], e: &dyn std::fmt::Display) -> CouchFileError {
    CouchFileError::damaged("document entry", 0, format!("{}: {e}", String::from_utf8_lossy(id)))
}

fn text(id: &[u8]) -> Result<String> {
    String::from_utf8(id.to_vec()).map_err(|_| {
        CouchFileError::Invalid(format!("the id {} is not valid text", String::from_utf8_lossy(id)))
    })
}

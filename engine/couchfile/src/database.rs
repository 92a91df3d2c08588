//! A database file opened for reading.

mod opening;

use crate::blocks::Blocks;
use crate::btree::{BackwardCursor, Cursor, Entry, Key, Reduction, Sizes, Subtree, TreeKind, reduce_before};
use crate::checksum::md5;
use crate::compression::TermBytes;
use crate::document::{Attachment, DocInfo, LocalDocument, Purge, Summary, read_attachment};
use crate::error::{CouchFileError, Result, TermError};
use crate::header::{DbHeader, TreeState};
use crate::json::Json;
use crate::read_at::ReadAt;
use crate::revtree::Stored;
use crate::term::Decoder;

pub(crate) use opening::{check_pointers, is_compaction, passed};

/// A part of a database's documents: those with ids in a range.
#[derive(Debug, Clone)]
pub struct DocumentPart {
    /// Key that the first id comes after, as an encoded term.
    after: Option<Vec<u8>>,
    /// Key of the last id, as an encoded term.
    up_to: Option<Vec<u8>>,
}

/// A database, as its last valid header describes it.
#[derive(Debug)]
pub struct Database<R> {
    blocks: Blocks<R>,
    header: DbHeader,
    header_offset: u64,
    header_end: u64,
}

impl<R: ReadAt> Database<R> {
    /// Opens a database at its last valid header.
    ///
    /// Fails if CouchDB would make an empty database of the file ([`CouchFileError::NoHeader`]) or would refuse it,
    /// where a compaction was cut short, and where the header names data that is not there.
    pub fn open(source: R) -> Result<Self> {
        let blocks = Blocks::new(source);
        let (raw, header) = opening::last_header(&blocks)?;
        let offset = raw.offset;
        opening::check_pointers(&header, offset)?;
        Ok(Self { blocks: blocks.up_to(offset), header, header_offset: offset, header_end: raw.end })
    }

    /// The header.
    pub fn header(&self) -> &DbHeader {
        &self.header
    }

    /// Offset of the header: all data lies before it.
    pub fn header_offset(&self) -> u64 {
        self.header_offset
    }

    /// Offset after the header's last byte: so much of the file is this database.
    pub fn header_end(&self) -> u64 {
        self.header_end
    }

    /// The bytes below.
    pub fn source(&self) -> &R {
        self.blocks.source()
    }

    pub(crate) fn blocks(&self) -> &Blocks<R> {
        &self.blocks
    }

    /// Gives the bytes below back.
    pub fn into_source(self) -> R {
        self.blocks.into_source()
    }

    /// Numbers of documents that exist and that are deleted.
    pub fn counts(&self) -> Result<(u64, u64)> {
        self.header.counts(self.header_offset)
    }

    /// The largest purge sequence given out.
    pub fn purge_seq(&self) -> Result<u64> {
        if let Some(seq) = self.header.legacy_purge_seq {
            return Ok(seq);
        }
        let mut last = 0;
        let mut cursor = self.cursor(TreeKind::PurgeSeq)?;
        while let Some(entry) = cursor.next_entry()? {
            if let Key::Seq(seq) = entry.key {
                last = seq;
            }
        }
        Ok(last)
    }

    /// A cursor over one of the trees, in key order.
    pub fn cursor(&self, kind: TreeKind) -> Result<Cursor<'_, R>> {
        Cursor::new(&self.blocks, kind, self.root(kind))
    }

    /// A cursor over one of the trees from the first entry on whose key is not less than `from`.
    pub fn cursor_from(&self, kind: TreeKind, from: Key<'_>) -> Result<Cursor<'_, R>> {
        Cursor::starting_at(&self.blocks, kind, self.root(kind), from.encode())
    }

    /// A cursor over one of the trees, in key order, that goes around damaged nodes; see [`Cursor::skipping`].
    pub fn cursor_around_damage(&self, kind: TreeKind) -> Result<Cursor<'_, R>> {
        Cursor::skipping(&self.blocks, kind, self.root(kind))
    }

    /// Cuts one of the trees into at least `wanted` parts, to be checked by several threads, each with [`Self::cursor_over`];
    /// there are fewer if the tree is small. `None` if the tree cannot be cut because it is damaged near its root.
    pub(crate) fn subtrees(&self, kind: TreeKind, wanted: usize) -> Result<Option<Vec<Subtree>>> {
        crate::btree::subtrees(&self.blocks, kind, self.root(kind), wanted)
    }

    /// A cursor over a part of one of the trees; see [`Cursor::over`].
    pub(crate) fn cursor_over(&self, kind: TreeKind, part: &Subtree) -> Result<Cursor<'_, R>> {
        Cursor::over(&self.blocks, kind, part)
    }

    /// A cursor as [`Self::cursor_around_damage`] gives it, before the first entry whose key is not less than `from`.
    pub fn cursor_around_damage_from(&self, kind: TreeKind, from: Key<'_>) -> Result<Cursor<'_, R>> {
        Cursor::skipping_from(&self.blocks, kind, self.root(kind), from.encode())
    }

    /// A cursor over one of the trees against the order of its keys: from the last entry on whose key is not greater than
    /// `from`, without it from the last one.
    pub fn cursor_back(&self, kind: TreeKind, from: Option<Key<'_>>) -> Result<BackwardCursor<'_, R>> {
        BackwardCursor::new(&self.blocks, kind, self.root(kind), from.map(|key| key.encode()))
    }

    /// The reduction of all entries of a tree before a key, without the entry of that key. Reads only the nodes between the
    /// root and that key.
    pub fn reduce_before(&self, kind: TreeKind, before: Key<'_>) -> Result<Reduction> {
        reduce_before(&self.blocks, kind, self.root(kind), before)
    }

    fn root(&self, kind: TreeKind) -> Option<&TreeState> {
        match kind {
            TreeKind::Id => &self.header.id_tree,
            TreeKind::Seq => &self.header.seq_tree,
            TreeKind::Local => &self.header.local_tree,
            TreeKind::Purge => &self.header.purge_tree,
            TreeKind::PurgeSeq => &self.header.purge_seq_tree,
        }
        .as_ref()
    }

    /// Sizes in bytes as CouchDB reports them: of what is in use in the file (trees, bodies and attachments), and of the
    /// content as JSON.
    pub fn sizes(&self) -> Result<Sizes> {
        let mut sizes = Sizes::default();
        if let Some(tree) = &self.header.id_tree {
            let (reduction, _) = Reduction::decode(TreeKind::Id, &tree.reduction)
                .map_err(|e| CouchFileError::damaged("database header", self.header_offset, e))?;
            sizes = reduction.sizes;
        }
        for tree in self.header.trees().iter().filter_map(|(_, tree)| *tree) {
            sizes.active = sizes.active.saturating_add(tree.size.unwrap_or(0));
        }
        Ok(sizes)
    }

    /// Calls `each` for every document, deleted documents included, in the order of their ids.
    pub fn for_each_document<E: From<CouchFileError>>(
        &self,
        mut each: impl FnMut(&DocInfo<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cursor = self.cursor(TreeKind::Id)?;
        while let Some(entry) = cursor.next_entry()? {
            let doc =
                DocInfo::from_id_tree(&entry).map_err(|e| unreadable("entry of the id tree", &entry, e))?;
            each(&doc)?;
        }
        Ok(())
    }

    /// Cuts the documents into about `parts` parts, by their ids, for several threads to go through. Together they are all
    /// documents; the parts come in the order of the ids.
    pub fn document_parts(&self, parts: usize) -> Result<Vec<DocumentPart>> {
        let root = self.header.id_tree.as_ref();
        let keys = crate::btree::split_keys(&self.blocks, TreeKind::Id, root, parts)?;
        let mut cut = Vec::with_capacity(keys.len() + 1);
        let mut after = None;
        for key in keys {
            cut.push(DocumentPart { after: after.take(), up_to: Some(key.clone()) });
            after = Some(key);
        }
        cut.push(DocumentPart { after, up_to: None });
        Ok(cut)
    }

    /// Calls `each` for every document of a part, deleted documents included, in the order of their ids.
    pub fn for_each_document_in<E: From<CouchFileError>>(
        &self,
        part: &DocumentPart,
        mut each: impl FnMut(&DocInfo<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = |raw: &'_ Option<Vec<u8>>| -> Result<Option<Vec<u8>>> {
            let Some(raw) = raw else { return Ok(None) };
            match Key::decode(raw) {
                Ok(Key::Bytes(id)) => Ok(Some(id.to_vec())),
                _ => Err(CouchFileError::damaged("id tree", 0, "a key that is not a document id")),
            }
        };
        let (after, up_to) = (key(&part.after)?, key(&part.up_to)?);
        let mut cursor = match &part.after {
            Some(after) => {
                let root = self.header.id_tree.as_ref();
                Cursor::starting_at(&self.blocks, TreeKind::Id, root, after.clone())?
            }
            None => self.cursor(TreeKind::Id)?,
        };
        while let Some(entry) = cursor.next_entry()? {
            let doc =
                DocInfo::from_id_tree(&entry).map_err(|e| unreadable("entry of the id tree", &entry, e))?;
            if after.as_deref() == Some(doc.id) {
                continue;
            }
            if up_to.as_deref().is_some_and(|up_to| doc.id > up_to) {
                return Ok(());
            }
            each(&doc)?;
        }
        Ok(())
    }

    /// Calls `each` for every local document, in the order of their ids.
    pub fn for_each_local<E: From<CouchFileError>>(
        &self,
        mut each: impl FnMut(&LocalDocument<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cursor = self.cursor(TreeKind::Local)?;
        while let Some(entry) = cursor.next_entry()? {
            let doc = LocalDocument::from_entry(&entry)
                .map_err(|e| unreadable("entry of the local tree", &entry, e))?;
            each(&doc)?;
        }
        Ok(())
    }

    /// Calls `each` for every purge, in the order in which they happened.
    pub fn for_each_purge<E: From<CouchFileError>>(
        &self,
        mut each: impl FnMut(&Purge<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cursor = self.cursor(TreeKind::PurgeSeq)?;
        while let Some(entry) = cursor.next_entry()? {
            let purge = Purge::from_entry(&entry)
                .map_err(|e| unreadable("entry of the purge seq tree", &entry, e))?;
            each(&purge)?;
        }
        Ok(())
    }

    /// Looks a document up by its id and hands it to `found`; `None` if there is no such document.
    pub fn document<T>(&self, id: &[u8], found: impl FnOnce(&DocInfo<'_>) -> Result<T>) -> Result<Option<T>> {
        let mut cursor = self.cursor_from(TreeKind::Id, Key::Bytes(id))?;
        match cursor.next_entry()? {
            Some(entry) if entry.key == Key::Bytes(id) => {
                let doc = DocInfo::from_id_tree(&entry)
                    .map_err(|e| unreadable("entry of the id tree", &entry, e))?;
                found(&doc).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Looks a local document up by its id, as [`Self::document`] does.
    pub fn local_document<T>(
        &self,
        id: &[u8],
        found: impl FnOnce(&LocalDocument<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut cursor = self.cursor_from(TreeKind::Local, Key::Bytes(id))?;
        match cursor.next_entry()? {
            Some(entry) if entry.key == Key::Bytes(id) => {
                let doc = LocalDocument::from_entry(&entry)
                    .map_err(|e| unreadable("entry of the local tree", &entry, e))?;
                found(&doc).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Reads a revision's body and the list of its attachments.
    pub fn summary(&self, stored: &Stored<'_>) -> Result<Summary> {
        let ptr = stored.summary.ok_or_else(|| {
            CouchFileError::damaged("document summary", 0, "the revision names no place for it")
        })?;
        Summary::read(&self.blocks, ptr)
    }

    /// Reads an attachment's stored bytes piece by piece and checks their length and MD5 at the end.
    pub fn attachment(&self, attachment: &Attachment, each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        read_attachment(&self.blocks, attachment, each)
    }

    /// The security object: a list of pairs as a term. `None`: the default one.
    pub fn security(&self) -> Result<Option<TermBytes<'static>>> {
        self.pointed_term(self.header.security_ptr, "security object")
    }

    /// The security object as JSON, if the file has one.
    pub fn security_json(&self) -> Result<Option<Json>> {
        let Some(term) = self.security()? else { return Ok(None) };
        let at = self.header.security_ptr.unwrap_or(0);
        let mut text = Vec::new();
        let mut decoder: Decoder<'_> = term.decoder();
        crate::ejson::write_members(&mut decoder, &mut text)
            .and_then(|()| decoder.end())
            .map_err(|e| CouchFileError::damaged("security object", at, e))?;
        Json::parse(&text).map(Some).map_err(|e| CouchFileError::damaged("security object", at, e))
    }

    /// The properties: a list of pairs as a term.
    pub fn props(&self) -> Result<Option<TermBytes<'static>>> {
        self.pointed_term(self.header.props_ptr, "properties")
    }

    /// The table of which sequence was reached when, as a term. CouchDB's versions after 3.5 keep one.
    pub fn time_seq(&self) -> Result<Option<TermBytes<'static>>> {
        self.pointed_term(self.header.time_seq_ptr, "time table")
    }

    fn pointed_term(&self, ptr: Option<u64>, what: &'static str) -> Result<Option<TermBytes<'static>>> {
        let Some(ptr) = ptr else { return Ok(None) };
        let (term, _) = self.blocks.read_term(ptr, what)?;
        let mut decoder = term.decoder();
        decoder.skip().and_then(|()| decoder.end()).map_err(|e| CouchFileError::damaged(what, ptr, e))?;
        Ok(Some(term))
    }
}

/// MD5 of `bytes` as attachments carry it.
pub fn attachment_md5(bytes: &[u8]) -> [u8; 16] {
    md5(bytes)
}

/// The error for an entry of a tree that cannot be read.
fn unreadable(what: &'static str, entry: &Entry<'_>, why: TermError) -> CouchFileError {
    CouchFileError::damaged(what, 0, format!("{}: {why}", entry.key))
}

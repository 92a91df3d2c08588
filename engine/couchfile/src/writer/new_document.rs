//! Documents to be written.

use crate::document::Encoding;
use crate::error::{CouchFileError, Result};
use crate::revision::{self, AttachmentDigest};

/// An attachment to be written.
#[derive(Debug, Clone)]
pub struct NewAttachment {
    /// Its name.
    pub name: String,
    /// Its MIME type.
    pub content_type: String,
    /// Its bytes as they are to be stored.
    pub data: Vec<u8>,
    /// Length in bytes after decoding.
    pub original_len: u64,
    /// Generation of the revision that brings it.
    pub revpos: u64,
    /// How `data` is encoded.
    pub encoding: Encoding,
}

/// What a revision holds. Its attachments are in memory or, for [`super::OrderedWriter`], in the new file already.
#[derive(Debug, Clone)]
pub struct NewBody<A = NewAttachment> {
    /// The body: an object as a term, without version byte.
    pub term: Vec<u8>,
    /// Whether it deletes the document.
    pub deleted: bool,
    /// In the document's order.
    pub attachments: Vec<A>,
}

/// A revision of a new document.
#[derive(Debug, Clone)]
pub struct NewRevision<A = NewAttachment> {
    /// The number before the dash.
    pub generation: u64,
    /// The part after the dash: 16 bytes.
    pub id: Vec<u8>,
    /// Index of its parent in [`NewDocument::revisions`], which stands before it.
    pub parent: Option<usize>,
    /// `None` for an ancestor of which only the id is known.
    pub body: Option<NewBody<A>>,
}

/// A document to be written: all its known revisions, every parent before its children.
#[derive(Debug, Clone)]
pub struct NewDocument<A = NewAttachment> {
    /// Its id.
    pub id: Vec<u8>,
    /// Its revisions.
    pub revisions: Vec<NewRevision<A>>,
}

impl NewDocument {
    /// A document's first revision, its id computed as CouchDB does.
    pub fn first(id: &[u8], body: NewBody) -> Self {
        let (generation, rev) = next_revision(None, &body);
        let revision = NewRevision { generation, id: rev.to_vec(), parent: None, body: Some(body) };
        Self { id: id.to_vec(), revisions: vec![revision] }
    }

    /// Adds a revision after the revision number `parent`; gives its number.
    pub fn edit(&mut self, parent: usize, body: NewBody) -> Result<usize> {
        let before = self.revisions.get(parent).ok_or_else(|| {
            CouchFileError::Invalid(format!("a revision after number {parent}, which does not exist"))
        })?;
        let (generation, rev) = next_revision(Some((before.generation, &before.id)), &body);
        self.revisions.push(NewRevision {
            generation,
            id: rev.to_vec(),
            parent: Some(parent),
            body: Some(body),
        });
        Ok(self.revisions.len() - 1)
    }
}

impl<A> NewDocument<A> {
    /// For every revision its children, siblings ascending by id; and the roots, ascending by generation and id.
    pub(crate) fn children(&self) -> Result<(Vec<usize>, Vec<Vec<usize>>)> {
        let mut roots = Vec::new();
        let mut children = vec![Vec::new(); self.revisions.len()];
        for (i, revision) in self.revisions.iter().enumerate() {
            match revision.parent {
                None => roots.push(i),
                Some(parent)
                    if parent < i && self.revisions[parent].generation + 1 == revision.generation =>
                {
                    children[parent].push(i);
                }
                Some(_) => return Err(CouchFileError::Invalid("a revision before its parent".into())),
            }
        }
        let key = |&i: &usize| (self.revisions[i].generation, self.revisions[i].id.clone());
        roots.sort_by_key(key);
        for list in &mut children {
            list.sort_by_key(key);
        }
        let siblings = children.iter().chain([&roots]);
        if siblings.flat_map(|list| list.windows(2)).any(|pair| key(&pair[0]) == key(&pair[1])) {
            return Err(CouchFileError::Invalid("a revision twice".into()));
        }
        if roots.is_empty() {
            return Err(CouchFileError::Invalid("a document without revisions".into()));
        }
        Ok((roots, children))
    }
}

fn next_revision(parent: Option<(u64, &[u8])>, body: &NewBody) -> (u64, [u8; 16]) {
    let digests: Vec<AttachmentDigest<'_>> = body
        .attachments
        .iter()
        .map(|a| AttachmentDigest {
            name: a.name.as_bytes(),
            content_type: a.content_type.as_bytes(),
            md5: crate::checksum::md5(&a.data),
        })
        .collect();
    revision::next(parent, body.deleted, &body.term, &digests)
}

//! Writes a complete database file front to back, without seeking.

use std::io::Write;

use super::appender::Appender;
use super::new_document::NewDocument;
use super::placed;
use super::settings::{Settings, Written};
use super::tree::TreeBuilder;
use crate::btree::TreeKind;
use crate::error::{CouchFileError, Result};
use crate::term::Encoder;

/// What the ids of local documents begin with.
pub(super) const LOCAL: &[u8] = b"_local/";

/// An entry of both main trees, kept in [`DatabaseWriter::arena`] until the trees are built.
#[derive(Debug, Clone, Copy)]
struct Pending {
    start: usize,
    id_len: u32,
    rest_len: u32,
}

/// Writes a database: documents in any order, then the trees and one header.
///
/// Memory grows by some 150 bytes per document, whatever their size.
#[derive(Debug)]
pub struct DatabaseWriter<W> {
    out: Appender<W>,
    settings: Settings,
    props_ptr: u64,
    arena: Vec<u8>,
    pending: Vec<Pending>,
    locals: Vec<(Vec<u8>, Vec<u8>)>,
    purges: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<W: Write> DatabaseWriter<W> {
    /// Begins a file; `out` gets it from offset 0 on.
    ///
    /// Fails if the settings' uuid or node name is malformed.
    pub fn new(out: W, settings: Settings) -> Result<Self> {
        settings.validate()?;
        let mut out = Appender::new(out, 0, settings.compression);
        let props_ptr = out.term(&settings.props())?.ptr;
        Ok(Self {
            out,
            settings,
            props_ptr,
            arena: Vec::new(),
            pending: Vec::new(),
            locals: Vec::new(),
            purges: Vec::new(),
        })
    }

    /// Adds a document with all its revisions. It gets the next sequence.
    ///
    /// Ids must be unique, which is found only by [`DatabaseWriter::finish`].
    pub fn add(&mut self, doc: &NewDocument) -> Result<()> {
        if doc.id.is_empty() || doc.id.starts_with(LOCAL) {
            let id = String::from_utf8_lossy(&doc.id);
            return Err(CouchFileError::Invalid(format!("a document with the id \"{id}\"")));
        }
        let seq = self.pending.len() as u64 + 1;
        let out = &mut self.out;
        let value = placed::revisions(doc, |body, tree| {
            let mut attachments = Vec::with_capacity(body.attachments.len());
            for attachment in &body.attachments {
                attachments.push(placed::place(out, attachment)?);
            }
            placed::body(out, body, &attachments, seq, tree)
        })?;

        let start = self.arena.len();
        self.arena.extend_from_slice(&doc.id);
        self.arena.extend_from_slice(&value);
        let too_long = |_| CouchFileError::Invalid("a document's revision tree of 4 GiB or more".into());
        let rest_len = u32::try_from(self.arena.len() - start - doc.id.len()).map_err(too_long)?;
        let id_len = u32::try_from(doc.id.len()).map_err(too_long)?;
        self.pending.push(Pending { start, id_len, rest_len });
        Ok(())
    }

    /// Adds a local document; `id` begins with `_local/`, `body` is an object as a term, without version byte.
    pub fn add_local(&mut self, id: &[u8], revision: u64, body: &[u8]) {
        let mut value = Encoder::new();
        value.tuple(2).uint(revision).raw(body);
        self.locals.push((id.to_vec(), value.finish()));
    }

    /// Records a purge of one document's revisions.
    pub fn add_purge(&mut self, uuid: &str, id: &[u8], revisions: &[(u64, Vec<u8>)]) {
        let mut value = Encoder::new();
        value.binary(id).list(revisions.len());
        for (generation, rev) in revisions {
            value.tuple(2).uint(*generation).binary(rev);
        }
        if !revisions.is_empty() {
            value.nil();
        }
        self.purges.push((uuid.as_bytes().to_vec(), value.finish()));
    }

    /// Writes the trees and the header, and returns the output.
    ///
    /// Fails if two documents, local documents or purges have the same id.
    pub fn finish(mut self) -> Result<W> {
        let seq_tree = self.main_tree(TreeKind::Seq, &(0..self.pending.len()).collect::<Vec<_>>())?;
        let mut by_id: Vec<usize> = (0..self.pending.len()).collect();
        by_id.sort_unstable_by(|&a, &b| self.id(a).cmp(self.id(b)));
        refuse_twins("documents", by_id.iter().map(|&i| self.id(i)))?;
        let id_tree = self.main_tree(TreeKind::Id, &by_id)?;

        self.locals.sort();
        if let Some((id, _)) = self.locals.iter().find(|(id, _)| !id.starts_with(LOCAL)) {
            let id = String::from_utf8_lossy(id);
            return Err(CouchFileError::Invalid(format!("a local document with the id \"{id}\"")));
        }
        refuse_twins("local documents", self.locals.iter().map(|(id, _)| id.as_slice()))?;
        let mut locals = TreeBuilder::new(TreeKind::Local);
        for (id, value) in &self.locals {
            locals.push(&mut self.out, Encoder::new().binary(id).as_bytes(), value)?;
        }
        let local_tree = locals.finish(&mut self.out)?;

        let mut by_seq = TreeBuilder::new(TreeKind::PurgeSeq);
        for (i, (uuid, rest)) in self.purges.iter().enumerate() {
            let mut value = Encoder::new();
            value.tuple(3).binary(uuid).raw(rest);
            by_seq.push(&mut self.out, Encoder::new().uint(i as u64 + 1).as_bytes(), value.as_bytes())?;
        }
        let purge_seq_tree = by_seq.finish(&mut self.out)?;
        let mut order: Vec<usize> = (0..self.purges.len()).collect();
        order.sort_by(|&a, &b| self.purges[a].0.cmp(&self.purges[b].0));
        refuse_twins("purges", order.iter().map(|&i| self.purges[i].0.as_slice()))?;
        let mut by_uuid = TreeBuilder::new(TreeKind::Purge);
        for i in order {
            let (uuid, rest) = &self.purges[i];
            let mut value = Encoder::new();
            value.tuple(3).uint(i as u64 + 1).raw(rest);
            by_uuid.push(&mut self.out, Encoder::new().binary(uuid).as_bytes(), value.as_bytes())?;
        }
        let purge_tree = by_uuid.finish(&mut self.out)?;

        let security_ptr = self.out.term(&self.settings.security()?)?.ptr;
        let update_seq = self.pending.len() as u64;
        let trees = [id_tree, seq_tree, local_tree, purge_tree, purge_seq_tree];
        let header =
            self.settings.header(update_seq, trees, Written { props_ptr: self.props_ptr, security_ptr });
        self.out.header(&header.encode())?;
        Ok(self.out.into_inner())
    }

    fn id(&self, i: usize) -> &[u8] {
        let pending = &self.pending[i];
        &self.arena[pending.start..pending.start + pending.id_len as usize]
    }

    fn main_tree(&mut self, kind: TreeKind, order: &[usize]) -> Result<Option<crate::header::TreeState>> {
        let mut builder = TreeBuilder::new(kind);
        for &i in order {
            let pending = self.pending[i];
            let id_end = pending.start + pending.id_len as usize;
            let id = &self.arena[pending.start..id_end];
            let rest = &self.arena[id_end..id_end + pending.rest_len as usize];
            let (mut key, mut value) = (Encoder::new(), Encoder::new());
            value.tuple(4);
            if kind == TreeKind::Id {
                key.binary(id);
                value.uint(i as u64 + 1);
            } else {
                key.uint(i as u64 + 1);
                value.binary(id);
            }
            value.raw(rest);
            builder.push(&mut self.out, key.as_bytes(), value.as_bytes())?;
        }
        builder.finish(&mut self.out)
    }
}

/// Fails if two neighbours of a sorted list are the same.
fn refuse_twins<'i>(what: &str, ids: impl Iterator<Item = &'i [u8]>) -> Result<()> {
    let mut before = None;
    for id in ids {
        if before == Some(id) {
            let id = String::from_utf8_lossy(id);
            return Err(CouchFileError::Invalid(format!("two {what} with the id \"{id}\"")));
        }
        before = Some(id);
    }
    Ok(())
}

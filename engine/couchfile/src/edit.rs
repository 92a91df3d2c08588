//! Edits that leave a file's data as it is: a new header at its end and, if local documents are removed, a new local tree.

use crate::compression::Compression;
use crate::database::Database;
use crate::document::LocalDocument;
use crate::ejson::encode_json;
use crate::error::{CouchFileError, Result};
use crate::header::HeaderEdit;
use crate::read_at::ReadAt;
use crate::term::Encoder;
use crate::writer::{Appender, TreeBuilder, object_members, validate_node, validate_uuid};

/// A file after an edit: its first bytes as they were, then others.
#[derive(Debug, PartialEq, Eq)]
pub struct EditedTail {
    /// So many bytes stay.
    pub keep: u64,
    /// These come after them and end the file.
    pub bytes: Vec<u8>,
}

/// What to change.
pub struct Edit<'a> {
    /// Fields of the header; its `local_tree` is set here where local documents go.
    pub header: HeaderEdit,
    /// Which local documents stay.
    pub keep_local: &'a dyn Fn(&[u8]) -> bool,
    /// Local documents that come, in the order of their ids and with none that stays among them.
    pub add_local: &'a [NewLocal],
}

/// A local document to be added, as its first revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NewLocal {
    /// Its id, with `_local/` in front.
    pub id: Vec<u8>,
    /// Its body: an object as a term, without version byte.
    pub body: Vec<u8>,
}

impl NewLocal {
    /// Its entry of the local tree: key and value.
    fn entry(&self) -> (Vec<u8>, Vec<u8>) {
        let mut key = Encoder::new();
        key.binary(&self.id);
        let mut value = Encoder::new();
        value.tuple(2).uint(1).raw(&self.body);
        (key.finish(), value.finish())
    }
}

/// A security object as a file has it: a list of pairs, with version byte.
fn security_term(object: &serde_json::Value) -> Result<Vec<u8>> {
    let invalid = |e: String| CouchFileError::Invalid(format!("the security object: {e}"));
    let object = encode_json(object).map_err(|e| invalid(e.to_string()))?;
    let members = object_members(&object).map_err(|e| invalid(e.to_string()))?;
    let mut term = Encoder::versioned();
    term.raw(members);
    Ok(term.finish())
}

/// Computes a database file's new end. The last header is replaced rather than followed by another one, so that no older
/// state of the same database, with another uuid, is left behind it.
///
/// Fails if the new uuid or node name is malformed, or the local documents are damaged.
pub fn edit<R: ReadAt>(database: &Database<R>, edit: &Edit<'_>) -> Result<EditedTail> {
    edit.header.uuid.as_deref().map_or(Ok(()), validate_uuid)?;
    edit.header.node.as_deref().map_or(Ok(()), validate_node)?;
    let mut header = edit.header.clone();
    let keep = database.header_offset();
    let mut out = Appender::new(Vec::new(), keep, Compression::default());
    let (mut kept, mut dropped) = (0u64, 0u64);
    database.for_each_local(|doc: &LocalDocument<'_>| -> Result<()> {
        if (edit.keep_local)(doc.id) {
            kept += 1;
        } else {
            dropped += 1;
        }
        Ok(())
    })?;
    if dropped > 0 || !edit.add_local.is_empty() {
        let mut tree = TreeBuilder::new(crate::btree::TreeKind::Local);
        let mut added = edit.add_local.iter().peekable();
        if kept > 0 {
            let mut cursor = database.cursor(crate::btree::TreeKind::Local)?;
            while let Some(entry) = cursor.next_entry()? {
                if let crate::btree::Key::Bytes(id) = entry.key
                    && (edit.keep_local)(id)
                {
                    while let Some(new) = added.next_if(|new| new.id.as_slice() < id) {
                        let (key, value) = new.entry();
                        tree.push(&mut out, &key, &value)?;
                    }
                    tree.push(&mut out, Encoder::new().binary(id).as_bytes(), entry.value)?;
                }
            }
        }
        for new in added {
            let (key, value) = new.entry();
            tree.push(&mut out, &key, &value)?;
        }
        header.local_tree = Some(tree.finish(&mut out)?);
    }
    if let Some(object) = &header.security {
        header.security_ptr = Some(match object {
            serde_json::Value::Null => None,
            object => Some(out.term(&security_term(object)?)?.ptr),
        });
    }
    out.header(&database.header().edited(&header))?;
    Ok(EditedTail { keep, bytes: out.into_inner() })
}

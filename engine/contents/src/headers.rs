//! What the last header of a file records.

use archive::Facts;
use couchfile::data_dir::ShardName;
use couchfile::database::Database;
use couchfile::ejson;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::term::Decoder;
use couchfile::view::ViewIndex;
use serde_json::Value;

/// Files up to this size, in bytes, are read with one call.
pub const SMALL: u64 = 1 << 20;

/// What a backup records of a shard's header.
#[derive(Debug, Clone)]
pub struct ShardHeader {
    /// UUID of the file, if it has one.
    pub uuid: Option<String>,
    /// Update sequence.
    pub seq: u64,
    /// Purge sequence.
    pub purge_seq: u64,
    /// Number of remembered purges.
    pub purges: u64,
    /// Documents that exist.
    pub docs: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// Offset of the header in the file, in bytes.
    pub offset: u64,
    /// The security object; `None` if it cannot be read.
    pub security: Option<SecurityTerm>,
}

/// What a backup records of a view index's header.
#[derive(Debug, Clone)]
pub struct IndexHeader {
    /// The index's signature, 16 bytes.
    pub signature: Vec<u8>,
    /// Update sequence of its database up to which it was built.
    pub seq: u64,
    /// Purge sequence of its database up to which it was built.
    pub purge_seq: u64,
}

/// Reads the last header of a view index. Also returns where the header ends, in bytes.
pub fn index_header(source: &dyn ReadAt) -> Result<(IndexHeader, u64), CouchFileError> {
    let index = ViewIndex::open(source)?;
    let header = IndexHeader {
        signature: index.header.signature,
        seq: index.header.update_seq,
        purge_seq: index.header.purge_seq,
    };
    Ok((header, index.header_end))
}

/// Reads the last header of a shard. Also returns where the header ends, in bytes.
pub fn shard_header(source: &dyn ReadAt) -> Result<(ShardHeader, u64), CouchFileError> {
    let database = Database::open(source)?;
    let (docs, deleted) = database.counts()?;
    let header = database.header();
    let facts = ShardHeader {
        uuid: header.uuid.clone(),
        seq: header.update_seq,
        purge_seq: database.purge_seq()?,
        purges: header.least_purge_seq(database.header_offset())?,
        docs,
        deleted,
        offset: database.header_offset(),
        security: SecurityTerm::of(&database),
    };
    Ok((facts, database.header_end()))
}

impl ShardHeader {
    /// What the manifest records about the shard.
    pub fn facts(self, shard: ShardName, node: Option<String>) -> Facts {
        Facts::Shard {
            db: shard.db,
            range: shard.range.to_string(),
            suffix: shard.suffix,
            node,
            uuid: self.uuid,
            seq: self.seq,
            purge_seq: self.purge_seq,
            docs: self.docs,
            deleted: self.deleted,
            header: self.offset,
        }
    }
}

impl IndexHeader {
    /// What the manifest records about the view index.
    pub fn facts(&self, shard: ShardName, signature: String, node: Option<String>) -> Facts {
        Facts::View {
            db: shard.db,
            range: shard.range.to_string(),
            suffix: shard.suffix,
            signature,
            node,
            seq: self.seq,
            purge_seq: self.purge_seq,
        }
    }
}

/// A shard's security object as its file holds it: equal terms are equal objects, and few objects have several terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecurityTerm(Option<Box<[u8]>>);

impl SecurityTerm {
    /// The security object of a shard; `None` if it cannot be read.
    pub fn of<R: ReadAt>(shard: &Database<R>) -> Option<Self> {
        let term = shard.security().ok()?;
        Some(Self(term.map(|term| term.as_slice().into())))
    }

    /// As bytes, for a later backup.
    pub fn to_memo(&self) -> Box<[u8]> {
        match &self.0 {
            None => Box::default(),
            Some(term) => term.clone(),
        }
    }

    /// Reads what [`Self::to_memo`] returns.
    pub fn of_memo(memo: &[u8]) -> Self {
        Self((!memo.is_empty()).then(|| memo.into()))
    }

    /// The object, `null` for CouchDB's default. `None` if the term holds none, or one nested deeper than 128 levels: such an
    /// object is saved with its shard, but not compared with others.
    pub fn object(&self) -> Option<Value> {
        let Some(term) = &self.0 else { return Some(Value::Null) };
        let mut text = Vec::new();
        let mut decoder = Decoder::new(term);
        ejson::write_members(&mut decoder, &mut text).and_then(|()| decoder.end()).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

//! What is known about the files of a backup.

/// What is known about an archived shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardFacts {
    /// Bytes.
    pub size: u64,
    /// Update sequence.
    pub seq: u64,
    /// Purge sequence.
    pub purge_seq: u64,
    /// Documents that exist.
    pub docs: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// The node that the file was read from; recorded only in couchcopy's own archives.
    pub node: Option<Box<str>>,
    /// Why the file cannot be opened as a database; `None` if it can.
    pub damage: Option<Box<str>>,
}

/// What is known about an archived view index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewFacts {
    /// The signature: 32 hexadecimal digits.
    pub signature: String,
    /// Bytes.
    pub size: u64,
    /// Update sequence of its database up to which the index was built.
    pub seq: u64,
    /// Purge sequence of its database up to which the index was built.
    pub purge_seq: u64,
    /// The node that the file was read from; recorded only in couchcopy's own archives.
    pub node: Option<Box<str>>,
    /// Why the index cannot be used; `None` if it can.
    pub damage: Option<Box<str>>,
}

impl ViewFacts {
    /// Why CouchDB must not get this index together with this shard; `None` if it may.
    pub fn unfit_for(&self, shard: &ShardFacts) -> Option<String> {
        if let Some(damage) = &self.damage {
            return Some(damage.to_string());
        }
        if self.node.is_some() && shard.node.is_some() && self.node != shard.node {
            return Some("it belongs to another copy of its shard".into());
        }
        if self.seq > shard.seq || self.purge_seq > shard.purge_seq {
            return Some("it is ahead of its database".into());
        }
        None
    }
}

//! What the engine knows of an entry when it writes it.

use serde::{Deserialize, Serialize};

/// What an entry is, as its manifest line records it.
///
/// Sequences and counts are those of the file as archived; `header` is the offset in bytes of the last
/// header in the file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Facts {
    /// `metadata.yaml`.
    Metadata,
    /// `data/_dbs.couch`, which holds one shard map per database.
    ShardMaps {
        /// Node it was read from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// Number of shard maps in it.
        maps: u64,
        /// UUID of the file, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uuid: Option<String>,
        /// Its update sequence.
        seq: u64,
        /// Offset of its last header.
        header: u64,
    },
    /// One range of one database.
    Shard {
        /// Database name.
        db: String,
        /// Range, as `00000000-7fffffff`.
        range: String,
        /// Suffix of the shard's name, as `.1795355234`.
        suffix: String,
        /// Node it was read from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// UUID of the file, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uuid: Option<String>,
        /// Its update sequence.
        seq: u64,
        /// Its purge sequence.
        purge_seq: u64,
        /// Live documents.
        docs: u64,
        /// Deleted documents.
        deleted: u64,
        /// Offset of its last header.
        header: u64,
    },
    /// The index of one design document for one range.
    View {
        /// Database name.
        db: String,
        /// Range, as `00000000-7fffffff`.
        range: String,
        /// Suffix of the shard's name, as `.1795355234`.
        suffix: String,
        /// Signature of the index, its file name without `.view`.
        signature: String,
        /// Node it was read from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// Update sequence of the database that the index has come to.
        seq: u64,
        /// Purge sequence of the database that the index has come to.
        purge_seq: u64,
    },
    /// A configuration file of a node.
    Config {
        /// Node it was read from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// Its path on the node.
        path: String,
        /// What in it is secret, as `[section] key`. Nothing of the secrets themselves.
        #[serde(default)]
        secrets: Vec<String>,
    },
    /// Nothing is known; also what a reader makes of a kind that it does not know.
    #[serde(other)]
    Other,
}

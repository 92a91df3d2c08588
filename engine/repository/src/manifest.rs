//! The records of a backup's files: parts of at most some MiB, each an object of its own.
//!
//! A part is blocks of compressed lines, a footer that says where they are, and a trailer. The footer of the last part lists the
//! packs and holds the record of the backup run.

mod cut_line;
mod line;
mod reader;
mod table;
mod writer;

use serde::{Deserialize, Serialize};

pub(crate) use line::{Changed, Line};
pub(crate) use reader::{BaseLine, Listed, Manifest, Record, Records};
pub(crate) use table::{PackInfo, PackTable};
pub(crate) use writer::ManifestWriter;

/// Bytes of lines in a block.
const BLOCK: usize = 256 << 10;
/// Bytes of blocks in a part.
const PART: usize = 4 << 20;
/// The most bytes of a part. The last one has the table of packs.
const MOST_PART: u64 = 256 << 20;
/// The most bytes of a footer, decompressed.
const MOST_FOOTER: usize = 512 << 20;
/// How a trailer ends.
const MAGIC: &[u8; 8] = b"CCMANIF1";
/// Bytes of a trailer: offset and length of the footer, and [`MAGIC`].
const TRAILER: usize = 24;

/// The footer of a part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Footer {
    blocks: Vec<Block>,
    /// The packs that lines refer to by their positions here, and those that the backup needs besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    packs: Vec<PackInfo>,
    /// The record of the backup run.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    summary: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    /// Name of the first file in it.
    first: String,
    /// Offset in the part, in bytes.
    offset: u64,
    /// Bytes in the part.
    length: u64,
    /// Bytes of the lines.
    size: u64,
}

/// The order of the files of a backup: `metadata.yaml` first, then by the bytes of their names.
pub(crate) fn order(name: &str) -> (bool, &str) {
    (name != archive::METADATA, name)
}

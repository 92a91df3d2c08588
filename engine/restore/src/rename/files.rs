//! The two files of a node that name nodes.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use contents::{AnySource, unusable};
use couchfile::data_dir::SHARD_MAPS;
use couchfile::database::Database;
use couchfile::read_at::FileBytes;
use node::{Node, Packing};
use outcome::{Code, Failure, Result};

/// The list of the cluster's nodes.
pub(super) const NODES: &str = "_nodes.couch";
/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// The files of one node.
pub(super) struct NodeMaps {
    pub(super) shard_maps: Database<AnySource>,
    /// `None` if the node has no list: CouchDB makes one when it starts.
    pub(super) nodes: Option<Database<AnySource>>,
}

impl NodeMaps {
    /// Opens the files in a directory of a node, as they are now.
    pub(super) fn open(node: &Node, folder: &Path) -> Result<Self> {
        let shard_maps = open(node, folder, SHARD_MAPS)?.ok_or_else(|| {
            Failure::refused(
                Code::new("CC-R73"),
                format!("{} of {} has no {SHARD_MAPS}", folder.display(), node.shown()),
                "Give the directory that `[couchdb] database_dir` names in the node's configuration.",
            )
        })?;
        Ok(Self { shard_maps, nodes: open(node, folder, NODES)? })
    }

    /// The name under which CouchDB opened the shard maps last: it begins a new epoch at the first start under another name.
    ///
    /// Source: `couch_bt_engine_header.erl` (`upgrade_epochs/2`).
    pub(super) fn opened_by(&self) -> Option<&str> {
        self.shard_maps.header().epochs.first().map(|epoch| epoch.node.as_str())
    }
}

fn open(node: &Node, folder: &Path, name: &str) -> Result<Option<Database<AnySource>>> {
    let file = if let Some(streams) = node.files.streams() {
        let mut copied = None;
        let packed = streams.pack(folder, &[name.to_owned()], &mut |found| {
            copied = Some(copy(found.content)?);
            Ok(true)
        })?;
        if packed != Packing::Whole {
            return Err(Failure::bug(format!("{name} of {} was not read to its end", node.shown())));
        }
        copied
    } else {
        let path = folder.join(name);
        match File::open(&path) {
            Ok(file) => Some(file),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(Failure::io("open", path, e)),
        }
    };
    let Some(file) = file else { return Ok(None) };
    let bytes = FileBytes::new(file).map_err(|e| Failure::io("read", folder.join(name), e))?;
    let database = Database::open(Box::new(bytes) as AnySource);
    database.map(Some).map_err(|e| unusable(format!("{name} of {}", node.shown()), e))
}

/// Copies what a node sends into a file without a name.
fn copy(content: &mut dyn Read) -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    let mut piece = vec![0; PIECE];
    loop {
        match content.read(&mut piece)? {
            0 => return Ok(file),
            n => file.write_all(&piece[..n])?,
        }
    }
}

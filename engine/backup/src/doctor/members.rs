//! The members of the cluster, according to its nodes.

use std::collections::BTreeSet;

use couchfile::database::Database;
use couchfile::error::CouchFileError;
use node::{LocalFiles, NodeFiles};
use outcome::{Result, parallel};

use crate::folder::NodeFolder;

/// The file with the members: a document for each.
const NODES: &str = "_nodes.couch";
/// The most bytes of it that are read.
const LARGEST: u64 = 16 << 20;

/// The names of all nodes that `_nodes.couch` of any given node names; none if no such file can be read.
///
/// Source: `mem3_nodes.erl`: the id of a document is the name of a node.
pub(super) fn members(folders: &[NodeFolder]) -> Result<BTreeSet<String>> {
    let read = parallel::all_at_once(folders, |_, folder| {
        with_files(folder, |files| files.read(&folder.path.join(NODES), LARGEST))
    });
    let mut members = BTreeSet::new();
    for bytes in read {
        let Some(Ok(database)) = bytes?.map(Database::open) else { continue };
        let mut found = Vec::new();
        let read = database.for_each_document(|doc| -> Result<(), CouchFileError> {
            if !doc.deleted && !doc.id.starts_with(b"_design/") {
                found.push(String::from_utf8_lossy(doc.id).into_owned());
            }
            Ok(())
        });
        if read.is_ok() {
            members.extend(found);
        }
    }
    Ok(members)
}

/// Does something with the files of a node, wherever they are.
pub(super) fn with_files<T>(
    folder: &NodeFolder,
    work: impl FnOnce(&dyn NodeFiles) -> node::Result<T>,
) -> Result<T> {
    let done = match folder.origin.far() {
        Some(files) => work(&**files),
        None => work(&LocalFiles::new(folder.node_display_name())),
    };
    Ok(done?)
}

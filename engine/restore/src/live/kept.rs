//! Files of deleted databases that CouchDB has kept (`[couchdb] enable_database_recovery`): they may be the last copies, so they
//! are not removed with the old data.

use std::collections::BTreeMap;
use std::path::Path;

use node::Node;
use outcome::Result;

use super::stage::destination;
use crate::preflight::holdings::is_soft_deleted;

/// Moves the files from the old data, which is about to be removed, to the data in place. Can be repeated.
pub(super) fn keep(node: &Node, old: &Path) -> Result<()> {
    let from = old.join("shards");
    let mut by_folder: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for path in node.files.paths(&from)?.into_iter().filter(|path| is_soft_deleted(path)) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        by_folder.entry(format!("shards/{folder}")).or_default().push(from.join(&path));
    }
    if by_folder.is_empty() {
        return Ok(());
    }
    make_folders(node, by_folder.keys())?;
    for (folder, paths) in by_folder {
        node.files.move_into(&paths, &node.data.join(folder.trim_end_matches('/')))?;
    }
    Ok(node.files.sync(&node.data)?)
}

/// Creates the missing directories below the data directory: the new data may not have such a range.
fn make_folders<'f>(node: &Node, folders: impl Iterator<Item = &'f String>) -> Result<()> {
    let mut missing: Vec<&str> = Vec::new();
    for folder in folders {
        let mut path = folder.trim_end_matches('/');
        while !missing.contains(&path) && node.files.list(&node.data.join(path))?.is_none() {
            missing.push(path);
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort_unstable();
    let destination = destination(node, &node.data)?;
    missing.into_iter().try_for_each(|path| destination.create_folder(path))?;
    destination.finish()?;
    Ok(())
}

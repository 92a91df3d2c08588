//! Writes the nodes' `_dbs.couch`.

use couchfile::data_dir::SHARD_MAPS;
use couchfile::writer::{NewBody, NewDocument};

use crate::build::NodeFolder;
use crate::error::Result;
use crate::plan::Plan;
use crate::shard::DatabaseFile;

/// Writes every database's map to every node, with the same revision everywhere.
pub(crate) fn write(plan: &Plan, folders: &[NodeFolder]) -> Result<()> {
    let mut files = folders
        .iter()
        .map(|folder| DatabaseFile::create(plan, &folder.node, &folder.path, SHARD_MAPS))
        .collect::<Result<Vec<_>>>()?;
    for i in 0..plan.total() {
        let map = plan.map(i);
        let body = NewBody { term: map.encode(), deleted: false, attachments: Vec::new() };
        let document = NewDocument::first(map.db.as_bytes(), body);
        for file in &mut files {
            file.add(&document)?;
        }
    }
    for file in files {
        file.finish()?;
    }
    Ok(())
}

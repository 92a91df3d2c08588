//! What an archive holds, database by database, for people and programs to read.

use std::collections::BTreeSet;

use archive::METADATA;
use contents::{BackupSummary, Contents, LeftOut, Metadata, NamePatterns, NodeConfiguration, Source};
use outcome::Result;
use serde::Serialize;

/// The figures of an archive.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overview {
    /// When the backup was made, according to the archive.
    pub date: Option<String>,
    /// Names of the nodes that were saved, according to the archive or, if it does not record them, to the shard maps.
    pub nodes: Vec<String>,
    /// The program that made it, with its version.
    pub made_by: Option<String>,
    /// Whether the archive has a table of contents, so that one file can be read without the rest.
    pub manifest: bool,
    /// Databases.
    pub databases: u64,
    /// Which databases of the nodes were to be saved, if not all of them.
    #[serde(skip_serializing_if = "NamePatterns::is_everything")]
    pub chosen: NamePatterns,
    /// Databases of the nodes that were not to be saved.
    pub not_chosen: u64,
    /// Shards.
    pub shards: u64,
    /// View indexes.
    pub views: u64,
    /// Documents that exist.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// Shards that hold the same documents as other shards, because their database was saved during shard splitting. They are not
    /// counted, and a restore leaves them out.
    pub surplus_shards: u64,
    /// Bytes of all files.
    pub content_bytes: u64,
    /// Shards that could not be saved, or cannot be opened.
    pub problems: u64,
    /// Databases deleted while the backup ran.
    pub deleted_meanwhile: Vec<String>,
    /// Databases created while the backup ran; they are not in the archive.
    pub created_meanwhile: Vec<String>,
    /// Data that was on the nodes and is not in the archive, as recorded by the backup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// The nodes' configuration files, with the names of the secret settings in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<NodeConfiguration>,
    /// Files that a backup does not need.
    pub ignored_files: u64,
}

/// A database in an archive.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseListing {
    /// Its name.
    pub name: String,
    /// Number of shards.
    pub q: usize,
    /// Copies of each shard on the nodes that were saved.
    pub n: usize,
    /// Whether the database is partitioned.
    pub partitioned: bool,
    /// Documents that exist.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// Bytes of its shards.
    pub bytes: u64,
    /// Its shards, by range.
    pub shards: Vec<ShardListing>,
}

/// A shard in an archive.
#[derive(Debug, Clone, Serialize)]
pub struct ShardListing {
    /// The part of the hash space.
    pub range: String,
    /// The shard's entry in the archive.
    pub file: String,
    /// Nodes that the shard map names.
    pub nodes: Vec<String>,
    /// Documents that exist.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// Update sequence.
    pub seq: u64,
    /// Bytes.
    pub bytes: u64,
    /// The problem with the shard, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Signatures of its view indexes.
    pub views: Vec<String>,
}

/// The summary of a backup that its own record and `metadata.yaml` hold, without a look at anything else; `None` if they do not
/// hold all of it.
pub fn recorded(source: &dyn Source) -> Result<Option<Overview>> {
    let Some(files) = source.files() else { return Ok(None) };
    let Some(summary) = BackupSummary::of(files.record()) else { return Ok(None) };
    let (Some(documents), Some(deleted)) = (summary.documents, summary.deleted_documents) else {
        return Ok(None);
    };
    let metadata = files.read(METADATA, Metadata::LARGEST)?.as_deref().and_then(Metadata::from_yaml);
    let Some(metadata) = metadata.filter(|metadata| !metadata.backup.source.nodes_names.is_empty()) else {
        return Ok(None);
    };
    Ok(Some(Overview {
        made_by: metadata.couchcopy.display_name(),
        date: Some(metadata.backup.date).filter(|date| !date.is_empty()),
        nodes: metadata.backup.source.nodes_names,
        manifest: true,
        databases: summary.databases,
        chosen: summary.chosen,
        not_chosen: summary.not_chosen,
        shards: summary.shards,
        views: summary.views,
        documents,
        deleted,
        // They are not in the archive.
        surplus_shards: 0,
        content_bytes: files.content_bytes(),
        problems: summary.problems.len() as u64,
        deleted_meanwhile: summary.deleted_meanwhile,
        created_meanwhile: summary.created_meanwhile,
        left_out: summary.left_out,
        config: summary.config,
        // A backup of couchcopy has no other files.
        ignored_files: 0,
    }))
}

/// Makes a summary of an archive.
pub fn overview(contents: &Contents) -> Result<Overview> {
    let mut nodes: BTreeSet<String> = BTreeSet::new();
    let (mut databases, mut documents, mut deleted, mut surplus) = (0, 0, 0, 0);
    contents.maps.for_each(|document| {
        if let Ok(map) = document.map
            && !contents.deleted_meanwhile().contains(&map.db)
        {
            databases += 1;
            let counted = contents.counted(map);
            surplus += counted.surplus.len() as u64;
            let map = counted.map;
            for facts in map.shards().filter_map(|shard| contents.shards.get(shard.path().as_str())) {
                documents += facts.docs;
                deleted += facts.deleted;
            }
            for node in map.by_range.values().flatten() {
                if !nodes.contains(node) {
                    nodes.insert(node.clone());
                }
            }
        }
        Ok(())
    })?;
    let metadata = contents.metadata.as_ref();
    let recorded = metadata.map(|m| m.backup.source.nodes_names.clone()).unwrap_or_default();
    let summary = contents.summary.as_ref();
    let damaged = contents.shards.values().filter(|shard| shard.damage.is_some()).count() as u64;
    Ok(Overview {
        date: metadata.map(|m| m.backup.date.clone()).filter(|date| !date.is_empty()),
        nodes: if recorded.is_empty() { nodes.into_iter().collect() } else { recorded },
        made_by: metadata.and_then(|m| m.couchcopy.display_name()),
        manifest: contents.is_indexed(),
        databases,
        chosen: summary.map(|summary| summary.chosen.clone()).unwrap_or_default(),
        not_chosen: summary.map_or(0, |summary| summary.not_chosen),
        shards: contents.shards.len() as u64,
        views: contents.views.values().map(|views| views.len() as u64).sum(),
        documents,
        deleted,
        surplus_shards: surplus,
        content_bytes: contents.content_bytes,
        problems: damaged + summary.map_or(0, |summary| summary.problems.len() as u64),
        deleted_meanwhile: contents.deleted_meanwhile().to_vec(),
        created_meanwhile: summary.map(|summary| summary.created_meanwhile.clone()).unwrap_or_default(),
        left_out: summary.map(|summary| summary.left_out.clone()).unwrap_or_default(),
        config: summary.map(|summary| summary.config.clone()).unwrap_or_default(),
        ignored_files: contents.ignored,
    })
}

/// Lists databases in the order of their names: all databases, or the one with this name.
pub fn databases(contents: &Contents, only: Option<&str>) -> Result<Vec<DatabaseListing>> {
    let mut listings = Vec::new();
    contents.maps.for_each_map(|map| {
        if only.is_some_and(|name| name != map.db) || contents.deleted_meanwhile().contains(&map.db) {
            return Ok(());
        }
        let map = contents.counted(map).map;
        let shards: Vec<ShardListing> = map
            .shards()
            .zip(map.by_range.values())
            .map(|(shard, nodes)| {
                let path = shard.path();
                let facts = contents.shards.get(path.as_str());
                let known = facts.cloned().unwrap_or_default();
                let views = contents.views.get(path.as_str()).into_iter().flatten();
                ShardListing {
                    range: shard.range.to_string(),
                    file: format!("{}{path}", contents.root),
                    nodes: nodes.clone(),
                    documents: known.docs,
                    deleted: known.deleted,
                    seq: known.seq,
                    bytes: known.size,
                    problem: match facts {
                        None => Some("not in the archive".into()),
                        Some(facts) => facts.damage.as_deref().map(str::to_owned),
                    },
                    views: views.map(|view| view.signature.clone()).collect(),
                }
            })
            .collect();
        listings.push(DatabaseListing {
            q: map.by_range.len(),
            n: map.copies(),
            partitioned: map.is_partitioned(),
            documents: shards.iter().map(|shard| shard.documents).sum(),
            deleted: shards.iter().map(|shard| shard.deleted).sum(),
            bytes: shards.iter().map(|shard| shard.bytes).sum(),
            shards,
            name: map.db,
        });
        Ok(())
    })?;
    Ok(listings)
}

//! Shard maps for the databases of a backup whose shard maps are lost.

use std::collections::{BTreeMap, HashSet};

use couchfile::data_dir::ShardName;
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;
use couchfile::shard_map::ShardMap;
use outcome::Result;
use outcome::report::{Notice, Reporter, Severity};

use crate::AnySource;
use crate::maps::{map_document, unchanged};
use crate::ordered::convert_in_order;
use crate::rebuild::{FoundShards, RebuiltMaps, properties, write_maps};
use crate::unusable::unusable;

/// The node of a shard that records none.
const UNKNOWN: &str = "couchdb@127.0.0.1";
/// The most databases that a notice names.
const NAMED: usize = 10;

/// The shards of a backup, as far as shard maps can be made of them.
#[derive(Debug, Default)]
pub(super) struct SeenShards {
    found: FoundShards,
    /// The properties of databases, with the suffix, of which a shard's could be read.
    properties: BTreeMap<String, Vec<u8>>,
    node: Option<String>,
}

impl SeenShards {
    /// A shard of the backup. One that is damaged belongs to its database, too.
    pub(super) fn add(&mut self, shard: &ShardName, content: &dyn ReadAt) {
        let database = Database::open(content).ok();
        let epoch = database.as_ref().and_then(|database| database.header().epochs.first());
        let node = epoch.map(|epoch| epoch.node.clone());
        if let Some(properties) = database.as_ref().and_then(properties) {
            self.properties.entry(format!("{}{}", shard.db, shard.suffix)).or_insert(properties);
        }
        self.found.add(shard.clone(), node.as_deref().or(self.node.as_deref()).unwrap_or(UNKNOWN));
        if self.node.is_none() {
            self.node = node;
        }
    }

    /// The shard maps of the backup, with those of the databases that they do not name and do not remember as deleted.
    pub(super) fn maps(
        self,
        maps: Option<AnySource>,
        threads: usize,
        reporter: &dyn Reporter,
    ) -> Result<Option<AnySource>> {
        let Self { mut found, properties, node } = self;
        let old = maps.map(Database::open);
        let mut known = HashSet::new();
        if let Some(Ok(database)) = &old {
            let read = database.for_each_document(|doc| -> Result<(), CouchFileError> {
                known.insert(String::from_utf8_lossy(doc.id).into_owned());
                Ok(())
            });
            read.map_err(|e| unusable("the archive's shard maps (_dbs.couch)", e))?;
        }
        found.retain(|db| !known.contains(db));
        let RebuiltMaps { maps: mut rebuilt, mut incomplete } = found.rebuild();
        rebuilt.retain_mut(|map| {
            // Whether it is partitioned decides where its documents are looked for.
            let Some(properties) = properties.get(&format!("{}{}", map.db, map.suffix)) else {
                incomplete.push(map.db.clone());
                return false;
            };
            map.set_properties(properties.clone());
            true
        });
        tell(&rebuilt, &incomplete, reporter);
        let file = write_maps(&rebuilt, node.as_deref().unwrap_or(UNKNOWN), |writer| {
            let Some(Ok(database)) = &old else { return Ok(()) };
            let convert = |doc: &couchfile::document::DocInfo<'_>| {
                Ok(if doc.deleted { None } else { Some(map_document(database, doc)?) })
            };
            convert_in_order(
                database,
                threads,
                "the archive's shard maps (_dbs.couch)",
                convert,
                |document| {
                    writer.add(&unchanged(document)).map_err(|e| unusable("the rebuilt shard maps", e))
                },
            )
        })?;
        Ok(Some(Box::new(file)))
    }
}

/// Reports what was rebuilt, and what nothing tells.
fn tell(rebuilt: &[ShardMap], incomplete: &[String], reporter: &dyn Reporter) {
    let warn = |text| reporter.notice(&Notice { severity: Severity::Warning, text });
    let named = |names: Vec<&str>| {
        let more = if names.len() > NAMED { ", …" } else { "" };
        format!("{}{more}", names.into_iter().take(NAMED).collect::<Vec<_>>().join(", "))
    };
    if !rebuilt.is_empty() {
        warn(format!(
            "the shard maps of {} databases were rebuilt from the paths and headers of their shards: {}. How many copies of each range \
             there were is not known: give --copies N, otherwise each range gets one copy.",
            rebuilt.len(),
            named(rebuilt.iter().map(|map| map.db.as_str()).collect())
        ));
    }
    if !incomplete.is_empty() {
        warn(format!(
            "no shard map can be rebuilt for {} databases, because the archive does not hold all ranges, or no shard whose properties \
             can be read: {}. They are not restored.",
            incomplete.len(),
            named(incomplete.iter().map(String::as_str).collect())
        ));
    }
}

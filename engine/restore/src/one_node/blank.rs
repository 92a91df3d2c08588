//! Shards that the archive does not have: they are made without documents, but with the properties of their databases. CouchDB
//! would make them with other ones. Internal replication fills them.

use contents::unusable;
use couchfile::ejson::encode_json;
use couchfile::error::CouchFileError;
use couchfile::writer::{DatabaseWriter, Settings, random_uuid};
use outcome::Result;

use super::Properties;
use crate::folders::destination::Destination;
use crate::folders::plan::Blank;

/// Writes a shard without documents for a node.
pub(super) fn write(
    blank: &Blank,
    properties: Option<&Properties>,
    node: &str,
    destination: &Destination,
) -> Result<()> {
    let path = blank.shard.path();
    let content = content(blank, properties, node).map_err(|e| unusable(&path, e))?;
    destination.put(&path, &[&content])
}

fn content(blank: &Blank, properties: Option<&Properties>, node: &str) -> Result<Vec<u8>, CouchFileError> {
    let mut settings = Settings::new(random_uuid()?, node);
    settings.partitioned = blank.partitioned;
    if let Some(properties) = properties {
        settings.revs_limit = properties.limits.revs_limit;
        settings.purge_infos_limit = properties.limits.purged_infos_limit;
        let security =
            encode_json(&properties.security).map_err(|e| CouchFileError::Invalid(e.to_string()))?;
        settings.security = Some(security);
    }
    DatabaseWriter::new(Vec::new(), settings)?.finish()
}

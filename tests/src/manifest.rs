//! What the manifest of an archive tells of its entries.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::Result;

/// What the manifest tells of every entry but the first, without where it is.
pub fn manifest(archive: &Path) -> Result<BTreeMap<String, Value>> {
    let mut entries = tar::Archive::new(MultiGzDecoder::new(BufReader::new(File::open(archive)?)));
    for entry in entries.entries()? {
        let mut entry = entry?;
        if entry.path()?.as_os_str() != "couchcopy-manifest.jsonl" {
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        let mut found = BTreeMap::new();
        for line in text.lines() {
            let mut line: Value = serde_json::from_str(line)?;
            let told = line.as_object_mut().ok_or("a line that is no object")?;
            told.remove("at");
            let name = told.get("name").and_then(Value::as_str).ok_or("a line without a name")?.to_owned();
            if name != "metadata.yaml" {
                found.insert(name, line);
            }
        }
        return Ok(found);
    }
    Err("no manifest".into())
}

/// Panics where two archives do not hold the same.
pub fn assert_equal(one: &Path, other: &Path) -> Result<()> {
    let (one, other) = (manifest(one)?, manifest(other)?);
    for (name, entry) in &one {
        assert_eq!(Some(entry), other.get(name), "{name}");
    }
    assert_eq!(one.len(), other.len());
    Ok(())
}

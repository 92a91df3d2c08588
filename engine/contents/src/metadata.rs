//! `metadata.yaml`, the first entry of an archive: couchcopy's keys, so that its Python version reads our archives.

use serde::{Deserialize, Serialize};

/// What the archive records about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Metadata {
    /// About the backup.
    pub backup: Backup,
    /// About the program that made it.
    pub couchcopy: Program,
}

/// When a backup was made, and of which nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Backup {
    /// ISO 8601: in UTC if it ends in Z, else the local time of the machine that made the backup.
    pub date: String,
    /// The origin of the backup.
    pub source: Source,
}

/// The origin of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Source {
    /// Names of the nodes, e.g. `couchdb@127.0.0.1`.
    #[serde(rename = "nodes-names")]
    pub nodes_names: Vec<String>,
}

/// The program that made an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Program {
    /// Its version.
    #[serde(deserialize_with = "version_text")]
    pub version: String,
    /// The implementation of couchcopy. The Python couchcopy does not write this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub implementation: Option<String>,
}

impl Program {
    /// The program's name for people, for example `couchcopy 0.2.4 (Python)`; `None` if no version is recorded.
    pub fn display_name(&self) -> Option<String> {
        // The Python couchcopy says nothing of what it is.
        let implementation = self.implementation.as_deref().unwrap_or("Python");
        (!self.version.is_empty()).then(|| format!("couchcopy {} ({implementation})", self.version))
    }
}

/// Reads a version that may look like a number to YAML.
fn version_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    use serde_yaml_ng::Value;
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    })
}

impl Metadata {
    /// The largest file that is read, in bytes.
    pub const LARGEST: u64 = 1 << 20;

    /// Metadata of a backup made now by this program.
    pub fn now(nodes: Vec<String>) -> Self {
        Self::made_at(jiff::Timestamp::now(), nodes)
    }

    /// The date is to the second and never later than the moment itself: a backup that is made next must be newer.
    fn made_at(moment: jiff::Timestamp, nodes: Vec<String>) -> Self {
        let date = jiff::Timestamp::from_second(moment.as_second()).unwrap_or(moment);
        Self {
            backup: Backup { date: date.to_string(), source: Source { nodes_names: nodes } },
            couchcopy: Program {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                implementation: Some("rust".to_owned()),
            },
        }
    }

    /// The text of the file.
    pub fn to_yaml(&self) -> String {
        // A value made of strings and lists can always be written.
        serde_yaml_ng::to_string(self).unwrap_or_default()
    }

    /// Reads the file. Missing values stay empty.
    pub fn from_yaml(text: &[u8]) -> Option<Self> {
        serde_yaml_ng::from_slice(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_not_in_the_future() {
        let moment: jiff::Timestamp = "2026-11-29T12:23:36.946Z".parse().unwrap();
        assert_eq!(Metadata::made_at(moment, Vec::new()).backup.date, "2026-11-29T12:23:36Z");
    }

    #[test]
    fn comes_back_and_reads_the_python_versions() {
        let metadata = Metadata::now(vec!["couchdb@127.0.0.1".into()]);
        assert_eq!(Metadata::from_yaml(metadata.to_yaml().as_bytes()), Some(metadata));
        let python = b"backup:\n  date: '2026-11-22T13:47:46.202160'\n  source:\n    nodes-names: []\ncouchcopy:\n  version: 0.2.4\n";
        let read = Metadata::from_yaml(python).unwrap();
        assert_eq!((read.couchcopy.version.as_str(), read.couchcopy.implementation), ("0.2.4", None));
        assert_eq!(Metadata::from_yaml(b"couchcopy: {version: 0.2}").unwrap().couchcopy.version, "0.2");
    }
}

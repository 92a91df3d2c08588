//! The data directory of a node, and what can become of it between two backups.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use couchcopy_tests::{Result, growth};
use scale_data::plan::{Attachments, Plan};
use tempfile::TempDir;

/// The data directory of a node.
pub(crate) struct Data {
    folder: TempDir,
    docs: u64,
}

impl Data {
    /// With so many databases, of so many documents of 2 KiB each.
    pub(crate) fn new(databases: u64, docs: u64) -> Result<Self> {
        let data = Self { folder: tempfile::tempdir()?, docs };
        data.set_databases(databases)?;
        Ok(data)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `localhost,DIR`.
    pub(crate) fn node(&self) -> String {
        format!("localhost,{}", self.path().display())
    }

    /// Databases come and go until there are so many. The files of the others stay as they are, also if they have grown.
    pub(crate) fn set_databases(&self, databases: u64) -> Result<()> {
        let plan = Plan {
            databases,
            empty: 0,
            docs: self.docs,
            doc_size: 2048,
            revisions: 1,
            q: 1,
            copies: 1,
            nodes: vec!["couchdb@127.0.9.91".into()],
            seed: 7,
            attachments: Attachments { per_document: 0, size: 0 },
        };
        let built = tempfile::tempdir()?;
        let wanted = scale_data::build::build(&plan, &built.path().join("data"))?.folders.remove(0).path;
        let (wanted, there) = (files(&wanted)?, files(&self.path())?);
        for (name, path) in &wanted {
            if !there.contains_key(name) || name.ends_with("_dbs.couch") {
                let to = self.path().join(name);
                std::fs::create_dir_all(to.parent().ok_or("no parent")?)?;
                let new = to.with_extension("new");
                std::fs::copy(path, &new)?;
                std::fs::rename(&new, &to)?;
            }
        }
        for (name, path) in there {
            if !wanted.contains_key(&name) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The shards, in order.
    fn shards(&self) -> Result<Vec<PathBuf>> {
        Ok(files(&self.path())?
            .into_iter()
            .filter(|(name, _)| name.contains("shards/"))
            .map(|(_, path)| path)
            .collect())
    }

    /// A database grows by so many bytes that are new.
    pub(crate) fn grow(&self, seed: u64, length: usize) -> Result<()> {
        let shards = self.shards()?;
        growth::commit(&shards[seed as usize % shards.len()], seed, length)
    }

    /// A database is in another file now, as after a compaction.
    pub(crate) fn replace(&self, seed: u64) -> Result<()> {
        let shards = self.shards()?;
        let path = &shards[seed as usize % shards.len()];
        let new = path.with_extension("compact");
        std::fs::copy(path, &new)?;
        growth::commit(&new, seed, 1000)?;
        Ok(std::fs::rename(&new, path)?)
    }
}

fn files(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder)?.display().to_string(), path);
            }
        }
    }
    Ok(found)
}

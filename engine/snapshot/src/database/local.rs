//! Local documents of a database.

use couchfile::btree::{Key, TreeKind};
use couchfile::document::{self, LocalDocument};
use couchfile::error::CouchFileError;
use couchfile::json::Json;

use super::SnapshotDatabase;
use crate::error::{Error, Result};
use crate::lanes::Lanes;
use crate::walk::{Flow, Walk};

impl SnapshotDatabase {
    /// Looks up a local document; `id` begins with `_local/`.
    pub fn local(&self, id: &str) -> Result<Option<Json>> {
        for number in self.shards_of(id) {
            let file = self.file(number)?;
            let found =
                file.local_document(id.as_bytes(), local_value).map_err(|e| self.damaged(number, e))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Calls `each` with the local documents of a walk over their ids. CouchDB's own are among them, see
    /// [`Self::is_internal_local`].
    pub fn locals<E: From<Error>>(
        &self,
        walk: &Walk,
        mut each: impl FnMut(&str, Json) -> Result<Flow, E>,
    ) -> Result<(), E> {
        let files = self.files()?;
        let failed = |(number, e)| self.damaged(number, e);
        let mut lanes = Lanes::new(files.iter().copied(), TreeKind::Local, walk).map_err(failed)?;
        while let Some(entry) = lanes.next().map_err(failed)? {
            let raw = couchfile::btree::Entry { key: Key::Bytes(&entry.key), value: &entry.value };
            let document = LocalDocument::from_entry(&raw)
                .map_err(|e| CouchFileError::Invalid(e.to_string()))
                .and_then(|doc| local_value(&doc))
                .map_err(|e| self.damaged(entry.lane, e))?;
            if each(&String::from_utf8_lossy(&entry.key), document)? == Flow::Stop {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Calls `each` with all local documents, and with an error for each damaged one.
    pub fn locals_around_damage<E: From<Error>>(
        &self,
        mut each: impl FnMut(Result<(&str, Json)>) -> Result<Flow, E>,
    ) -> Result<(), E> {
        let failed = |(number, e)| self.damaged(number, e);
        // Shards that cannot be opened are told of where documents are read.
        let (files, _) = self.readable_files()?;
        let mut lanes = Lanes::around_damage(files, TreeKind::Local, &Walk::default()).map_err(failed)?;
        loop {
            let next = lanes.next().map_err(failed)?;
            for (number, fault) in lanes.take_faults() {
                if each(Err(self.lost(number, "local documents", fault)))? == Flow::Stop {
                    return Ok(());
                }
            }
            let Some(entry) = next else { return Ok(()) };
            let raw = couchfile::btree::Entry { key: Key::Bytes(&entry.key), value: &entry.value };
            let id = String::from_utf8_lossy(&entry.key);
            let document = LocalDocument::from_entry(&raw)
                .map_err(|e| CouchFileError::Invalid(format!("{id}: {e}")))
                .and_then(|doc| local_value(&doc))
                .map_err(|e| self.damaged(entry.lane, e));
            if each(document.map(|document| (&*id, document)))? == Flow::Stop {
                return Ok(());
            }
        }
    }

    /// Whether a local document belongs to CouchDB itself (internal replication, purges of view indexes) and has no meaning
    /// elsewhere.
    pub fn is_internal_local(id: &str) -> bool {
        id.starts_with(couchfile::internal_replication::PREFIX) || id.starts_with("_local/purge-")
    }
}

fn local_value(doc: &LocalDocument<'_>) -> couchfile::error::Result<Json> {
    let mut text = Vec::new();
    document::local_json(doc, &mut text)?;
    Json::parse(&text).map_err(|e| CouchFileError::Invalid(e.to_string()))
}

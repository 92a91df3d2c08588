//! Writes all copies of one range of a database.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use couchfile::data_dir::ShardName;
use couchfile::writer::{DatabaseWriter, Settings};

use crate::document::Documents;
use crate::error::{Result, ScaleDataError};
use crate::plan::Plan;

/// Bytes that are gathered before they go to the file.
const BUFFER: usize = 256 << 10;

/// A file to be written.
pub(crate) struct Copy<'a> {
    /// The node that gets it.
    pub(crate) node: &'a str,
    /// The node's data folder.
    pub(crate) folder: &'a Path,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    /// Documents in each copy.
    pub(crate) documents: u64,
    /// Bytes of all copies.
    pub(crate) bytes: u64,
}

/// A database file being written.
pub(crate) struct DatabaseFile {
    path: PathBuf,
    writer: DatabaseWriter<BufWriter<File>>,
}

impl DatabaseFile {
    /// Begins the file `name` in a node's data folder.
    pub(crate) fn create(plan: &Plan, node: &str, folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(ScaleDataError::write(&path))?;
        let settings = Settings::new(plan.uuid(node, name), node);
        let writer = DatabaseWriter::new(BufWriter::with_capacity(BUFFER, file), settings)
            .map_err(ScaleDataError::database(&path))?;
        Ok(Self { path, writer })
    }

    /// Adds a document.
    pub(crate) fn add(&mut self, document: &couchfile::writer::NewDocument) -> Result<()> {
        self.writer.add(document).map_err(ScaleDataError::database(&self.path))
    }

    /// Completes the file; gives its length.
    pub(crate) fn finish(self) -> Result<u64> {
        let mut out = self.writer.finish().map_err(ScaleDataError::database(&self.path))?;
        out.flush()
            .and_then(|()| out.get_ref().metadata())
            .map(|m| m.len())
            .map_err(ScaleDataError::write(&self.path))
    }
}

/// Writes the copies of a range of a database with `count` documents, side by side, so that each document is made once.
pub(crate) fn write(
    plan: &Plan,
    documents: &Documents<'_>,
    count: u64,
    shard: &ShardName,
    copies: &[Copy<'_>],
) -> Result<Written> {
    let name = shard.path();
    let mut files = copies
        .iter()
        .map(|copy| DatabaseFile::create(plan, copy.node, copy.folder, &name))
        .collect::<Result<Vec<_>>>()?;
    let mut written = Written::default();
    for i in 0..count {
        let id = documents.id(i);
        if !shard.range.contains(Documents::hash(&id)) {
            continue;
        }
        let document = documents.document(i, &id);
        for file in &mut files {
            file.add(&document)?;
        }
        written.documents += 1;
    }
    for file in files {
        written.bytes += file.finish()?;
    }
    Ok(written)
}

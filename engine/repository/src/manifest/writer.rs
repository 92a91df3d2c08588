//! Writes a manifest, part by part.

use super::{BLOCK, Block, Footer, Line, MAGIC, PART, PackTable};
use crate::error::{RepositoryError, Result};
use crate::names::manifest_key;
use crate::record::FileRecord;
use crate::repository::Repository;
use crate::snapshot::ManifestPart;

/// The level of compression of lines.
const LEVEL: i32 = 3;

/// Writes a manifest. Lines come in order.
pub(crate) struct ManifestWriter {
    repository: Repository,
    pub(crate) table: PackTable,
    block: Vec<u8>,
    block_first: String,
    part: Vec<u8>,
    blocks: Vec<Block>,
    part_first: Option<String>,
    part_records: u64,
    parts: Vec<ManifestPart>,
    /// Lines of all parts.
    pub(crate) records: u64,
}

impl ManifestWriter {
    pub(crate) fn new(repository: &Repository) -> Self {
        Self {
            repository: repository.clone(),
            table: PackTable::default(),
            block: Vec::new(),
            block_first: String::new(),
            part: Vec::new(),
            blocks: Vec::new(),
            part_first: None,
            part_records: 0,
            parts: Vec::new(),
            records: 0,
        }
    }

    /// Adds a line. `base` is the record of the same file in the manifest that this one builds on.
    pub(crate) fn add(&mut self, line: &Line, base: Option<&FileRecord>) -> Result<()> {
        if self.block.is_empty() {
            line.name().clone_into(&mut self.block_first);
        }
        self.part_first.get_or_insert_with(|| line.name().to_owned());
        line.write(&mut self.table, base, &mut self.block)
            .map_err(|_| RepositoryError::Bug("a line of a manifest cannot be written"))?;
        self.part_records += 1;
        self.records += 1;
        if self.block.len() >= BLOCK {
            self.end_block()?;
        }
        if self.part.len() >= PART {
            self.end_part(Vec::new(), serde_json::Value::Null)?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let member = compress(&self.block)?;
        self.blocks.push(Block {
            first: std::mem::take(&mut self.block_first),
            offset: self.part.len() as u64,
            length: member.len() as u64,
            size: self.block.len() as u64,
        });
        self.part.extend_from_slice(&member);
        self.block.clear();
        Ok(())
    }

    fn end_part(&mut self, packs: Vec<super::PackInfo>, summary: serde_json::Value) -> Result<()> {
        let footer = Footer { blocks: std::mem::take(&mut self.blocks), packs, summary };
        let text =
            serde_json::to_vec(&footer).map_err(|_| RepositoryError::Bug("a footer cannot be written"))?;
        let member = compress(&text)?;
        let mut part = std::mem::take(&mut self.part);
        let offset = part.len() as u64;
        part.extend_from_slice(&member);
        part.extend_from_slice(&offset.to_le_bytes());
        part.extend_from_slice(&(member.len() as u64).to_le_bytes());
        part.extend_from_slice(MAGIC);
        let key = manifest_key()?;
        let sealed = self.repository.seal_index(&self.repository.directory().name_of(&key), part)?;
        self.parts.push(ManifestPart {
            size: sealed.len() as u64,
            blake3: blake3::hash(&sealed).to_hex().to_string(),
            first: self.part_first.take().unwrap_or_default(),
            records: std::mem::take(&mut self.part_records),
            key: key.clone(),
        });
        Ok(self.repository.directory().put_once(&key, sealed)?)
    }

    /// Ends the manifest: its last part has the packs and the record of the backup run.
    pub(crate) fn finish(mut self, summary: serde_json::Value) -> Result<Vec<ManifestPart>> {
        self.end_block()?;
        let packs = self.table.packs().to_vec();
        self.end_part(packs, summary)?;
        Ok(self.parts)
    }
}

fn compress(content: &[u8]) -> Result<Vec<u8>> {
    Ok(zstd::bulk::compress(content, LEVEL)
        .map_err(|_| RepositoryError::Bug("a manifest cannot be compressed"))?)
}

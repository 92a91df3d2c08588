//! The table of contents: the last tar entry, which records where the manifest lies.

use serde::{Deserialize, Serialize};

use crate::footer::FORMAT_VERSION;
use crate::gzip::longest_member;
use crate::names::TOC;
use crate::tar::encode::{check_header, header_length, push_header, push_zeros};
use crate::tar::{BLOCK, padding};

const FORMAT: &str = "couchcopy-archive";

/// Largest table of contents and largest block of the manifest in bytes.
pub(crate) const MAX_TOC: u64 = 64 << 20;
pub(crate) const MAX_MANIFEST_BLOCK: u64 = 80 << 20;
/// Sizes that a chunk may have, in bytes. Powers of two only: chunks are subtrees of a BLAKE3 tree.
pub(crate) const CHUNK_SIZES: std::ops::RangeInclusive<u64> = 1024..=4 << 20;

/// The table of contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Toc {
    /// Always `couchcopy-archive`.
    pub(crate) format: String,
    /// Version of the format.
    pub version: u8,
    /// Size of a chunk of a large entry, in bytes.
    pub chunk_size: u64,
    /// Number of entries, `metadata.yaml` included, manifest and table of contents not.
    pub entries: u64,
    /// Size of the content of all entries, in bytes.
    pub bytes: u64,
    /// Offset in the file where the entries end and the manifest begins.
    pub data_end: u64,
    /// The manifest's blocks, in order.
    pub manifest: Vec<ManifestBlock>,
    /// BLAKE3 of the complete manifest, as hexadecimal digits.
    pub manifest_blake3: String,
    /// What the program that wrote the archive says of it.
    pub summary: serde_json::Value,
}

/// Some lines of the manifest, in a gzip member of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestBlock {
    /// Name of the first entry in the block.
    pub first: String,
    /// Offset of the member in the file.
    pub offset: u64,
    /// Length of the member in bytes.
    pub length: u64,
    /// Size of its content in bytes.
    pub size: u64,
}

impl Toc {
    pub(crate) fn new(chunk_size: u64) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            chunk_size,
            entries: 0,
            bytes: 0,
            data_end: 0,
            manifest: Vec::new(),
            manifest_blake3: String::new(),
            summary: serde_json::Value::Null,
        }
    }

    /// The content of the last member: this as a tar entry, and the end of the tar stream.
    pub(crate) fn encode(&self, mtime: u64) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        let mut content = Vec::with_capacity(json.len() + 4 * BLOCK);
        push_header(&mut content, TOC, json.len() as u64, mtime);
        content.extend_from_slice(&json);
        push_zeros(&mut content, padding(json.len() as u64) + 2 * BLOCK);
        Ok(content)
    }

    /// Reads what [`Toc::encode`] wrote; says what is wrong with it.
    ///
    /// `offset` is that of its member in the file: nothing may lie beyond it.
    pub(crate) fn parse(content: &[u8], offset: u64) -> Result<Self, String> {
        let header = header_length(TOC);
        let size = content
            .get(..header)
            .and_then(|block| match crate::tar::number::read_number(block.get(124..136)?) {
                crate::tar::number::Number::Value(size) => usize::try_from(size).ok(),
                _ => None,
            })
            .ok_or("the table of contents has no tar header")?;
        check_header(&content[..header], TOC, size as u64)?;
        let end = header.checked_add(size).ok_or("its size is absurd")?;
        let json = content.get(header..end).ok_or("the table of contents is cut off")?;
        let rest = &content[end..];
        if rest.len() != padding(size as u64) + 2 * BLOCK || rest.iter().any(|byte| *byte != 0) {
            return Err("the tar stream does not end as it should".into());
        }
        let toc: Self = serde_json::from_slice(json)
            .map_err(|error| format!("the table of contents cannot be read: {error}"))?;
        toc.check(offset)?;
        Ok(toc)
    }

    fn check(&self, offset: u64) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("the format is called {:?}", self.format));
        }
        if self.version != FORMAT_VERSION {
            return Err(format!("footer and table of contents record different versions ({})", self.version));
        }
        if !self.chunk_size.is_power_of_two() || !CHUNK_SIZES.contains(&self.chunk_size) {
            return Err(format!("chunks of {} bytes", self.chunk_size));
        }
        let mut end = None;
        for block in &self.manifest {
            if block.size > MAX_MANIFEST_BLOCK || block.length > longest_member(block.size) {
                return Err(format!("the manifest block at byte {} claims an absurd size", block.offset));
            }
            match end {
                None if block.offset <= self.data_end => {
                    return Err("the manifest begins before the data ends".into());
                }
                Some(end) if end != block.offset => {
                    return Err(format!("a gap in the manifest at byte {end}"));
                }
                _ => {}
            }
            end = block.offset.checked_add(block.length);
            if end.is_none_or(|end| end > offset) {
                return Err("the manifest lies beyond the table of contents".into());
            }
        }
        if end.unwrap_or(self.data_end) > offset {
            return Err("the data lies beyond the table of contents".into());
        }
        Ok(())
    }

    /// Size of the complete manifest in bytes.
    pub(crate) fn manifest_size(&self) -> u64 {
        self.manifest.iter().fold(0, |sum, block| sum.saturating_add(block.size))
    }

    /// Where the manifest's last block ends, if there is one.
    pub(crate) fn manifest_end(&self) -> Option<u64> {
        self.manifest.last().map(|block| block.offset.saturating_add(block.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toc() -> Toc {
        Toc {
            entries: 1,
            data_end: 100,
            manifest: vec![
                ManifestBlock { first: "metadata.yaml".into(), offset: 120, length: 30, size: 300 },
                ManifestBlock { first: "x".into(), offset: 150, length: 50, size: 500 },
            ],
            ..Toc::new(1 << 20)
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let content = toc().encode(5).unwrap();
        assert_eq!(content.len() % BLOCK, 0);
        assert_eq!(Toc::parse(&content, 200), Ok(toc()));
        for cut in 0..content.len() {
            assert!(Toc::parse(&content[..cut], 200).is_err());
        }
    }

    #[test]
    fn contradictions_are_told() {
        let broken: [fn(&mut Toc); 9] = [
            |toc| toc.format.clear(),
            |toc| toc.version = 2,
            |toc| toc.chunk_size = 1000,
            |toc| toc.chunk_size = 1 << 40,
            |toc| toc.data_end = 120,
            |toc| toc.manifest[1].offset = 151,
            |toc| toc.manifest[1].length = 51,
            |toc| toc.manifest[1].length = u64::MAX,
            |toc| toc.manifest[0].size = u64::MAX,
        ];
        for (index, break_it) in broken.into_iter().enumerate() {
            let mut toc = toc();
            break_it(&mut toc);
            assert!(Toc::parse(&toc.encode(0).unwrap(), 200).is_err(), "{index}");
        }
    }
}

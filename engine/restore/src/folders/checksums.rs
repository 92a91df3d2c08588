//! Replaces checksums by MD5 in files for a CouchDB that does not support the archive's checksums.
//!
//! CouchDB up to 3.3 does not recognise a header with another checksum, and so treats the file as an empty or older database; it
//! cannot read a document with another checksum. It does not report this before it is too late.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use contents::unusable;
use couchfile::data_dir::DataFile;
use couchfile::error::CouchFileError;
use couchfile::md5_sums::Md5Sums;
use couchfile::read_at::{FileBytes, ReadAt};
use node::Version;
use outcome::{Failure, Result};

/// The oldest CouchDB that data is restored to.
pub const OLDEST_TARGET: (u64, u64) = (3, 1);
/// The first CouchDB that reads XXH3; see docs/couch-format.md.
const READS_XXH3: (u64, u64) = (3, 4);

/// The oldest CouchDB that will read the files, if it reads only MD5.
pub(crate) fn only_md5<'v>(versions: impl IntoIterator<Item = &'v Version>) -> Option<Version> {
    let oldest = versions.into_iter().min_by_key(|version| version.numbers)?;
    (!oldest.at_least(READS_XXH3.0, READS_XXH3.1)).then(|| oldest.clone())
}

fn sums<R: ReadAt>(file: &DataFile, source: R) -> Result<Md5Sums<R>, CouchFileError> {
    match file {
        DataFile::View { .. } => Md5Sums::of_view(source),
        _ => Md5Sums::of_database(source),
    }
}

/// A file of an archive as a source with MD5 checksums.
pub(crate) fn with_md5<R: ReadAt>(file: &DataFile, path: &str, source: R) -> Result<Md5Sums<R>> {
    sums(file, source).map_err(|e| failed(path, e))
}

/// A file of an archive in memory with MD5 checksums; `None` if it has no other checksums.
pub(crate) fn content_with_md5(file: &DataFile, path: &str, content: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut changed: Option<Vec<u8>> = None;
    for change in with_md5(file, path, content)?.changes() {
        let (at, bytes) = change.map_err(|e| failed(path, e))?;
        let at = at as usize;
        changed.get_or_insert_with(|| content.to_vec())[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    Ok(changed)
}

/// Replaces the checksums in a written file by MD5; returns whether there were other checksums. `path` is the path in the
/// archive, `at` the path of the written file.
pub(crate) fn put_md5(file: &DataFile, path: &str, written: &File, at: &Path) -> Result<bool> {
    let io = |e| Failure::io("write", at, e);
    let source = written.try_clone().and_then(FileBytes::new).map_err(io)?;
    let mut changed = false;
    for change in with_md5(file, path, source)?.changes() {
        let (offset, bytes) = change.map_err(|e| failed(path, e))?;
        written.write_all_at(&bytes, offset).map_err(io)?;
        changed = true;
    }
    Ok(changed)
}

fn failed(path: &str, e: CouchFileError) -> Failure {
    unusable(format!("{path} of the archive"), e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_node_decides() {
        let of = |versions: &[&str]| {
            let versions: Vec<Version> = versions.iter().map(|text| Version::parse(text)).collect();
            only_md5(&versions).map(|version| version.text)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["3.5.0", "3.4.0"]), None);
        assert_eq!(of(&["3.5.0", "3.3.3", "3.10.0"]), Some("3.3.3".into()));
        assert_eq!(of(&["3.1.2"]), Some("3.1.2".into()));
    }
}

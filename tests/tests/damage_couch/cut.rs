//! Files cut short.

use couchcopy_tests::{Result, fixtures};
use couchfile::blocks::Blocks;
use couchfile::check::check;
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::header;
use couchfile::view::ViewIndex;

use super::walk::{assert_modest_memory, walk};

/// The file's ends worth trying: every so many bytes, and all around every header.
fn ends(bytes: &[u8], step: usize) -> Result<Vec<usize>> {
    let blocks = Blocks::new(bytes.to_vec());
    let mut ends: Vec<usize> = (0..bytes.len()).step_by(step).collect();
    let mut before = blocks.end();
    while let Some(header) = header::find_before(&blocks, before)? {
        for at in [header.offset, header.end] {
            ends.extend((at.saturating_sub(2)..=at + 2).map(|end| end as usize));
        }
        before = header.offset;
    }
    ends.retain(|&end| end < bytes.len());
    Ok(ends)
}

/// Every prefix of a file that was only appended to is a state that the database had.
#[test]
fn a_database_cut_short_opens_at_an_older_state_or_not_at_all() -> Result<()> {
    let files = fixtures::couch_files()?;
    let folder = files.data("pre");
    let mut opened = 0;
    for path in &fixtures::files_ending(&folder, "couch")? {
        let bytes = std::fs::read(folder.join(path))?;
        let step = if bytes.len() > 1 << 20 { 65_537 } else { 509 };
        for end in ends(&bytes, step)? {
            match Database::open(bytes[..end].to_vec()) {
                Ok(file) => {
                    assert!(file.header_end() <= end as u64, "{path} at {end}");
                    let report = check(&file, None)?;
                    assert!(report.is_whole(), "{path} at {end}: {:?}", report.problems);
                    opened += 1;
                }
                Err(CouchFileError::NoHeader { len }) => assert_eq!(len, end as u64),
                Err(e) => panic!("{path} at {end}: {e}"),
            }
        }
    }
    assert!(opened > 1000, "{opened}");
    assert_modest_memory()
}

/// A compacted file begins with the header of an empty database: CouchDB would take a piece of it for one.
#[test]
fn a_compacted_database_cut_short_is_never_taken_for_an_empty_one() -> Result<()> {
    let files = fixtures::couch_files()?;
    let folder = files.data("post");
    let mut refused = 0;
    for path in &fixtures::files_ending(&folder, "couch")? {
        let bytes = std::fs::read(folder.join(path))?;
        let compacted = header_count(&bytes, b"comp_header")? > 0;
        if !compacted {
            continue;
        }
        let empty = Database::open(bytes.clone())?.counts()? == (0, 0);
        let step = if bytes.len() > 1 << 18 { 4099 } else { 127 };
        for end in ends(&bytes, step)? {
            match Database::open(bytes[..end].to_vec()) {
                Ok(file) => assert!(empty || file.counts()? != (0, 0), "{path} at {end}"),
                Err(CouchFileError::NoHeader { .. }) => assert!(end <= 167, "{path} at {end}"),
                Err(CouchFileError::UnfinishedCompaction { .. }) => refused += 1,
                Err(e) => panic!("{path} at {end}: {e}"),
            }
        }
    }
    assert!(refused > 1000, "{refused}");
    Ok(())
}

/// How many headers of a file are tuples that begin with this atom.
fn header_count(bytes: &[u8], tag: &[u8]) -> Result<usize> {
    let blocks = Blocks::new(bytes.to_vec());
    let (mut count, mut before) = (0, blocks.end());
    while let Some(header) = header::find_before(&blocks, before)? {
        before = header.offset;
        count += usize::from(header.term.windows(tag.len()).any(|window| window == tag));
    }
    Ok(count)
}

/// A new database may be copied while its first documents are being written: it is empty then, and that is no damage.
#[test]
fn a_new_database_with_its_first_documents_under_way_is_empty() -> Result<()> {
    let files = fixtures::couch_files()?;
    let folder = files.data("pre");
    for path in ["shards/00000000-7fffffff/_replicator.1795356995.couch", "_nodes.couch"] {
        let mut bytes = std::fs::read(folder.join(path))?;
        if path == "_nodes.couch" {
            // Up to its second header, this file is a database without properties that nothing was written to.
            bytes.truncate(4259);
        }
        for tail in [1, 100, 4096, 1 << 20] {
            let mut growing = bytes.clone();
            growing.resize(bytes.len() + tail, 7);
            let file = Database::open(growing)?;
            assert_eq!(file.counts()?, (0, 0), "{path}");
            assert_eq!(file.header_end(), bytes.len() as u64, "{path}");
        }
    }
    // The same for a database that was compacted while it was empty.
    let empty = files.data("post").join("shards/80000000-ffffffff/_replicator.1795356995.couch");
    let mut bytes = std::fs::read(empty)?;
    bytes.resize(bytes.len() + 100_000, 7);
    assert_eq!(Database::open(bytes)?.counts()?, (0, 0));
    Ok(())
}

#[test]
fn a_small_file_cut_at_every_byte() -> Result<()> {
    let bytes = std::fs::read(fixtures::couch_files()?.special("md5.1795357070.couch"))?;
    for end in 0..bytes.len() {
        if let Ok(walked) = walk(&bytes[..end]) {
            assert!(walked.whole, "{end}");
        }
    }
    assert_modest_memory()
}

#[test]
fn a_view_index_cut_short_opens_or_not() -> Result<()> {
    let files = fixtures::couch_files()?;
    let folder = files.data("pre");
    for path in &fixtures::files_ending(&folder, "view")? {
        let bytes = std::fs::read(folder.join(path))?;
        for end in 0..bytes.len() {
            if let Ok(index) = ViewIndex::open(bytes[..end].to_vec()) {
                assert!(index.header_end <= end as u64);
            }
        }
    }
    assert_modest_memory()
}

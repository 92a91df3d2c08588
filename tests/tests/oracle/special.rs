//! Files out of the ordinary: each gets the verdict that CouchDB 3.5.0 gave it, or a stricter one.
//!
//! What CouchDB did is told in `open-results.txt` and `header-upgrade-results.txt` beside the files.

use std::path::Path;

use couchcopy_tests::{Result, content, fixtures};
use couchfile::blocks::{BLOCK, Blocks};
use couchfile::check::{Report, check};
use couchfile::checksum::Checksum;
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::header;
use couchfile::term::{Decoder, Encoder};
use serde_json::json;

fn read(name: &str) -> Result<Vec<u8>> {
    Ok(std::fs::read(fixtures::couch_files()?.special(name))?)
}

fn whole(path: &Path) -> Result<(Database<couchfile::read_at::FileBytes>, Report)> {
    let file = content::open(path)?;
    let report = check(&file, None)?;
    assert!(report.is_whole(), "{}: {:?}", path.display(), report.problems);
    Ok((file, report))
}

#[test]
fn every_checksum_and_compression_kind_is_read() -> Result<()> {
    let files = fixtures::couch_files()?;
    // How many headers carry MD5, how many XXH3; the first bytes of the id tree's root: snappy, plain, deflated inside the
    // term format; the documents.
    let kinds = [
        ("md5", (5, 1), &[1][..], &["d1", "d2", "d3", "d4"][..]),
        ("none", (0, 6), &[131, 104], &["d1", "d2", "d3"]),
        ("defl", (0, 5), &[131, 80], &["d1", "d2", "d3"]),
    ];
    for (kind, sums, packed, documents) in kinds {
        let path = files.special(&format!("{kind}.1795357070.couch"));
        let (file, _) = whole(&path)?;
        let blocks = Blocks::new(std::fs::read(&path)?);
        let root = file.header().id_tree.as_ref().ok_or("no documents")?.ptr;
        assert!(blocks.read_chunk(root, "node")?.payload.starts_with(packed), "{kind}");

        let mut found = (0, 0);
        let mut before = blocks.end();
        while let Some(header) = header::find_before(&blocks, before)? {
            match header.checksum {
                Checksum::Md5 => found.0 += 1,
                Checksum::Xxh3 => found.1 += 1,
            }
            before = header.offset;
        }
        assert_eq!(found, sums, "{kind}");

        let mut ids = Vec::new();
        file.for_each_document(|doc| -> Result<()> {
            let text = content::leaves(&file, doc)?[0]["s"].as_str().ok_or("no text")?.to_owned();
            assert!(text == "x" || text.trim_matches('a').is_empty() && text.len() >= 4, "{kind}: {text}");
            ids.push(String::from_utf8(doc.id.to_vec())?);
            Ok(())
        })?;
        assert_eq!(ids, documents, "{kind}");
    }
    Ok(())
}

#[test]
fn what_follows_the_last_header_does_not_count() -> Result<()> {
    let files = fixtures::couch_files()?;
    let mut ends = Vec::new();
    for name in ["gen200", "tail-garbage", "tail-fakeheader", "tail-hugelen"] {
        let (file, report) = whole(&files.special(&format!("{name}.couch")))?;
        assert_eq!((report.documents, file.header().revs_limit), (200, 33), "{name}");
        assert_eq!(content::security(&file)?, json!({"admins": {"names": ["joe"]}}), "{name}");
        assert_eq!(file.header().uuid.as_deref(), Some("11112222333344445555666677778888"));
        ends.push(file.header_end());
    }
    assert_eq!(ends, [45_253; 4]);
    // A tail of 5 MB of zeros, as a preallocating file system leaves it.
    let mut padded = read("gen200.couch")?;
    padded.resize(padded.len() + 5 * 1024 * 1024, 0);
    assert_eq!(Database::open(padded)?.counts()?, (200, 0));
    Ok(())
}

/// CouchDB makes empty databases of these, without a word.
#[test]
fn files_without_a_header_are_refused() -> Result<()> {
    for name in ["torn-only-header", "zeros", "empty"] {
        let bytes = read(&format!("{name}.couch"))?;
        let len = bytes.len() as u64;
        let opened = Database::open(bytes);
        assert!(matches!(opened, Err(CouchFileError::NoHeader { len: found }) if found == len), "{name}");
    }
    Ok(())
}

/// CouchDB cannot open it (HTTP 500).
#[test]
fn a_header_that_names_missing_data_is_refused() -> Result<()> {
    let opened = Database::open(read("header-past-data.couch")?);
    assert!(matches!(opened, Err(CouchFileError::Damaged { what: "database header", .. })), "{opened:?}");
    Ok(())
}

/// CouchDB opens it and counts 200 documents.
#[test]
fn a_damaged_tree_is_found() -> Result<()> {
    let file = Database::open(read("damaged-tree.couch")?)?;
    assert_eq!(file.counts()?, (200, 0));
    let report = check(&file, None)?;
    assert!(report.problems[0].contains("damaged id tree"), "{:?}", report.problems);
    // Each of its documents is named, as the other tree knows them.
    assert_eq!(report.problem_count, 201);
    let named = |problem: &String| problem.ends_with("it cannot be found by its id");
    assert!(report.problems[1..].iter().all(named), "{:?}", report.problems);
    Ok(())
}

/// The file `gen200.couch` with its header replaced: elements in place of the old ones, from the second on.
fn with_header(edit: impl FnOnce(&mut Vec<Vec<u8>>)) -> Result<Vec<u8>> {
    let mut bytes = read("gen200.couch")?;
    let raw = header::find_last(&Blocks::new(bytes.clone()))?.ok_or("no header")?;
    let mut decoder = Decoder::versioned(&raw.term)?;
    let mut elements = Vec::new();
    for _ in 0..decoder.tuple()? {
        elements.push(decoder.raw()?.to_vec());
    }
    edit(&mut elements);
    let mut term = Encoder::versioned();
    term.tuple(elements.len());
    for element in &elements {
        term.raw(element);
    }
    bytes.truncate(raw.offset as usize);
    assert_eq!(bytes.len() as u64 % BLOCK, 0);
    bytes.extend_from_slice(&header::encode(&term.finish()));
    Ok(bytes)
}

fn int(value: u64) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.uint(value);
    encoder.finish()
}

fn atom(name: &str) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.atom(name.as_bytes());
    encoder.finish()
}

#[test]
fn headers_of_couchdb_2_and_1_are_read() -> Result<()> {
    // Version 7 (CouchDB 2.3): no properties.
    let seven = with_header(|elements| {
        elements.truncate(15);
        elements[1] = int(7);
        elements[14] = int(44);
    })?;
    let file = Database::open(seven)?;
    let header = file.header();
    assert_eq!((header.disk_version, header.purge_infos_limit, header.props_ptr), (7, 44, None));
    assert_eq!(file.counts()?, (200, 0));
    assert!(check(&file, None)?.is_whole());

    // Version 6 with the fields of CouchDB 2.0: purges are a number and a pointer.
    let six = with_header(|elements| {
        elements.truncate(14);
        elements[1] = int(6);
        elements[7] = int(0);
        elements[8] = atom("nil");
    })?;
    let file = Database::open(six)?;
    let header = file.header();
    assert_eq!((header.legacy_purge_seq, header.legacy_purged_docs), (Some(0), None));
    assert_eq!((header.purge_infos_limit, header.revs_limit), (1000, 33));
    assert!(header.uuid.is_some() && !header.epochs.is_empty());
    assert_eq!(file.purge_seq()?, 0);
    assert!(check(&file, None)?.is_whole());

    // The eleven elements of CouchDB 1.2 to 1.6: no uuid, no epochs.
    let eleven = with_header(|elements| {
        elements.truncate(11);
        elements[1] = int(6);
        elements[7] = int(2);
        elements[8] = atom("nil");
        elements[9] = atom("nil");
    })?;
    let file = Database::open(eleven)?;
    let header = file.header();
    assert_eq!((header.uuid.as_ref(), header.epochs.len(), header.compacted_seq), (None, 0, 0));
    assert_eq!((file.purge_seq()?, header.security_ptr), (2, None));
    assert!(check(&file, None)?.is_whole());
    assert_eq!(content_of(&file)?.len(), 200);
    Ok(())
}

fn content_of(file: &Database<Vec<u8>>) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    file.for_each_document(|doc| -> Result<()> {
        ids.push(String::from_utf8(doc.id.to_vec())?);
        Ok(())
    })?;
    Ok(ids)
}

/// CouchDB refuses them with HTTP 500.
#[test]
fn headers_of_the_future_are_refused() -> Result<()> {
    let nine = with_header(|elements| elements[1] = int(9))?;
    assert!(matches!(Database::open(nine), Err(CouchFileError::Newer { .. })));
    let long = with_header(|elements| elements.push(atom("extra")))?;
    assert!(matches!(Database::open(long), Err(CouchFileError::Newer { .. })));
    Ok(())
}

#[test]
fn the_list_of_purged_documents_of_old_files_is_read() -> Result<()> {
    // A pointer to a term that is there is fine, one to nothing is found.
    let security = Database::open(read("gen200.couch")?)?.header().security_ptr.ok_or("no pointer")?;
    for (ptr, good) in [(security, true), (40_000_000, false), (17, false)] {
        let file = with_header(|elements| {
            elements.truncate(14);
            elements[1] = int(6);
            elements[7] = int(2);
            elements[8] = int(ptr);
        })?;
        let whole = Database::open(file).map(|file| check(&file, None).map(|report| report.is_whole()));
        assert_eq!(matches!(whole, Ok(Ok(true))), good, "{ptr}");
    }
    Ok(())
}

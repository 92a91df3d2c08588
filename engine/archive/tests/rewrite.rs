//! An archive with other contents for some entries has these, all others as they were, and all its parts.
#![allow(missing_docs)]

mod common;

use std::sync::Arc;

use archive::{
    ArchiveError, DBS, Facts, IndexedArchive, Location, METADATA, Replacement, Result, WriterOptions, rewrite,
};
use common::{Contents, MTIME, bytes, indexed, metadata, sample, streamed, verified, write};

const CHUNK: usize = 2048;

fn replaced(archive: &[u8], contents: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    rewritten(&indexed(archive), contents)
}

fn rewritten(archive: &IndexedArchive, contents: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let replacement = |(name, content): &(&str, Vec<u8>)| Replacement {
        name: (*name).to_owned(),
        mtime: MTIME + 1,
        facts: if *name == METADATA { Facts::Metadata } else { maps() },
        data: Box::new(content.clone()),
    };
    let replacements = contents.iter().map(replacement).collect();
    let options = WriterOptions { level: 1, threads: 2 };
    let summary = serde_json::json!({"rewritten": true});
    let written = rewrite(archive, replacements, Vec::new(), options, summary, &|_| {})?;
    assert_eq!(written.out.len() as u64, written.archive_bytes);
    Ok(written.out)
}

fn maps() -> Facts {
    Facts::ShardMaps { node: Some("n@h".into()), maps: 7, uuid: None, seq: 9, header: 4096 }
}

/// The bytes of an entry's members, and what is read of them.
fn members(archive: &[u8], name: &str) -> (Vec<u8>, Location) {
    let at = indexed(archive).find(name).unwrap().unwrap().at;
    let range = match &at {
        Location::Packed { member, length, .. } => *member..member + length,
        Location::Large { start, header, chunks } => {
            *start..start + header + chunks.iter().map(|length| u64::from(*length)).sum::<u64>()
        }
    };
    (archive[range.start as usize..range.end as usize].to_vec(), at)
}

/// Two entries, one of a member of its own, that lie where nothing has to be packed anew.
const UNTOUCHED: [&str; 2] = [
    "data/shards/00000000-ffffffff/sized10.1795355234.couch",
    "data/shards/00000000-ffffffff/small030.1795355234.couch",
];

#[test]
fn contents_of_any_size_take_the_place_of_contents_of_any_size() {
    let sizes = [0, 1, 700, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 3];
    for old in sizes {
        let mut entries = sample(CHUNK);
        entries.insert(DBS.to_owned(), bytes(1, old));
        let archive = write(&entries, 2, 6, CHUNK);
        for new in sizes {
            let description = b"backup:\n  date: other\n".repeat(1 + new / 100);
            let contents = [(DBS, bytes(2, new)), (METADATA, description)];
            let result = replaced(&archive, &contents).unwrap();
            let mut expected = entries.clone();
            expected.extend(contents.map(|(name, content)| (name.to_owned(), content)));
            assert!(verified(&result).unwrap() == expected, "{old} {new}");
            assert!(streamed(&result).unwrap() == expected, "{old} {new}");

            let result_archive = indexed(&result);
            assert_eq!(result_archive.toc().summary, serde_json::json!({"rewritten": true}));
            assert_eq!(result_archive.find(DBS).unwrap().unwrap().facts, maps());
            for name in UNTOUCHED {
                assert_eq!(members(&archive, name).0, members(&result, name).0, "{old} {new} {name}");
            }
        }
    }
}

#[test]
fn an_archive_without_replacements_is_copied_whole() {
    for chunk in [1024, CHUNK, 1 << 20] {
        let entries = sample(chunk);
        let archive = write(&entries, 2, 1, chunk);
        let result = replaced(&archive, &[]).unwrap();
        assert!(verified(&result).unwrap() == entries);
        let data_end = indexed(&archive).toc().data_end as usize;
        assert_eq!(result[..data_end], archive[..data_end], "{chunk}");
    }
}

#[test]
fn other_entries_of_a_member_go_along() {
    let mut entries = Contents::new();
    entries.insert(METADATA.to_owned(), metadata());
    entries.insert(DBS.to_owned(), bytes(1, 100));
    entries.insert("data/.shards/00000000-ffffffff/a.1_design/mrview/x.view".to_owned(), bytes(2, 100));
    entries.insert("data/shards/00000000-ffffffff/a.1.couch".to_owned(), bytes(3, 100));
    let archive = write(&entries, 1, 1, 1 << 20);
    let result = replaced(&archive, &[(DBS, bytes(4, 90))]).unwrap();
    entries.insert(DBS.to_owned(), bytes(4, 90));
    assert!(verified(&result).unwrap() == entries);
    assert_eq!(indexed(&result).find(METADATA).unwrap().unwrap().facts, Facts::Metadata);
}

#[test]
fn what_is_not_there_cannot_be_replaced() {
    let archive = write(&sample(CHUNK), 1, 1, CHUNK);
    let error = replaced(&archive, &[("data/shards/none", Vec::new())]).unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Inconsistent { reason, .. } if reason.contains("none")),
        "{error}"
    );
}

/// Whatever is copied without being looked at is told by whoever looks.
#[test]
fn damage_is_copied_and_told_or_an_error() {
    let entries = sample(CHUNK);
    let archive = write(&entries, 1, 1, CHUNK);
    let (mut told, mut failed) = (0, 0);
    for at in (0..archive.len()).step_by(97) {
        let mut damaged = archive.clone();
        damaged[at] ^= 0x10;
        let source = Arc::new(damaged);
        let Ok(Some(opened)) = IndexedArchive::from_source(source, "damaged.tar.gz") else { continue };
        match rewritten(&opened, &[(DBS, bytes(9, 300))]) {
            Err(_) => failed += 1,
            Ok(result) => {
                let mut expected = entries.clone();
                expected.insert(DBS.to_owned(), bytes(9, 300));
                match verified(&result) {
                    Err(_) => told += 1,
                    // Bytes that nobody reads: of gzip's headers.
                    Ok(contents) => assert!(contents == expected, "byte {at}"),
                }
            }
        }
    }
    assert!(told > 100 && failed > 5, "{told} {failed}");
}

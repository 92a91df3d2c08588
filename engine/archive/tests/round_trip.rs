//! What is written is what is read, by every way of reading.
#![allow(missing_docs)]

mod common;

use std::sync::Mutex;

use archive::{
    ArchiveError, ArchiveWriter, CHUNK, EntrySource, FOOTER_LENGTH, Facts, IndexedArchive, Location,
    METADATA, Opened, Progress, WriterOptions,
};
use common::{
    Collector, Counting, MTIME, Memory, bytes, indexed, metadata, sample, sequential, streamed, verified,
    write,
};
use couchfile::read_at::ReadAt as _;

#[test]
fn every_size_and_name_comes_back() {
    for chunk in [1024, 64 << 10] {
        let entries = sample(chunk);
        let archive = write(&entries, 2, 3, chunk);
        assert_eq!(verified(&archive).unwrap(), entries);
        assert_eq!(streamed(&archive).unwrap(), entries);
    }
}

#[test]
fn configuration_comes_back_and_is_told_by_the_footer() {
    let mut entries = sample(4096);
    let subfield = |archive: &[u8]| archive[archive.len() - FOOTER_LENGTH..][12..14].to_vec();
    assert_eq!(subfield(&write(&entries, 2, 3, 4096)), b"CC");
    entries.insert("config,couchdb@127.0.0.1,opt,couchdb,etc,local.ini".to_owned(), bytes(1, 900));
    entries.insert(format!("config,couchdb@127.0.0.1,{}", "x".repeat(150)), bytes(2, 20_000));
    let archive = write(&entries, 2, 3, 4096);
    assert_eq!(subfield(&archive), b"C2");
    assert_eq!(verified(&archive).unwrap(), entries);
    assert_eq!(streamed(&archive).unwrap(), entries);
}

#[test]
fn chunks_of_the_usual_size() {
    let mut entries = sample(CHUNK);
    entries.insert("data/shards/00000000-ffffffff/zz.1.couch".to_owned(), bytes(9, 9 * CHUNK + 5));
    let archive = write(&entries, 3, 1, CHUNK);
    assert_eq!(verified(&archive).unwrap(), entries);
    assert_eq!(streamed(&archive).unwrap(), entries);
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let entries = sample(8 << 10);
    let expected = write(&entries, 1, 4, 8 << 10);
    for threads in [2, 3, 8] {
        assert_eq!(write(&entries, threads, 4, 8 << 10), expected, "{threads} threads");
    }
}

#[test]
fn entries_come_in_order_with_their_facts() {
    let entries = sample(4096);
    let archive = indexed(&write(&entries, 2, 1, 4096));
    let listed: Vec<_> = archive.entries().map(Result::unwrap).collect();
    assert_eq!(listed[0].name, METADATA);
    assert_eq!(listed[0].facts, Facts::Metadata);
    let mut names: Vec<_> = entries.keys().filter(|name| *name != METADATA).collect();
    names.sort();
    assert!(listed[1..].iter().map(|entry| &entry.name).eq(names));
    assert_eq!(archive.toc().entries, entries.len() as u64);
    assert_eq!(archive.toc().bytes, entries.values().map(|content| content.len() as u64).sum::<u64>());
    assert_eq!(archive.toc().summary, serde_json::json!({"databases": 3}));
}

#[test]
fn random_access_reads_any_part() {
    let chunk = 4096;
    let entries = sample(chunk);
    let archive = indexed(&write(&entries, 2, 1, chunk));
    for (name, content) in &entries {
        let entry = archive.find(name).unwrap().unwrap();
        assert_eq!(&archive.read(&entry, 1 << 20).unwrap(), content, "{name}");
        let reader = archive.open_entry(&entry).unwrap();
        assert_eq!(reader.len(), content.len() as u64);
        for (from, to) in
            [(0, content.len()), (content.len() / 3, content.len() / 2), (content.len(), content.len())]
        {
            let mut buf = vec![0; to - from];
            reader.clone().read_exact_at(&mut buf, from as u64).unwrap();
            assert_eq!(buf, content[from..to]);
        }
        assert!(reader.read_exact_at(&mut [0], content.len() as u64).is_err());
        let opened = archive.open(name).unwrap();
        assert_eq!(opened.is_some(), name != METADATA, "{name}");
        if let Some(opened) = opened {
            let mut buf = vec![0; content.len()];
            opened.read_exact_at(&mut buf, 0).unwrap();
            assert_eq!((opened.len(), &buf), (content.len() as u64, content), "{name}");
        }
    }
    for name in ["", "a", "data/shards/none", "data/shards/00000000-ffffffff/sized", "metadata.yam", "z"] {
        assert!(archive.find(name).unwrap().is_none(), "{name}");
        assert!(archive.open(name).unwrap().is_none(), "{name}");
    }
    let large = archive.find("data/shards/00000000-ffffffff/sized10.1795355234.couch").unwrap().unwrap();
    assert!(matches!(archive.read(&large, 100), Err(ArchiveError::TooLarge { limit: 100, .. })));
}

/// An archive with enough entries for many blocks of the manifest.
fn many() -> (Vec<u8>, usize) {
    let count = 6000;
    let mut writer = ArchiveWriter::new(Vec::new(), WriterOptions { level: 1, threads: 2 });
    writer.add_bytes(METADATA, MTIME, Facts::Metadata, &metadata()).unwrap();
    let sources = (0..count).map(|index| Memory {
        name: format!("data/shards/00000000-ffffffff/db{index:06}.1795355234.couch"),
        content: bytes(index, 1000),
        large: false,
    });
    writer.add_all(sources, &|_| {}).unwrap();
    (writer.finish(serde_json::Value::Null).unwrap().out, count as usize)
}

#[test]
fn names_are_looked_up_in_what_is_kept_of_the_manifest() {
    let (bytes_of_archive, count) = many();
    let source = Counting::new(bytes_of_archive);
    let archive = IndexedArchive::from_source(source.clone(), "counted").unwrap().unwrap();
    let manifest: u64 = archive.toc().manifest.iter().map(|block| block.length).sum();
    let name = |index| format!("data/shards/00000000-ffffffff/db{index:06}.1795355234.couch");
    let missing = |index| name(index).replace(".1795355234.", ".1795355235.");
    source.take_count();
    for round in 0..2 {
        for index in 0..count {
            assert!(archive.open(&missing(index)).unwrap().is_none());
        }
        assert_eq!(source.take_count(), if round == 0 { manifest } else { 0 });
    }
    for index in (0..count).step_by(97) {
        let mut buf = vec![0; 1000];
        archive.open(&name(index)).unwrap().unwrap().read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(buf, bytes(index as u64, 1000));
    }
}

#[test]
fn one_name_is_read_without_the_rest() {
    let (bytes_of_archive, count) = many();
    let length = bytes_of_archive.len() as u64;
    let source = Counting::new(bytes_of_archive);
    let archive = IndexedArchive::from_source(source.clone(), "counted").unwrap().unwrap();
    assert!(archive.toc().manifest.len() > 4);
    assert!(source.take_count() < 10_000);
    for index in [0, 1, 777, count - 1] {
        let name = format!("data/shards/00000000-ffffffff/db{index:06}.1795355234.couch");
        let entry = archive.find(&name).unwrap().unwrap();
        let block = archive.toc().manifest.iter().map(|block| block.length).max().unwrap();
        assert!(source.take_count() <= block);
        assert_eq!(archive.read(&entry, 1 << 20).unwrap(), bytes(index as u64, 1000));
        let Location::Packed { length: member, .. } = entry.at else { panic!() };
        let read = source.take_count();
        assert!(read == member || read == 0, "{read}");
        assert!(member < length / 3);
    }
    let prefix = "data/shards/00000000-ffffffff/db0031";
    let listed: Vec<_> = archive.entries_with_prefix(prefix).map(|entry| entry.unwrap().name).collect();
    assert_eq!(listed.len(), 100);
    assert!(listed.iter().all(|name| name.starts_with(prefix)));
    let blocks: u64 = archive.toc().manifest.iter().map(|block| block.length).max().unwrap() * 2;
    assert!(source.take_count() <= blocks);
    assert_eq!(archive.entries_with_prefix("data/").count(), count);
    assert_eq!(archive.entries_with_prefix("").count(), count + 1);
    assert_eq!(archive.entries_with_prefix("meta").count(), 1);
    assert_eq!(archive.entries_with_prefix("data/t").count(), 0);
}

#[test]
fn a_visit_reads_only_what_is_wanted() {
    let chunk = 4096;
    let entries = sample(chunk);
    let archive = indexed(&write(&entries, 2, 1, chunk));
    for wanted in ["small01", "sized", ".view", "nothing"] {
        let collector = Collector::default();
        archive.visit(2, &|name| name.contains(wanted), &collector).unwrap();
        let mut expected = entries.clone();
        expected.retain(|name, _| name.contains(wanted));
        assert_eq!(collector.contents.into_inner().unwrap(), expected, "{wanted}");
    }
}

#[test]
fn without_footer_one_pass_finds_everything_and_checks_the_manifest() {
    let entries = sample(4096);
    let archive = write(&entries, 2, 1, 4096);
    let cut = &archive[..archive.len() - FOOTER_LENGTH];
    assert!(IndexedArchive::from_source(std::sync::Arc::new(cut.to_vec()), "cut").unwrap().is_none());
    let collector = Collector::default();
    let summary = sequential(cut).visit(2, &collector).unwrap();
    assert!(summary.manifest_verified);
    assert_eq!(summary.files, entries.len() as u64);
    assert_eq!(summary.toc.unwrap().summary, serde_json::json!({"databases": 3}));
    assert_eq!(collector.contents.into_inner().unwrap(), entries);
}

#[test]
fn an_archive_of_nothing() {
    let writer = ArchiveWriter::new(Vec::new(), WriterOptions::default());
    let written = writer.finish(serde_json::Value::Null).unwrap();
    assert_eq!((written.entries, written.content_bytes), (0, 0));
    assert_eq!(written.archive_bytes, written.out.len() as u64);
    assert!(verified(&written.out).unwrap().is_empty());
    assert!(streamed(&written.out).unwrap().is_empty());
}

#[test]
fn bytes_can_be_added_without_sources_and_progress_is_told() {
    let mut writer = ArchiveWriter::with_chunk_size(Vec::new(), WriterOptions { level: 1, threads: 2 }, 4096);
    writer.add_bytes(METADATA, MTIME, Facts::Metadata, b"m").unwrap();
    writer.add_bytes("data/.shards/a", MTIME, Facts::Other, b"small").unwrap();
    writer.add_bytes("data/.shards/b", MTIME, Facts::Other, &bytes(1, 20_000)).unwrap();
    let told = Mutex::new(Vec::new());
    let source = |name: &str| Memory { name: name.to_owned(), content: bytes(2, 10_000), large: true };
    let sources = vec![source("data/shards/x"), source("data/shards/y")];
    writer.add_all(sources.into_iter(), &|progress: Progress| told.lock().unwrap().push(progress)).unwrap();
    let written = writer.finish(serde_json::Value::Null).unwrap();
    assert_eq!((written.entries, written.content_bytes), (5, 40_006));
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted_by_key(|progress| (progress.content_bytes, progress.archive_bytes)));
    assert_eq!(told.last().unwrap().content_bytes, 40_006);
    assert_eq!(verified(&written.out).unwrap().len(), 5);
}

enum Odd {
    Skip,
    Good(&'static str),
    Fails,
    Panics,
}

impl EntrySource for Odd {
    fn open(self, buf: &mut Vec<u8>) -> Result<Opened, outcome::Failure> {
        match self {
            Self::Skip => Ok(Opened::Skip),
            Self::Good(name) => {
                buf.push(1);
                Ok(Opened::Small { name: name.to_owned(), mtime: 0, facts: Facts::Other, seen: None })
            }
            Self::Fails => {
                Err(outcome::Failure::refused(outcome::Code::new("CC-G00"), "the disk is gone", ""))
            }
            Self::Panics => panic!("a source that panics"),
        }
    }
}

fn writer() -> ArchiveWriter<Vec<u8>> {
    let mut writer = ArchiveWriter::new(Vec::new(), WriterOptions { level: 1, threads: 2 });
    writer.add_bytes(METADATA, 0, Facts::Metadata, b"").unwrap();
    writer
}

#[test]
fn skipped_sources_leave_no_trace() {
    let mut one = writer();
    let sources =
        vec![Odd::Skip, Odd::Good("data/shards/a"), Odd::Skip, Odd::Good("data/shards/b"), Odd::Skip];
    one.add_all(sources.into_iter(), &|_| {}).unwrap();
    let mut other = writer();
    other.add_all([Odd::Good("data/shards/a"), Odd::Good("data/shards/b")].into_iter(), &|_| {}).unwrap();
    let end = |writer: ArchiveWriter<Vec<u8>>| writer.finish(serde_json::Value::Null).unwrap().out;
    assert_eq!(end(one), end(other));
}

#[test]
fn a_failing_source_ends_the_archive() {
    let mut writer = writer();
    let sources = (0..500).map(|index| if index == 300 { Odd::Fails } else { Odd::Skip });
    let error = writer.add_all(sources, &|_| {}).unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
    let error = writer.finish(serde_json::Value::Null).unwrap_err();
    assert!(matches!(error, ArchiveError::Abandoned { .. }));
}

#[test]
fn a_panicking_source_does_not_hang() {
    let result = std::panic::catch_unwind(|| {
        let _ = writer().add_all([Odd::Good("data/shards/a"), Odd::Panics].into_iter(), &|_| {});
    });
    assert!(result.is_err());
}

#[test]
fn names_out_of_order_or_place_are_refused() {
    for (sources, expected) in [
        (vec![Odd::Good("data/shards/b"), Odd::Good("data/shards/a")], "names have to ascend"),
        (vec![Odd::Good("data/shards/b"), Odd::Good("data/shards/b")], "occurs twice"),
        (vec![Odd::Good("data/shards/b"), Odd::Good("data/shards/b/c")], "is a file, not a folder"),
        (vec![Odd::Good("elsewhere")], "only metadata.yaml"),
        (vec![Odd::Good("data/shards/../x")], "'..'"),
        (vec![Odd::Good(METADATA)], "occurs twice"),
    ] {
        let error = writer().add_all(sources.into_iter(), &|_| {}).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut writer = ArchiveWriter::new(Vec::new(), WriterOptions::default());
    let error = writer.add_bytes("data/_dbs.couch", 0, Facts::Other, b"").unwrap_err().to_string();
    assert!(error.contains("the first entry has to be metadata.yaml"), "{error}");
}

struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told() {
    let mut writer = ArchiveWriter::new(Full, WriterOptions::default());
    let error = writer.add_bytes(METADATA, 0, Facts::Metadata, b"").unwrap_err();
    assert!(matches!(error, ArchiveError::Io { .. }), "{error}");
    let mut writer = ArchiveWriter::new(Full, WriterOptions { level: 1, threads: 2 });
    let sources = (0..100).map(|index| Memory {
        name: if index == 0 { METADATA.to_owned() } else { format!("data/shards/{index:03}") },
        content: vec![7; 500_000],
        large: false,
    });
    assert!(matches!(writer.add_all(sources, &|_| {}), Err(ArchiveError::Io { .. })));
}

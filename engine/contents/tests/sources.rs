//! The same checks for every kind of backup. A new kind adds a line to `kinds`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use archive::{ArchiveWriter, EntryInfo, Facts, LargeSink, METADATA, Visitor, WriterOptions};
use contents::{FilesAtHand, Source};
use couchfile::read_at::ReadAt;
use outcome::report::Silent;
use outcome::{Failure, FailureKind};

fn place(path: impl AsRef<Path>) -> store::Place {
    path.as_ref().into()
}

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const DESCRIPTION: &[u8] = b"backup:\n  date: '2026-11-22T13:47:46Z'\n";

/// Files by path below the data directory: some small, some larger than what an archive keeps in one member.
fn files(seed: u8) -> BTreeMap<String, Vec<u8>> {
    let content = |len: usize| (0..len).map(|i| (i * 7 + i / 251) as u8 ^ seed).collect();
    [
        ("_dbs.couch", 5000),
        ("shards/00000000-7fffffff/a.1795355234.couch", 4096),
        ("shards/00000000-7fffffff/large.1795355234.couch", 5 << 20),
        ("shards/80000000-ffffffff/a.1795355234.couch", 0),
        ("shards/80000000-ffffffff/large.1795355234.couch", (3 << 20) + 17),
    ]
    .into_iter()
    .map(|(path, len)| (path.to_owned(), content(len)))
    .collect()
}

/// With a table of contents.
fn indexed(path: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result {
    let mut writer = ArchiveWriter::new(File::create(path)?, WriterOptions { level: 1, threads: 2 });
    writer.add_bytes(METADATA, 0, Facts::Metadata, DESCRIPTION)?;
    for (name, content) in files {
        writer.add_bytes(&format!("data/{name}"), 1, Facts::Other, content)?;
    }
    writer.finish(serde_json::json!({ "nodes": ["a@b"] }))?;
    Ok(())
}

/// As tar makes one, of a folder of another name.
fn sequential(path: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result {
    let out = flate2::write::GzEncoder::new(File::create(path)?, flate2::Compression::fast());
    let mut tar = tar::Builder::new(out);
    let mut add = |name: &str, content: &[u8]| -> Result {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content)?;
        Ok(())
    };
    add(METADATA, DESCRIPTION)?;
    for (name, content) in files {
        add(&format!("couchdb-data/{name}"), content)?;
    }
    tar.into_inner()?.finish()?;
    Ok(())
}

/// What writes a backup of these files to a path.
type Write = fn(&Path, &BTreeMap<String, Vec<u8>>) -> Result;

fn kinds() -> [(&'static str, Write); 2] {
    [("indexed", indexed), ("sequential", sequential)]
}

fn for_each_kind(check: impl Fn(&dyn Fn(u8) -> Result<PathBuf>) -> Result) -> Result {
    for (kind, write) in kinds() {
        let folder = tempfile::tempdir()?;
        let make = |seed: u8| -> Result<PathBuf> {
            let path = folder.path().join(format!("{kind}-{seed}.tar.gz"));
            write(&path, &files(seed))?;
            Ok(path)
        };
        check(&make).map_err(|e| format!("{kind}: {e}"))?;
    }
    Ok(())
}

/// Collects what it is given, by name.
#[derive(Default)]
struct Collector(Mutex<BTreeMap<String, Vec<u8>>>);

impl Visitor for Collector {
    fn small(&self, entry: &EntryInfo<'_>, content: &[u8]) -> outcome::Result<()> {
        self.0.lock().unwrap().insert(entry.name.to_owned(), content.to_vec());
        Ok(())
    }

    fn large<'a>(&'a self, entry: &EntryInfo<'_>) -> outcome::Result<Option<Box<dyn LargeSink + 'a>>> {
        let bytes = Mutex::new(vec![0; entry.size as usize]);
        Ok(Some(Box::new(Large { collector: self, name: entry.name.to_owned(), bytes })))
    }
}

struct Large<'c> {
    collector: &'c Collector,
    name: String,
    bytes: Mutex<Vec<u8>>,
}

impl LargeSink for Large<'_> {
    fn chunk(&self, offset: u64, bytes: &[u8]) -> outcome::Result<()> {
        self.bytes.lock().unwrap()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&self, _: &archive::Hash) -> outcome::Result<()> {
        let bytes = self.bytes.lock().unwrap().clone();
        self.collector.0.lock().unwrap().insert(self.name.clone(), bytes);
        Ok(())
    }
}

/// By path below the data directory, whatever that is called in the backup.
fn below_data(found: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let below = |name: String| name.split_once('/').map(|(_, path)| path.to_owned()).unwrap_or(name);
    found.into_iter().map(|(name, content)| (below(name), content)).collect()
}

fn visited(source: &dyn Source, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Result<BTreeMap<String, Vec<u8>>> {
    let collector = Collector::default();
    source.visit(2, wanted, &collector)?;
    Ok(below_data(collector.0.into_inner().unwrap()))
}

#[test]
fn a_visit_brings_every_file_once_and_whole() -> Result {
    for_each_kind(|make| {
        let source = contents::open(&place(make(0)?))?;
        let mut expected = files(0);
        expected.insert(METADATA.to_owned(), DESCRIPTION.to_vec());
        assert_eq!(visited(&*source, &|_| true)?, expected);
        let collector = Collector::default();
        source.verify(2, &collector)?;
        assert_eq!(below_data(collector.0.into_inner().unwrap()), expected);
        Ok(())
    })
}

#[test]
fn a_visit_brings_only_what_is_wanted() -> Result {
    for_each_kind(|make| {
        let source = contents::open(&place(make(0)?))?;
        let found = visited(&*source, &|name| name.ends_with("80000000-ffffffff/large.1795355234.couch"))?;
        let mut expected = files(0);
        expected.retain(|path, _| path == "shards/80000000-ffffffff/large.1795355234.couch");
        assert_eq!(found, expected);
        Ok(())
    })
}

#[test]
fn each_file_can_be_read_at_any_place() -> Result {
    for_each_kind(|make| {
        let at_hand = FilesAtHand::of(contents::open(&place(make(0)?))?, 2, &|_| true, &Silent)?;
        assert_eq!(at_hand.read(METADATA, 1 << 20)?.as_deref(), Some(DESCRIPTION));
        for (path, content) in files(0) {
            let file = at_hand.open(&path)?.ok_or("it is not there")?.content;
            assert_eq!(file.len(), content.len() as u64, "{path}");
            for (offset, len) in [(0, 10), (4000, 90), (1 << 20, 100_000), ((3 << 20) - 5, 22)] {
                if offset + len <= content.len() {
                    let mut piece = vec![0; len];
                    file.read_exact_at(&mut piece, offset as u64)?;
                    assert_eq!(piece, content[offset..offset + len], "{path} at {offset}");
                }
            }
            assert!(file.read_exact_at(&mut [0; 1], content.len() as u64).is_err());
        }
        assert!(at_hand.open("shards/00000000-7fffffff/other.1795355234.couch")?.is_none());
        Ok(())
    })
}

/// Large files that a visitor of `verify` leaves out can be verified while they are read, if files can be opened one by one.
#[test]
fn a_large_file_is_verified_while_it_is_read() -> Result {
    for_each_kind(|make| {
        let source = contents::open(&place(make(0)?))?;
        let Some(by_name) = source.files() else { return Ok(()) };
        for (path, content) in files(0).into_iter().filter(|(path, _)| path.contains("/large.")) {
            let name = format!("{}{path}", by_name.root());
            let file = by_name.open_to_verify(&name, &|_| {})?.ok_or("it is not there")?;
            let mut piece = vec![0; 100_000];
            file.read_exact_at(&mut piece, 1 << 20)?;
            assert_eq!(piece, content[1 << 20..][..piece.len()], "{path}");
            file.finish(2)?;
        }
        assert!(
            by_name.open_to_verify(&format!("{}_dbs.couch", by_name.root()), &|_| {})?.is_none(),
            "it is small"
        );
        assert!(by_name.open_to_verify("other", &|_| {})?.is_none());
        Ok(())
    })
}

#[test]
fn a_backup_is_known_again_and_told_from_others() -> Result {
    for_each_kind(|make| {
        let (one, other) = (make(0)?, make(1)?);
        let source = contents::open(&place(&one))?;
        assert_eq!(source.name(), one.display().to_string());
        assert_eq!(source.identity(), contents::open(&place(&one))?.identity());
        assert_ne!(source.identity(), contents::open(&place(&other))?.identity());
        Ok(())
    })
}

/// Ends the visit.
struct Refuses;

impl Visitor for Refuses {
    fn small(&self, _: &EntryInfo<'_>, _: &[u8]) -> outcome::Result<()> {
        Err(Failure::interrupted())
    }

    fn large<'a>(&'a self, _: &EntryInfo<'_>) -> outcome::Result<Option<Box<dyn LargeSink + 'a>>> {
        Err(Failure::interrupted())
    }
}

#[test]
fn a_visitors_failure_comes_back_as_it_is() -> Result {
    for_each_kind(|make| {
        let failure =
            contents::open(&place(make(0)?))?.visit(2, &|_| true, &Refuses).err().ok_or("it went on")?;
        assert_eq!(failure.kind(), FailureKind::Interrupted);
        Ok(())
    })
}

#[test]
fn a_cut_backup_fails() -> Result {
    for_each_kind(|make| {
        let path = make(0)?;
        let length = std::fs::metadata(&path)?.len();
        File::options().write(true).open(&path)?.set_len(length / 2)?;
        // Without its end, an archive with a table of contents is read as one without.
        let failed = contents::open(&place(&path))
            .and_then(|source| source.visit(2, &|_| true, &Collector::default()));
        assert_eq!(failed.err().map(|failure| failure.kind()), Some(FailureKind::Archive));
        Ok(())
    })
}

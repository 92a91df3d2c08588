//! Archives that others made: what is read, what is refused.
#![allow(missing_docs)]

mod common;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use archive::{Archive, ArchiveError, SMALL_ENTRY_LIMIT, SequentialArchive, open};
use common::{Collector, Contents, bytes, sequential, streamed};

/// A header block as any program may write it, with a valid checksum.
fn header(name: &[u8], kind: u8, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000001\0");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    sealed(block)
}

fn sealed(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut padded = content.to_vec();
    padded.resize(content.len().next_multiple_of(512), 0);
    padded
}

fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    [header(name.as_bytes(), kind, content.len() as u64).as_slice(), &padded(content)].concat()
}

fn file(name: &str) -> Vec<u8> {
    entry(name, b'0', b"content")
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut content = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length += 1;
        }
        writeln!(content, "{length} {key}={value}").unwrap();
    }
    entry("pax", b'x', &content)
}

fn tar(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = parts.concat();
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn refused(parts: &[Vec<u8>], name: &str, reason: &str) {
    let error = streamed(&gzip(&tar(parts))).unwrap_err();
    let ArchiveError::RefusedEntry { name: told, reason: why, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(told, name, "{error}");
    assert!(why.contains(reason), "{error}");
}

#[test]
fn what_is_no_file_is_refused() {
    for (kind, reason) in [
        (b'1', "hard link"),
        (b'2', "symbolic link"),
        (b'3', "device"),
        (b'4', "device"),
        (b'6', "pipe"),
        (b'7', "neither"),
        (b'S', "sparse"),
        (b'D', "neither"),
        (b'V', "neither"),
        (b'?', "neither"),
    ] {
        refused(&[file("a"), entry("bad", kind, b"")], "bad", reason);
    }
    refused(&[pax(&[("GNU.sparse.major", "1")]), file("bad")], "bad", "sparse");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, reason) in [
        ("/etc/passwd", "absolute"),
        ("..", "'..'"),
        ("../a", "'..'"),
        ("data/../a", "'..'"),
        ("data//a", "empty"),
        ("data/./a", "'.'"),
        (".//a", "absolute"),
    ] {
        refused(&[file(name)], name, reason);
        refused(&[pax(&[("path", name)]), file("good")], name, reason);
        refused(&[entry("long", b'L', name.as_bytes()), file("good")], name, reason);
    }
    refused(&[pax(&[("path", "a\0b")]), file("good")], "a\0b", "NUL");
    refused(&[pax(&[("path", "")]), file("good")], "", "empty");
    refused(&[file("")], "", "empty");
    let long = "a".repeat(5000);
    let error = streamed(&gzip(&tar(&[entry("long", b'L', long.as_bytes()), file("good")]))).unwrap_err();
    assert!(error.to_string().contains("longer than 4096"), "{error}");
}

#[test]
fn names_that_are_not_utf_8_are_refused() {
    let bad = [header(b"a\xff", b'0', 0).to_vec()];
    refused(&bad, "a\u{fffd}", "UTF-8");
}

#[test]
fn names_come_once_and_are_file_or_folder() {
    let error = streamed(&tar(&[file("a"), file("b"), file("./a")])).unwrap_err();
    assert!(matches!(&error, ArchiveError::DuplicateEntry { name, .. } if name == "a"), "{error}");
    refused(&[file("a"), file("a/b")], "a/b", "\"a\" is a file");
    refused(&[file("a"), entry("a/", b'5', b"")], "a", "\"a\" is a file");
    refused(&[file("a/b"), file("a")], "a", "folder");
    refused(&[entry("a/", b'5', b""), file("a")], "a", "folder");
}

#[test]
fn absurd_sizes_are_refused_and_claims_not_believed() {
    let mut block = header(b"big", b'0', 0);
    block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    refused(&[sealed(block).to_vec()], "big", "absurd size");
    block[124..136].fill(0xff);
    refused(&[sealed(block).to_vec()], "big", "not a number");
    block[124] = 0x8f;
    refused(&[sealed(block).to_vec()], "big", "absurd size");
    refused(&[pax(&[("size", "2305843009213693952")]), file("big")], "big", "absurd size");
    refused(&[entry("dir/", b'5', b"xy")], "dir/", "folder with content");
    // Just below what is absurd: what is not there is not waited or allocated for.
    block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x0f, 0, 0, 0, 0, 0, 0, 0]);
    let error = streamed(&gzip(&tar(&[sealed(block).to_vec()]))).unwrap_err();
    assert!(matches!(error, ArchiveError::Truncated { .. }), "{error}");
    for kind in [b'L', b'K', b'x', b'g'] {
        refused(&[header(b"record", kind, 65_537).to_vec()], "record", "absurd length");
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let mut bad = tar(&[file("a"), file("b")]);
    bad[1024 + 10] = 1;
    let error = streamed(&bad).unwrap_err();
    assert!(matches!(&error, ArchiveError::DamagedTar { offset: 1024, .. }), "{error}");
    assert!(error.to_string().contains("after \"a\""), "{error}");

    let mut single = tar(&[file("a")]);
    single[1024 + 512] = 1;
    let error = streamed(&single).unwrap_err();
    assert!(error.to_string().contains("single block of zeros"), "{error}");

    let mut garbage = tar(&[file("a")]);
    garbage.extend([vec![0; 5000], vec![1; 600]].concat());
    let error = streamed(&garbage).unwrap_err();
    assert!(error.to_string().contains("after the end of the tar stream"), "{error}");

    refused(&[entry("g", b'g', b"10 path=a\n"), file("x")], "g", "all further entries");
    let error = streamed(&tar(&[entry("x", b'x', b"10 nothing"), file("x")])).unwrap_err();
    assert!(error.to_string().contains("PAX header is damaged"), "{error}");
}

#[test]
fn a_missing_end_is_a_cut() {
    let whole = tar(&[file("a"), file("b")]);
    for cut in [1, 511, 512, 513, 1024, 1536, 2048, 2560, whole.len() - 1] {
        let error = streamed(&gzip(&whole[..cut])).unwrap_err();
        assert!(matches!(error, ArchiveError::Truncated { .. }), "cut at {cut}: {error}");
    }
    let compressed = gzip(&whole);
    for cut in 0..compressed.len() {
        let error = streamed(&compressed[..cut]).unwrap_err();
        assert!(matches!(error, ArchiveError::Truncated { .. }), "cut at {cut}: {error}");
    }
}

#[test]
fn what_other_programs_write_is_read() {
    let long = format!("./data/{}/x", "l".repeat(150));
    let zeros = vec![0; 9000];
    let parts = [
        entry("./", b'5', b""),
        entry("g", b'g', b"13 comment=x\n"),
        entry("./data/", b'5', b""),
        file("./data/a"),
        entry("old/", b'\0', b""),
        entry("data/b", b'\0', b"old"),
        pax(&[("path", "data/p"), ("mtime", "12.5"), ("SCHILY.xattr.user.x", "y"), ("size", "3")]),
        [header(b"short", b'0', 0).as_slice(), &padded(b"pax")].concat(),
        entry("././@LongLink", b'L', format!("{long}\0").as_bytes()),
        file("cut"),
        zeros,
    ];
    let contents = streamed(&gzip(&tar(&parts))).unwrap();
    let expected: Contents = [
        ("data/a".to_owned(), b"content".to_vec()),
        ("data/b".to_owned(), b"old".to_vec()),
        ("data/p".to_owned(), b"pax".to_vec()),
        (long[2..].to_owned(), b"content".to_vec()),
    ]
    .into();
    assert_eq!(contents, expected);
}

#[test]
fn large_files_come_in_pieces() {
    let limit = SMALL_ENTRY_LIMIT as usize;
    let parts = [
        entry("at", b'0', &bytes(1, limit)),
        entry("over", b'0', &bytes(2, limit + 1)),
        entry("more", b'0', &bytes(3, 3 * limit + 77)),
    ];
    let contents = streamed(&gzip(&tar(&parts))).unwrap();
    assert_eq!(contents["at"], bytes(1, limit));
    assert_eq!(contents["over"], bytes(2, limit + 1));
    assert_eq!(contents["more"], bytes(3, 3 * limit + 77));
}

#[test]
fn couchcopys_own_archives_are_read() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data"));
    for name in ["couchcopy-0.2.4.tar.gz", "single-node.tar.gz", "four-nodes-n2.tar.gz"] {
        let path = folder.join(name);
        let Archive::Sequential(archive) = open(&path).unwrap() else { panic!("{name}") };
        let collector = Collector::default();
        let summary = archive.visit(2, &collector).unwrap();
        assert!(summary.folders > 0 && !summary.manifest_verified);
        let contents = collector.contents.into_inner().unwrap();
        assert_eq!(summary.files, contents.len() as u64);
        let listed = Command::new("tar").arg("tzf").arg(&path).output().unwrap();
        let mut expected: Vec<_> = String::from_utf8(listed.stdout)
            .unwrap()
            .lines()
            .filter(|name| !name.ends_with('/'))
            .map(|name| name.trim_start_matches("./").to_owned())
            .collect();
        expected.sort();
        assert!(contents.keys().eq(&expected), "{name}");
    }
}

#[test]
fn what_is_no_archive_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    assert!(matches!(open(&path), Err(ArchiveError::Io { .. })));
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(open(&path), Err(ArchiveError::Truncated { .. })));
    std::fs::write(&path, b"hello").unwrap();
    assert!(matches!(open(&path), Err(ArchiveError::NotGzip { .. })));
    std::fs::write(&path, tar(&[file("a")])).unwrap();
    assert!(matches!(open(&path), Ok(Archive::Sequential(_))));
}

#[test]
fn a_stream_is_read_once() {
    let tar = gzip(&tar(&[file("a")]));
    let archive = SequentialArchive::from_reader(Box::new(std::io::Cursor::new(tar.clone())), "a pipe");
    assert_eq!(archive.visit(1, &Collector::default()).unwrap().files, 1);
    let error = archive.visit(1, &Collector::default()).unwrap_err();
    assert!(error.to_string().contains("only once"), "{error}");
    assert_eq!(sequential(&tar).visit(1, &Collector::default()).unwrap().files, 1);
}

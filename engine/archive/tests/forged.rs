//! Tables of contents and manifests that lie, with every checksum right.
#![allow(missing_docs)]

mod common;

use std::sync::Arc;

use archive::{ArchiveError, FOOTER_LENGTH, IndexedArchive};
use common::{Collector, indexed, sample, write};
use libdeflater::{CompressionLvl, Compressor};
use serde_json::{Value, json};

const CHUNK: usize = 2048;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::fastest());
    let mut member = vec![0; compressor.gzip_compress_bound(content.len())];
    let length = compressor.gzip_compress(content, &mut member).unwrap();
    member.truncate(length);
    member
}

fn tar_header(name: &str, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[148..156].fill(b' ');
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar  \0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn footer(version: u8, offset: u64, length: u64) -> Vec<u8> {
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 34, 0, b'C', b'C', 30, 0];
    footer.extend_from_slice(b"couchcopy");
    footer.push(version);
    footer.extend_from_slice(&offset.to_le_bytes());
    footer.extend_from_slice(&length.to_le_bytes());
    let checksum = libdeflater::crc32(&footer[16..]);
    footer.extend_from_slice(&checksum.to_le_bytes());
    footer.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    footer
}

/// The archive with an edited manifest, in one block, and an edited table of contents.
fn forge(archive: &[u8], edit_lines: impl Fn(&mut Vec<Value>), edit_toc: impl Fn(&mut Value)) -> Vec<u8> {
    let original = indexed(archive);
    let mut lines: Vec<Value> =
        original.entries().map(|entry| serde_json::to_value(entry.unwrap()).unwrap()).collect();
    edit_lines(&mut lines);
    let manifest: String = lines.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect();
    let sum = lines.iter().filter_map(|line| line["size"].as_u64()).fold(0_u64, u64::wrapping_add);

    let mut out = archive[..original.toc().data_end as usize].to_vec();
    out.extend(gzip(&tar_header("couchcopy-manifest.jsonl", manifest.len())));
    let (offset, member) = (out.len(), gzip(manifest.as_bytes()));
    out.extend(&member);
    let padding = manifest.len().next_multiple_of(512) - manifest.len();
    if padding > 0 {
        out.extend(gzip(&vec![0; padding]));
    }
    let mut toc = json!({
        "format": "couchcopy-archive", "version": 1, "chunk_size": CHUNK, "entries": lines.len(), "bytes": sum,
        "data_end": original.toc().data_end,
        "manifest": [{"first": lines.first().map_or("", |line| line["name"].as_str().unwrap()), "offset": offset,
                      "length": member.len(), "size": manifest.len()}],
        "manifest_blake3": blake3::hash(manifest.as_bytes()).to_hex().as_str(), "summary": null,
    });
    edit_toc(&mut toc);
    let toc = toc.to_string();
    let mut content = tar_header("couchcopy-toc.json", toc.len());
    content.extend_from_slice(toc.as_bytes());
    content.resize(content.len().next_multiple_of(512) + 1024, 0);
    let (offset, member) = (out.len(), gzip(&content));
    out.extend(&member);
    out.extend(footer(1, offset as u64, member.len() as u64));
    out
}

fn read_all(archive: Vec<u8>) -> archive::Result<usize> {
    let source = Arc::new(archive);
    let Some(archive) = IndexedArchive::from_source(source, "forged.tar.gz")? else { panic!("no footer") };
    // Of a name alone not every lie can be seen, but none does harm.
    for name in sample(CHUNK).keys() {
        let _ = archive.open(name);
    }
    for entry in archive.entries() {
        archive.read(&entry?, 1 << 20)?;
    }
    let collector = Collector::default();
    archive.verify(2, &collector)?;
    Ok(collector.contents.into_inner().unwrap().len())
}

fn original() -> Vec<u8> {
    write(&sample(CHUNK), 2, 1, CHUNK)
}

fn position(lines: &[Value], part: &str) -> usize {
    lines.iter().position(|line| line["name"].as_str().unwrap().contains(part)).unwrap()
}

#[test]
fn an_honest_forgery_is_taken() {
    assert_eq!(read_all(forge(&original(), |_| {}, |_| {})).unwrap(), sample(CHUNK).len());
}

#[test]
fn manifests_that_lie_are_found_out() {
    type Edit = fn(&mut Vec<Value>);
    let edits: [(&str, Edit); 22] = [
        ("a line less", |lines| drop(lines.remove(5))),
        ("a line less at the end", |lines| drop(lines.pop())),
        ("a line twice", |lines| lines.insert(5, lines[5].clone())),
        ("two lines swapped", |lines| lines.swap(5, 6)),
        ("no metadata", |lines| drop(lines.remove(0))),
        ("metadata twice", |lines| lines.push(lines[0].clone())),
        ("another name", |lines| lines[5]["name"] = json!("data/shards/00000000-ffffffff/l")),
        ("a name that leads elsewhere", |lines| lines[5]["name"] = json!("data/shards/../../etc/passwd")),
        ("an absolute name", |lines| lines[5]["name"] = json!("/etc/passwd")),
        ("a foreign name", |lines| lines[5]["name"] = json!("data/other")),
        ("another size", |lines| lines[5]["size"] = json!(3)),
        ("an absurd size", |lines| lines[5]["size"] = json!(u64::MAX)),
        ("another hash", |lines| lines[5]["blake3"] = json!("00".repeat(32))),
        ("no hash", |lines| lines[5]["blake3"] = json!("xyz")),
        ("a member beyond the data", |lines| {
            let at = position(lines, "small00");
            lines[at]["at"]["member"] = json!(u64::MAX - 5);
        }),
        ("a member of absurd length", |lines| {
            let at = position(lines, "small00");
            lines[at]["at"]["length"] = json!(u64::MAX);
        }),
        ("content beyond its member", |lines| {
            let at = position(lines, "small00");
            lines[at]["at"]["skip"] = json!(u64::MAX - 100);
        }),
        ("content elsewhere", |lines| {
            let at = position(lines, "small01");
            lines[at]["at"]["skip"] = json!(lines[at]["at"]["skip"].as_u64().unwrap() + 512);
        }),
        ("a chunk less", |lines| {
            let at = position(lines, "sized10");
            lines[at]["at"]["chunks"].as_array_mut().unwrap().pop();
        }),
        ("an absurd chunk", |lines| {
            let at = position(lines, "sized10");
            lines[at]["at"]["chunks"][1] = json!(u32::MAX);
        }),
        ("chunks elsewhere", |lines| {
            let at = position(lines, "sized10");
            lines[at]["at"]["start"] = json!(0);
        }),
        ("another place for a small entry", |lines| {
            lines[3]["at"] = json!({"start": 0, "header": 100, "chunks": [50]});
        }),
    ];
    let archive = original();
    for (what, edit) in edits {
        let result = read_all(forge(&archive, edit, |_| {}));
        assert!(result.is_err(), "{what}");
    }
}

#[test]
fn tables_of_contents_that_lie_are_found_out() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 16] = [
        ("another format", |toc| toc["format"] = json!("zip")),
        ("another version", |toc| toc["version"] = json!(2)),
        ("another chunk size", |toc| toc["chunk_size"] = json!(4096)),
        ("an impossible chunk size", |toc| toc["chunk_size"] = json!(0)),
        ("an absurd chunk size", |toc| toc["chunk_size"] = json!(1_u64 << 63)),
        ("another count", |toc| toc["entries"] = json!(1)),
        ("another sum", |toc| toc["bytes"] = json!(1)),
        ("data that ends earlier", |toc| toc["data_end"] = json!(100)),
        ("data that ends nowhere", |toc| toc["data_end"] = json!(u64::MAX)),
        ("a block elsewhere", |toc| toc["manifest"][0]["offset"] = json!(0)),
        ("a block nowhere", |toc| toc["manifest"][0]["offset"] = json!(u64::MAX)),
        ("a block of absurd length", |toc| toc["manifest"][0]["length"] = json!(u64::MAX)),
        ("a block of absurd size", |toc| toc["manifest"][0]["size"] = json!(u64::MAX)),
        ("a block that cannot be so large", |toc| toc["manifest"][0]["size"] = json!(79_u64 << 20)),
        ("another first name", |toc| toc["manifest"][0]["first"] = json!("a")),
        ("another hash", |toc| toc["manifest_blake3"] = json!("")),
    ];
    let archive = original();
    for (what, edit) in edits {
        let result = read_all(forge(&archive, |_| {}, edit));
        assert!(
            matches!(result, Err(ArchiveError::Inconsistent { .. } | ArchiveError::DamagedMember { .. })),
            "{what}: {result:?}"
        );
    }
}

#[test]
fn footers_that_lie_are_found_out() {
    let archive = original();
    let end = archive.len() - FOOTER_LENGTH;
    for (offset, length) in
        [(0, 0), (0, end as u64), (u64::MAX, 1), (u64::MAX, u64::MAX), (end as u64, 0), (end as u64 - 5, 5)]
    {
        let forged = [&archive[..end], &footer(1, offset, length)].concat();
        assert!(read_all(forged).is_err(), "{offset} {length}");
    }
    let newer = [&archive[..end], &footer(2, 0, 0)].concat();
    let error = read_all(newer).unwrap_err();
    assert!(matches!(error, ArchiveError::NewerVersion { version: 2, .. }), "{error}");
    assert!(error.to_string().contains("use a newer couchcopy"), "{error}");
}

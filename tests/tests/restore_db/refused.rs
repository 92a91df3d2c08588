//! Documents that a CouchDB does not take: they are reported, and all others come back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use couchcopy_tests::{Result, random};
use serde_json::{Value, json};

use super::arena::Arena;

/// How long a restore may take that is not stuck.
const SOON: Duration = Duration::from_secs(60);

/// Documents with attachments of these sizes, and small ones.
fn fill(arena: &Arena, sizes: &[usize]) -> Result<PathBuf> {
    let http = arena.http();
    http.put("/source", &Value::Null)?;
    let docs: Vec<Value> = (0..1000).map(|i| json!({"_id": format!("d{i}"), "v": "x".repeat(300)})).collect();
    http.post("/source/_bulk_docs", &json!({"docs": docs}))?;
    for size in sizes {
        let data = BASE64_STANDARD.encode(random::bytes(*size as u64, *size));
        let attachment = json!({"a": {"content_type": "application/octet-stream", "data": data}});
        http.put(&format!("/source/size-{size}"), &json!({"_attachments": attachment}))?;
    }
    arena.back_up()
}

fn configure(arena: &Arena, section: &str, key: &str, value: &str) -> Result<()> {
    arena.http().put(&format!("/_node/_local/_config/{section}/{key}"), &json!(value)).map(|_| ())
}

/// Restores; just these sizes are refused, and soon.
fn check(arena: &Arena, archive: &std::path::Path, name: &str, sizes: &[usize], reason: &str) -> Result<()> {
    let begun = Instant::now();
    let code = if sizes.is_empty() { 0 } else { 3 };
    let told = arena.json(code, archive, &[&format!("--db=source={name}")])?;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let refused = told["databases"][0]["refused"].as_array().ok_or("no list")?;
    let mut ids: Vec<&str> = refused.iter().filter_map(|refused| refused["id"].as_str()).collect();
    ids.sort_unstable();
    let mut wanted: Vec<String> = sizes.iter().map(|size| format!("size-{size}")).collect();
    wanted.sort_unstable();
    assert_eq!(ids, wanted, "{told}");
    for refused in refused {
        assert!(refused["reason"].as_str().is_some_and(|text| text.contains(reason)), "{refused}");
    }
    let all = arena.http().get("/source")?["doc_count"].as_u64().ok_or("no count")?;
    assert_eq!(arena.http().get(&format!("/{name}"))?["doc_count"], all - sizes.len() as u64);
    Ok(())
}

#[test]
fn what_is_larger_than_a_request_may_be() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let archive = fill(&arena, &[100_000, 1_000_000, 2_000_000, 6_000_000])?;
    configure(&arena, "chttpd", "max_http_request_size", "1500000")?;
    check(&arena, &archive, "a", &[2_000_000, 6_000_000], "large")?;
    // Requests with many documents are made smaller.
    configure(&arena, "chttpd", "max_http_request_size", "50000")?;
    check(&arena, &archive, "b", &[100_000, 1_000_000, 2_000_000, 6_000_000], "large")?;
    configure(&arena, "chttpd", "max_http_request_size", "4294967296")?;
    // The same command brings what was refused when the reason is gone.
    let told = arena.json(0, &archive, &["--db=source=a"])?;
    assert_eq!(told["databases"][0]["revisions"], 2, "{told}");
    check(&arena, &archive, "c", &[], "")
}

#[test]
fn what_is_larger_than_an_attachment_may_be() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let archive = fill(&arena, &[100_000, 900_000, 2_000_000, 6_000_000])?;
    configure(&arena, "couchdb", "max_attachment_size", "1000000")?;
    check(&arena, &archive, "a", &[2_000_000, 6_000_000], "large")?;
    configure(&arena, "couchdb", "max_attachment_size", "90000")?;
    check(&arena, &archive, "b", &[100_000, 900_000, 2_000_000, 6_000_000], "large")
}

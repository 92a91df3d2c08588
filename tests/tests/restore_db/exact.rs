//! Values as CouchDB has them: nested deep, integers beyond 64 bits, a zero with a minus; attachments uploaded gzipped.

use std::io::Write;

use base64::prelude::{BASE64_STANDARD, Engine};
use couchcopy_tests::Result;
use couchcopy_tests::lab::{Ended, binary, run};
use serde_json::{Value, json};

use super::arena::Arena;

/// A value as text: nested so deep, with numbers that 64 bits do not hold.
fn value(levels: usize) -> String {
    let numbers =
        "18446744073709551616,-123456789012345678901234567890,-0.0,1e-7,1.0e21,0.1,9007199254740993";
    format!("{}{numbers}{}", "[".repeat(levels), "]".repeat(levels))
}

fn bytes(arguments: &[&str]) -> Result<(Option<i32>, Vec<u8>)> {
    let output = std::process::Command::new(binary()?).args(arguments).output()?;
    Ok((output.status.code(), output.stdout))
}

fn couchcopy(arguments: &[&str]) -> Result<Ended> {
    run(std::process::Command::new(binary()?).args(arguments))
}

#[test]
fn values_of_any_depth_and_size_stay_what_they_are() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let http = arena.http();
    http.put("/source", &Value::Null)?;
    for (id, levels) in [("a", 1), ("b", 130), ("c", 20_000)] {
        http.put_text(&format!("/source/{id}"), &format!("{{\"is\":\"{id}\",\"v\":{}}}", value(levels)))?;
    }
    http.put_text("/source/_local/l", &format!("{{\"v\":{}}}", value(140)))?;
    http.put_text(
        "/source/_security",
        &format!("{{\"admins\":{{\"roles\":[\"_admin\"]}},\"x\":{}}}", value(150)),
    )?;
    let archive = arena.back_up()?;
    let archive_text = archive.to_str().ok_or("no text")?;
    let paths = ["a?revs=true", "b?revs=true", "c?revs=true", "_security"];

    // In another database.
    arena.restore(&archive, &["--local", "--db=source=target"])?.success()?;
    for path in paths {
        assert_eq!(http.text(&format!("/target/{path}"))?, http.text(&format!("/source/{path}"))?, "{path}");
    }
    let local = |db: &str| http.text(&format!("/{db}/_local/l"));
    assert_eq!(local("target")?, local("source")?);

    // In what commands print.
    let ids = ["a", "b", "c"];
    let said: Vec<String> =
        ids.iter().map(|id| http.text(&format!("/source/{id}"))).collect::<Result<_>>()?;
    for (id, said) in ids.iter().zip(&said) {
        assert_eq!(couchcopy(&["get", archive_text, "source", id])?.success()?, *said, "{id}");
    }
    assert_eq!(couchcopy(&["get", archive_text, "source", "_local/l"])?.success()?, local("source")?);
    assert_eq!(couchcopy(&["dump", archive_text, "source"])?.success()?, said.concat());
    assert_eq!(couchcopy(&["verify", archive_text])?.code, Some(0));
    Ok(())
}

#[test]
fn attachments_uploaded_gzipped_are_given_as_couchdb_gives_them() -> Result<()> {
    let Some(arena) = Arena::new(1, 2, 1)? else { return Ok(()) };
    let http = arena.http();
    http.put("/source", &Value::Null)?;
    let gzip = |content: &[u8]| -> Result<Vec<u8>> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content)?;
        Ok(encoder.finish()?)
    };
    let plain = "hello gzip ".repeat(5000).into_bytes();
    let headers = [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")];
    for (id, content) in [
        ("plain", gzip(&plain)?),
        ("two", [gzip(b"first")?, gzip(b"second")?].concat()),
        ("odd", b"this is not gzip".to_vec()),
    ] {
        let (status, _, answer) = http.bytes("PUT", &format!("/source/{id}/a.txt"), &headers, &content)?;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
    }
    let archive = arena.back_up()?;
    let archive_text = archive.to_str().ok_or("no text")?;
    let get = |id: &str| bytes(&["get", archive_text, "source", id, "--attachment", "a.txt"]);
    assert_eq!(get("plain")?, (Some(0), plain.clone()));
    assert_eq!(get("odd")?, (Some(0), b"this is not gzip".to_vec()));
    let (status, _, first) = http.bytes("GET", "/source/two/a.txt", &[], b"")?;
    assert_eq!((status, get("two")?), (200, (Some(0), first)));

    let dumped = couchcopy(&["dump", archive_text, "source", "--attachments"])?;
    // CouchDB cannot give the content of the odd one either.
    assert_eq!(http.ask("GET", "/source/odd?attachments=true", None)?.status, 500);
    assert_eq!(dumped.code, Some(3), "{dumped:?}");
    let documents: Vec<Value> = dumped.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(documents.len(), 2, "{dumped:?}");
    for document in documents {
        let said =
            http.get(&format!("/source/{}?attachments=true", document["_id"].as_str().ok_or("no id")?))?;
        assert_eq!(document, said);
        if document["_id"] == "plain" {
            assert_eq!(document["_attachments"]["a.txt"]["data"], json!(BASE64_STANDARD.encode(&plain)));
        }
    }
    // And all of them come back as they are stored.
    arena.restore(&archive, &["--db=source=target"])?.success()?;
    let path = |db: &str, id: &str| format!("/{db}/{id}/a.txt");
    for id in ["plain", "two", "odd"] {
        let stored = |db: &str| http.bytes("GET", &path(db, id), &[("Accept-Encoding", "gzip")], b"");
        assert_eq!(stored("source")?.2, stored("target")?.2, "{id}");
    }
    Ok(())
}

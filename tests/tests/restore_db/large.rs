//! Attachments of every size and kind, documents of every shape, little memory.

use couchcopy_tests::lab::encode;
use couchcopy_tests::{Result, random};
use serde_json::{Value, json};

use super::arena::{Arena, renamed, within_memory};

/// Uploads an attachment, as a client that streams would.
fn attach(arena: &Arena, path: &str, content_type: &str, bytes: &[u8]) -> Result<()> {
    let file = arena.path("attachment");
    std::fs::write(&file, bytes)?;
    let rev = arena.http().get(path.rsplit_once('/').ok_or("no name")?.0)?["_rev"].clone();
    let url = format!("{}{path}?rev={}", arena.cluster.nodes[0].url(), rev.as_str().unwrap_or_default());
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut answer = agent
        .put(&url)
        .header("Authorization", "Basic YWRtaW46cGFzc3dvcmQ=")
        .header("Content-Type", content_type)
        .send(std::fs::File::open(&file)?)?;
    let status = answer.status().as_u16();
    assert!((200..300).contains(&status), "{status}: {}", answer.body_mut().read_to_string()?);
    Ok(())
}

fn fill(arena: &Arena) -> Result<()> {
    let http = arena.http();
    let odd = format!("/{}", encode("odd_$(name)+and/slash-"));
    http.put(&format!("{odd}?q=2"), &Value::Null)?;
    let docs = ["large", "_design/with", "with/slash+und%20ümlaut ☃", "many"];
    for id in docs {
        let path = match id.strip_prefix("_design/") {
            Some(name) => format!("{odd}/_design/{}", encode(name)),
            None => format!("{odd}/{}", encode(id)),
        };
        http.put(&path, &json!({"text": "\u{0}\u{1f} \u{2028} \"\\/ 𝄞", "n": [1, 1.5, -0.0, 1e300, 12_345_678_901_234_567_890_u64]}))?;
        let text = "a line of text\n".repeat(2000);
        attach(arena, &format!("{path}/{}", encode("text/plain ☃")), "text/plain", text.as_bytes())?;
        attach(arena, &format!("{path}/empty"), "application/octet-stream", b"")?;
        attach(arena, &format!("{path}/empty.txt"), "text/plain", b"")?;
        attach(arena, &format!("{path}/small"), "image/png", &random::bytes(1, 1000))?;
        attach(
            arena,
            &format!("{path}/{}", encode("with \"quotes\"\r\n--")),
            "image/png",
            &random::bytes(2, 100_000),
        )?;
    }
    attach(arena, &format!("{odd}/large/bytes"), "application/octet-stream", &random::bytes(3, 24 << 20))?;
    let mut text = random::bytes(4, 22 << 20);
    for byte in &mut text {
        *byte = b'a' + *byte % 16;
    }
    attach(arena, &format!("{odd}/large/text"), "text/plain", &text)?;
    attach(arena, &format!("{odd}/large/last-is-empty"), "application/octet-stream", b"")?;
    for i in 0..40 {
        attach(arena, &format!("{odd}/many/{i}"), "image/png", &random::bytes(i, 7000))?;
    }
    // Identity and nothing in it, and nothing else: what goes alone has to come to an end.
    http.put(&format!("{odd}/only-empty"), &json!({}))?;
    attach(arena, &format!("{odd}/only-empty/empty"), "application/octet-stream", b"")?;
    http.put(&format!("{odd}/gzip-of-nothing"), &json!({}))?;
    attach(arena, &format!("{odd}/gzip-of-nothing/empty.txt"), "text/plain", b"")?;
    // Conflicts with different attachments, one of them deleted.
    let branch = |rev: &str, more: Value| {
        let mut doc = json!({"_id": "branches", "_rev": format!("2-{rev}"), "_revisions": {"start": 2, "ids": [rev, "aa"]}});
        for (key, value) in more.as_object().into_iter().flatten() {
            doc[key] = value.clone();
        }
        doc
    };
    let docs = json!([
        branch("bb", json!({"_attachments": {"a": {"content_type": "text/plain", "data": "aGVsbG8g"}}})),
        branch("cc", json!({"_attachments": {"a": {"content_type": "image/png", "data": "aGVsbG8g"}}})),
        branch("0123456789abcdef0123456789abcdef", json!({"_deleted": true, "why": "gone"})),
        {"_id": "branches", "_rev": "5-notahash", "_revisions": {"start": 5, "ids": ["notahash", "x"]}, "v": 5},
    ]);
    http.post(&format!("{odd}/_bulk_docs"), &json!({"docs": docs, "new_edits": false}))?;
    // More ancestors than a new database remembers.
    let ids: Vec<String> = (0..1500).rev().map(|i| format!("{i:032x}")).collect();
    let deep =
        json!({"_id": "deep", "_rev": format!("1500-{}", ids[0]), "_revisions": {"start": 1500, "ids": ids}});
    http.put(&format!("{odd}/_revs_limit"), &json!(2000))?;
    http.post(&format!("{odd}/_bulk_docs"), &json!({"docs": [deep], "new_edits": false}))?;
    http.put(&format!("{odd}/_revs_limit"), &json!(1800))?;
    Ok(())
}

#[test]
fn attachments_and_revisions_of_every_kind_in_little_memory() -> Result<()> {
    let Some(arena) = Arena::new(2, 2, 2)? else { return Ok(()) };
    fill(&arena)?;
    let name = "odd_$(name)+and/slash-";
    let oracle = arena.read(&[name])?;
    let deep = &oracle[name]["docs"]["deep"][0]["_revisions"]["ids"];
    assert_eq!(deep.as_array().map(Vec::len), Some(1500));
    arena.cluster.wait_until_synchronised()?;
    let archive = arena.back_up()?;
    within_memory(&mut arena.command(&archive, &[&format!("--db={name}=copy/of+it")])?)?;
    arena.check(&renamed(&oracle, [(name, "copy/of+it")])?)
}

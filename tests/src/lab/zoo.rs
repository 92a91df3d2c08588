//! Databases that hold one of every kind of thing.

use serde_json::{Value, json};

use super::http::{Http, encode};
use crate::{Result, random};

/// Makes the databases and builds their view indexes.
pub fn fill(http: &Http) -> Result<()> {
    let null = Value::Null;
    let db = |name: &str, options: &str| -> Result<String> {
        let path = format!("/{}", encode(name));
        http.put(&format!("{path}{options}"), &null)?;
        Ok(path)
    };
    let bulk = |db: &str, docs: Vec<Value>| http.post(&format!("{db}/_bulk_docs"), &json!({"docs": docs}));

    let plain = db("plain", "")?;
    let text = "é☃ ";
    let doc = |i: usize| json!({"_id": format!("doc-{i:05}"), "n": i, "text": text.repeat(i % 50), "f": i as f64 / 7.0});
    bulk(&plain, (0..1000).map(doc).collect())?;
    db("empty", "")?;
    let odd = db("name_with-all$(chars)+and/slash", "")?;
    http.put(&format!("{odd}/a%2Fb"), &json!({"slash": true}))?;
    http.put(&format!("{odd}/%E2%98%83"), &json!({"snow": "man"}))?;
    let q8 = db("q8", "?q=8")?;
    bulk(&q8, (0..400).map(|i| json!({"_id": i.to_string(), "v": "x".repeat(100)})).collect())?;
    let one = db("q1n1", "?q=1&n=1")?;
    http.put(&format!("{one}/only"), &json!({"copies": 1}))?;
    let parts = db("parts", "?partitioned=true")?;
    bulk(&parts, (0..300).map(|i| json!({"_id": format!("p{}:{i}", i % 5), "v": i})).collect())?;
    revisions(http, &db("conflicts", "")?, &db("deleted", "")?)?;
    attachments(http, &db("atts", "")?)?;
    indexes(http, &db("views", "")?)?;
    let secure = db("secure", "")?;
    let security = json!({
        "admins": {"names": ["bob"], "roles": []},
        "members": {"names": ["alice"], "roles": ["staff"]},
    });
    http.put(&format!("{secure}/_security"), &security)?;
    http.put(&format!("{secure}/secret"), &json!({"v": 42}))?;
    let locals = db("locals", "")?;
    http.put(&format!("{locals}/_local/checkpoint"), &json!({"seq": 12}))?;
    http.put(&format!("{locals}/x"), &json!({"v": 1}))?;
    let limited = db("revslimit", "")?;
    http.put(&format!("{limited}/_revs_limit"), &json!(5))?;
    let mut rev = String::new();
    for i in 0..20 {
        let written = http.put(&format!("{limited}/r{rev}"), &json!({"i": i}))?;
        rev = format!("?rev={}", written["rev"].as_str().unwrap_or_default());
    }
    let purged = db("purged", "")?;
    let written = bulk(&purged, (0..50).map(|i| json!({"_id": format!("p{i}")})).collect())?;
    let mut purges = json!({});
    for doc in written.as_array().into_iter().flatten().take(20) {
        purges[doc["id"].as_str().unwrap_or_default()] = json!([doc["rev"]]);
    }
    http.post(&format!("{purged}/_purge"), &purges)?;
    let alice = json!({"name": "alice", "password": "s3cret", "roles": ["staff"], "type": "user"});
    http.put("/_users/org.couchdb.user:alice", &alice)?;
    Ok(())
}

fn revisions(http: &Http, conflicts: &str, deleted: &str) -> Result<()> {
    let docs = json!({"new_edits": false, "docs": [
        {"_id": "c", "_rev": "2-bb", "_revisions": {"start": 2, "ids": ["bb", "aa"]}, "v": 1},
        {"_id": "c", "_rev": "2-cc", "_revisions": {"start": 2, "ids": ["cc", "aa"]}, "v": 2},
        {"_id": "c", "_rev": "3-dd", "_revisions": {"start": 3, "ids": ["dd", "ee", "aa"]}, "_deleted": true},
    ]});
    http.post(&format!("{conflicts}/_bulk_docs"), &docs)?;
    let path = format!("{deleted}/_bulk_docs");
    let docs: Vec<Value> = (0..200).map(|i| json!({"_id": format!("d{i}")})).collect();
    let written = http.post(&path, &json!({"docs": docs}))?;
    let gone = |doc: &Value| json!({"_id": doc["id"], "_rev": doc["rev"], "_deleted": true, "why": "gone"});
    let docs: Vec<Value> = written.as_array().into_iter().flatten().take(150).map(gone).collect();
    http.post(&path, &json!({"docs": docs}))?;
    Ok(())
}

fn attachments(http: &Http, db: &str) -> Result<()> {
    // Base64 of "hello hello …", and of bytes that do not compress.
    let text = "aGVsbG8g".repeat(5000);
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let big: String =
        random::congruential(7).take(400_000).map(|n| char::from(digits[(n >> 58) as usize])).collect();
    let bytes = "application/octet-stream";
    let doc = json!({"_attachments": {
        "a.txt": {"content_type": "text/plain", "data": text},
        "b.bin": {"content_type": bytes, "data": big},
        "empty": {"content_type": bytes, "data": ""},
    }});
    http.put(&format!("{db}/with"), &doc)?;
    Ok(())
}

fn indexes(http: &Http, db: &str) -> Result<()> {
    let docs: Vec<Value> = (0..500).map(|i| json!({"_id": format!("v{i}"), "k": i % 17})).collect();
    http.post(&format!("{db}/_bulk_docs"), &json!({"docs": docs}))?;
    let map = r#"fun({Doc}) -> Emit(proplists:get_value(<<"k">>, Doc), 1) end."#;
    let design = json!({"language": "erlang", "views": {"byk": {"map": map, "reduce": "_sum"}}});
    http.put(&format!("{db}/_design/dd"), &design)?;
    let index = json!({"index": {"fields": ["k"]}, "name": "k", "type": "json"});
    http.post(&format!("{db}/_index"), &index)?;
    query(http)
}

/// Asks both indexes of the database `views`, so that they are built.
pub fn query(http: &Http) -> Result<()> {
    http.post("/views/_find", &json!({"selector": {"k": 3}}))?;
    http.get("/views/_design/dd/_view/byk")?;
    Ok(())
}

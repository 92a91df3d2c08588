//! Values and attachments of a kind that is easily lost, against a real CouchDB: nested deep, integers beyond 64 bits, uploaded
//! gzipped.

use std::io::Write;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Http, Installation, Size, back_up};
use serde_json::Value;

use super::served::Served;

/// Status, some headers, body.
type Answer = (u16, Vec<(String, String)>, Vec<u8>);

/// CouchDB and `serve` of a backup of it.
struct Both {
    cluster: Cluster,
    served: Served,
}

impl Both {
    /// After `fill` has filled the database `db`; where no CouchDB is installed, says so.
    fn new(fill: impl Fn(&Http) -> Result<()>) -> Result<Option<Self>> {
        let Some(couchdb) = Installation::find() else { return Ok(None) };
        let cluster = Cluster::fresh(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
        cluster.http().put("/db", &Value::Null)?;
        fill(cluster.http())?;
        let archive = cluster.dir().join("backup.tar.gz");
        back_up(&cluster.folders(), &archive)?;
        let served = Served::start(&[&archive], &[])?;
        Ok(Some(Self { cluster, served }))
    }

    /// The same request to both.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<[Answer; 2]> {
        let one = |http: &Http| -> Result<Answer> {
            let (status, headers, text) = http.bytes(method, path, headers, body.as_bytes())?;
            let told = ["content-encoding", "accept-ranges", "content-range", "etag", "content-length"];
            let told = told
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), headers.get(name)?.to_str().ok()?.to_owned())));
            Ok((status, told.collect(), text))
        };
        Ok([one(self.cluster.http())?, one(&self.served.http())?])
    }
}

fn value(levels: usize) -> String {
    let numbers = "18446744073709551616,-123456789012345678901234567890,-0.0,1e-7,1.0e21,0.1,1e3";
    format!("{}{numbers}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn documents_are_found_and_shown_whatever_they_hold() -> Result<()> {
    let both = Both::new(|http| {
        for (id, levels) in [("a", 1), ("b", 130), ("c", 5000)] {
            let text =
                format!("{{\"kind\":\"x\",\"big\":1844674407370955161{levels},\"v\":{}}}", value(levels));
            http.put_text(&format!("/db/{id}"), &text)?;
        }
        let security = "{\"admins\":{\"roles\":[\"_admin\"]},\"x\":".to_owned() + &value(140) + "}";
        http.put_text("/db/_security", &security)
    })?;
    let Some(both) = both else { return Ok(()) };
    let json = [("Content-Type", "application/json"), ("Accept", "application/json")];
    for path in
        ["/db/a", "/db/b", "/db/c", "/db/c?revs=true", "/db/_all_docs?include_docs=true", "/db/_security"]
    {
        let [said, shown] = both.ask("GET", path, &json[1..], "")?;
        assert_eq!(String::from_utf8_lossy(&said.2), String::from_utf8_lossy(&shown.2), "{path}");
    }
    for query in [
        r#"{"selector":{"kind":"x"}}"#,
        r#"{"selector":{"kind":"x"},"fields":["_id","v"]}"#,
        r#"{"selector":{"big":18446744073709551611}}"#,
        r#"{"selector":{"big":{"$gt":18446744073709551611,"$lt":18446744073709551615000}}}"#,
    ] {
        let docs = |answer: &Answer| {
            let text = String::from_utf8_lossy(&answer.2).into_owned();
            text.split("\r\n],").next().unwrap_or_default().to_owned()
        };
        let [said, shown] = both.ask("POST", "/db/_find", &json, query)?;
        assert_eq!(said.0, 200, "{query}: {}", String::from_utf8_lossy(&said.2));
        assert!(docs(&said).contains("\"_id\""), "{query}: {}", docs(&said));
        assert_eq!(docs(&said), docs(&shown), "{query}");
    }
    let path = "/db/_changes?filter=_selector&include_docs=true";
    let [said, shown] = both.ask("POST", path, &json, r#"{"selector":{"kind":"x"}}"#)?;
    let count = |answer: &[u8]| String::from_utf8_lossy(answer).matches("\"kind\":\"x\"").count();
    assert_eq!((count(&said.2), count(&shown.2)), (3, 3));
    Ok(())
}

#[test]
fn attachments_uploaded_gzipped_are_served_as_couchdb_serves_them() -> Result<()> {
    let gzip = |content: &[u8]| -> Result<Vec<u8>> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content)?;
        Ok(encoder.finish()?)
    };
    let both = Both::new(|http| {
        let headers = [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")];
        for (id, content) in [
            ("plain", gzip(&b"hello gzip ".repeat(9000))?),
            ("two", [gzip(b"first")?, gzip(b"second")?].concat()),
            ("trailing", [gzip(b"first")?, b"something else".to_vec()].concat()),
        ] {
            let (status, _, _) = http.bytes("PUT", &format!("/db/{id}/a.txt"), &headers, &content)?;
            assert_eq!(status, 201);
        }
        Ok(())
    })?;
    let Some(both) = both else { return Ok(()) };
    for id in ["plain", "two", "trailing"] {
        let path = format!("/db/{id}/a.txt");
        for headers in [
            &[][..],
            &[("Accept-Encoding", "gzip")],
            &[("Accept-Encoding", "identity")],
            &[("Range", "bytes=2-9")],
            &[("Range", "bytes=2-9"), ("Accept-Encoding", "gzip")],
        ] {
            let [said, mut served] = both.ask("GET", &path, headers, "")?;
            // CouchDB sends chunks where it cannot know the length before it has decompressed; serve knows that of a short one.
            if !said.1.iter().any(|(name, _)| name == "content-length") {
                let len = served.2.len().to_string();
                served.1.retain(|(name, value)| name != "content-length" || *value != len);
            }
            assert_eq!(said, served, "{path} {headers:?}");
        }
    }
    for path in ["/db/plain?attachments=true", "/db/two?attachments=true", "/db/plain?att_encoding_info=true"]
    {
        let [said, served] = both.ask("GET", path, &[("Accept", "application/json")], "")?;
        assert_eq!(String::from_utf8_lossy(&said.2), String::from_utf8_lossy(&served.2), "{path}");
    }
    Ok(())
}

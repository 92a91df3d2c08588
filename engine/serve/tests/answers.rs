//! What the server does beside what CouchDB does: one user, other origins, several archives, requests that make no sense.

mod common;

use std::io::{Read, Write};

use common::{Server, archive, options, parse};
use serde_json::{Value, json};
use serve::{Authentication, Cors};

const SINGLE: &str = "single-node.tar.gz";

#[test]
fn tells_what_clients_look_for() {
    let server = Server::of(SINGLE);
    let welcome = server.get("/");
    assert_eq!(welcome.json()["couchdb"], "Welcome");
    assert_eq!(welcome.json()["version"], "3.5.0");
    assert!(welcome.header("server").starts_with("CouchDB/3.5.0 (couchcopy "));
    assert_eq!(server.json("/_session")["userCtx"], json!({"name": null, "roles": ["_admin"]}));
    assert_eq!(server.json("/_membership")["all_nodes"], json!([]));
    assert_eq!(server.json("/_scheduler/jobs"), json!({"total_rows": 0, "offset": 0, "jobs": []}));
    assert_eq!(server.json("/_uuids?count=3")["uuids"].as_array().unwrap().len(), 3);
}

#[test]
fn writes_are_refused_with_a_reason() {
    let server = Server::of(SINGLE);
    for (method, path) in [
        ("PUT", "/newdb"),
        ("DELETE", "/plain"),
        ("POST", "/plain"),
        ("PUT", "/plain/doc-00000"),
        ("DELETE", "/plain/doc-00000?rev=1-a"),
        ("COPY", "/plain/doc-00000"),
        ("PUT", "/plain/doc-00000/att"),
        ("POST", "/plain/_bulk_docs"),
        ("POST", "/plain/_purge"),
        ("POST", "/plain/_compact"),
        ("PUT", "/plain/_security"),
        ("PUT", "/plain/_revs_limit"),
        ("POST", "/plain/_index"),
        ("PUT", "/plain/_design/x"),
    ] {
        let (status, error, reason) = server.ask(method, path, &[], b"{}").error();
        assert_eq!((status, error.as_str()), (405, "method_not_allowed"), "{method} {path}");
        assert!(reason.contains("backup"), "{method} {path}: {reason}");
    }
    for path in
        ["/views/_design/dd/_view/byk", "/views/_design/dd/_info", "/_utils/", "/_node/_local", "/_replicate"]
    {
        assert_eq!(server.get(path).error().0, 501, "{path}");
    }
    assert_eq!(server.get("/views/_design/nosuch/_view/x").error().0, 404);
    assert_eq!(server.get("/views/_changes?filter=_view&view=dd/byk").error().0, 501);
}

#[test]
fn only_the_user_reads() {
    let mut options = options(vec![archive(SINGLE)]);
    options.authentication = Some(Authentication { name: "reader".into(), password: "p:w".into() });
    let server = Server::start(options);
    for path in ["/", "/plain", "/_backup/", "/_backup/archives", "/nosuch"] {
        let answer = server.get(path);
        assert_eq!(answer.error().0, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"couchcopy\"");
    }
    assert_eq!(server.get("/_up").status, 200);
    // `reader:p:w`, then with a wrong password.
    let right = server.ask("GET", "/_session", &[("Authorization", "Basic cmVhZGVyOnA6dw==")], b"");
    assert_eq!(right.json()["userCtx"]["name"], "reader");
    let wrong = server.ask("GET", "/_session", &[("Authorization", "Basic cmVhZGVyOng=")], b"");
    assert_eq!(wrong.error(), (401, "unauthorized".into(), "Name or password is incorrect.".into()));
    // A user may come by whatever name leads here.
    let named = [("Authorization", "Basic cmVhZGVyOnA6dw=="), ("Host", "backup.example")];
    assert_eq!(server.ask("GET", "/", &named, b"").status, 200);
}

#[test]
fn a_page_of_somebody_else_cannot_pretend_to_be_here() {
    let server = Server::of(SINGLE);
    let answer = server.ask("GET", "/plain", &[("Host", "evil.example")], b"");
    assert_eq!(answer.error().0, 403);
    assert_eq!(server.ask("GET", "/plain", &[("Host", "127.0.0.1:1")], b"").status, 200);
}

#[test]
fn other_origins_read_only_where_they_may() {
    let origin = [("Origin", "https://app.example")];
    let closed = Server::of(SINGLE);
    assert_eq!(closed.ask("GET", "/", &origin, b"").header("access-control-allow-origin"), "");
    let mut options = options(vec![archive(SINGLE)]);
    options.cors = Some(Cors { origins: vec!["https://app.example".into()] });
    let open = Server::start(options);
    let answer = open.ask("GET", "/plain", &origin, b"");
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert_eq!(answer.header("vary"), "origin");
    let missing = open.ask("GET", "/nosuch", &origin, b"");
    assert_eq!(missing.header("access-control-allow-origin"), "https://app.example");
    let other = open.ask("GET", "/", &[("Origin", "https://evil.example")], b"");
    assert_eq!(other.header("access-control-allow-origin"), "");
    let preflight = [origin[0], ("Access-Control-Request-Method", "PUT")];
    let answer = open.ask("OPTIONS", "/plain/_local/x", &preflight, b"");
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-methods").contains("PUT"));
    let refused = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "PUT")];
    assert_eq!(open.ask("OPTIONS", "/plain/_local/x", &refused, b"").status, 405);
}

#[test]
fn several_archives_side_by_side() {
    let server = Server::start(options(vec![archive(SINGLE), archive("couchcopy-0.2.4.tar.gz")]));
    let archives = server.json("/_backup/archives");
    assert_eq!(archives[0]["number"], 1);
    assert_eq!(archives[1]["root"], "/_backup/archives/2/");
    assert_eq!(archives[0]["databases"], 16);
    assert_eq!(archives[0]["manifest"], false);
    assert!(archives[1]["made_by"].as_str().unwrap().contains("0.2.4"));
    assert_eq!(server.json("/_backup/archives/2/")["couchdb"], "Welcome");
    assert_eq!(server.json("/_backup/archives/2/plain/doc-00000"), server.json("/plain/doc-00000"));
    // What is left in one is not in the other.
    let put = server.ask("PUT", "/_backup/archives/2/plain/_local/x", &[], b"{\"a\":1}");
    assert_eq!(put.status, 201);
    assert_eq!(server.get("/plain/_local/x").status, 404);
    assert_eq!(server.json("/_backup/archives/2/plain/_local/x")["a"], 1);
    for path in
        ["/_backup/archives/0/", "/_backup/archives/3/", "/_backup/archives/x/", "/_backup/archives/-1/"]
    {
        assert_eq!(server.get(path).error().0, 404, "{path}");
    }
}

#[test]
fn archives_are_searched_for_the_versions_of_a_document() {
    let server = Server::start(options(vec![archive(SINGLE), archive("couchcopy-0.2.4.tar.gz")]));
    let listed = server.json("/_backup/backups?archive=2");
    assert_eq!(listed["total"], 2);
    let mut dates: Vec<&str> = listed["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|its| its["date"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(dates.len(), 2);
    assert!(dates.is_sorted(), "{dates:?}");
    dates.dedup();
    for number in ["1", "2"] {
        let around = server.json(&format!("/_backup/backups?archive=1&around={number}&limit=1"));
        assert_eq!(around["backups"][0]["reference"], number);
    }
    assert_eq!(server.get("/_backup/backups?archive=1&around=3").status, 400);

    // Leaves of all kinds, in both archives.
    let found = server.json("/_backup/history?archive=1&db=conflicts&doc=c");
    assert_eq!((&found["searched"], &found["total"], &found["next"]), (&json!(2), &json!(2), &Value::Null));
    let versions = found["versions"].as_array().unwrap();
    let revs: Vec<(&str, bool)> = versions
        .iter()
        .map(|its| (its["rev"].as_str().unwrap(), its["deleted"].as_bool().unwrap()))
        .filter(|(rev, _)| !rev.starts_with("1-"))
        .collect();
    assert_eq!(revs, [("3-dd", true), ("2-cc", false), ("2-bb", false)]);
    for version in versions {
        let (rev, root) = (version["rev"].as_str().unwrap(), version["at"]["root"].as_str().unwrap());
        assert_eq!(server.json(&format!("{root}conflicts/c?rev={rev}"))["_rev"], rev);
    }
    // A page after the other.
    let first = server.json("/_backup/history?archive=1&db=conflicts&doc=c&limit=1");
    let next = first["next"].as_str().unwrap();
    let second = server.json(&format!("/_backup/history?archive=1&db=conflicts&doc=c&limit=1&from={next}"));
    assert_eq!(
        (&first["searched"], &second["searched"], &second["next"]),
        (&json!(1), &json!(1), &Value::Null)
    );

    // A state of a file, also of an archive that has no table of contents.
    let database = server.json("/q1n1");
    let newest = database["update_seq"].as_str().unwrap().split('-').next().unwrap().to_owned();
    let root = format!("/_backup/archives/1~~00000000-ffffffff~{newest}");
    assert_eq!(server.json(&format!("{root}/q1n1")), database);
    assert_eq!(server.get("/_backup/archives/1~~00000000-ffffffff~999999999/q1n1").status, 500);
}

#[test]
fn the_page_is_served_for_itself_alone() {
    let server = Server::of(SINGLE);
    let page = server.get("/_backup/");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    assert!(page.body.starts_with(b"<!doctype html>"));
    let again = server.ask("GET", "/_backup/", &[("If-None-Match", page.header("etag"))], b"");
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(server.get("/_backup").header("location"), "/_backup/");
    assert_eq!(server.get("/_backup/app.js").header("content-type"), "text/javascript; charset=utf-8");
    for path in
        ["/_backup/nosuch.js", "/_backup/../Cargo.toml", "/_backup/a/b", "/_backup/%2e%2e%2fCargo.toml"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.ask("POST", "/_backup/", &[], b"").status, 405);
}

#[test]
fn one_database_only() {
    let mut options = options(vec![archive(SINGLE)]);
    options.only = Some(vec!["plain".into()]);
    let server = Server::start(options);
    assert_eq!(server.json("/_all_dbs"), json!(["plain"]));
    assert_eq!(server.json("/_dbs_info").as_array().unwrap().len(), 1);
    assert_eq!(server.json("/_backup/archives")[0]["databases"], 1);
    assert_eq!(server.get("/conflicts/c").error().0, 404);
    let infos = server.post("/_dbs_info", &json!({"keys": ["conflicts"]})).json();
    assert_eq!(infos, json!([{"key": "conflicts", "error": "not_found"}]));
}

#[test]
fn answers_are_compressed_where_they_may_be() {
    let server = Server::of(SINGLE);
    let gzip = [("Accept-Encoding", "gzip")];
    let plain = server.get("/plain/_all_docs?include_docs=true");
    let packed = server.ask("GET", "/plain/_all_docs?include_docs=true", &gzip, b"");
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < plain.body.len() / 2);
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_end(&mut body).unwrap();
    assert_eq!(body, plain.body);
    // What is stored gzipped goes out as it is; what is not keeps its length and its ranges.
    let stored = server.ask("GET", "/atts/with/a.txt", &gzip, b"");
    assert_eq!((stored.header("content-encoding"), stored.body.len()), ("gzip", 88));
    let bytes = server.ask("GET", "/atts/with/b.bin", &gzip, b"");
    assert_eq!((bytes.header("content-encoding"), bytes.body.len()), ("", 300_000));
}

#[test]
fn feeds_wait_and_show_that_they_live() {
    let mut server = Server::of(SINGLE);
    let waiting = |server: &Server, path: &str| server.send("GET", path, &[], b"");
    let mut beating = waiting(&server, "/q1n1/_changes?feed=continuous&since=now&heartbeat=20");
    let mut seen = Vec::new();
    // The head, then a newline for every heartbeat.
    while String::from_utf8_lossy(&seen).matches('\n').count() < 30 {
        let mut buffer = [0; 256];
        let n = beating.read(&mut buffer).unwrap();
        assert!(n > 0, "the feed ended");
        seen.extend_from_slice(&buffer[..n]);
    }
    let mut longpoll = waiting(&server, "/q1n1/_changes?feed=longpoll&since=now&heartbeat=true");
    let mut events = waiting(&server, "/q1n1/_changes?feed=eventsource&heartbeat=30");
    let mut first = [0; 600];
    let n = events.read(&mut first).unwrap();
    assert!(String::from_utf8_lossy(&first[..n]).contains("text/event-stream"));
    let mut head = [0; 12];
    longpoll.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    // They all end, as they should, when the server stops.
    server.ask_to_stop();
    let mut rest = Vec::from(head);
    longpoll.read_to_end(&mut rest).unwrap();
    let answer = parse(&rest, false);
    assert!(answer.whole);
    assert_eq!(answer.json()["pending"], 0);
    let mut rest = seen;
    beating.read_to_end(&mut rest).unwrap();
    let answer = parse(&rest, false);
    assert!(answer.whole && String::from_utf8_lossy(&answer.body).contains("\"last_seq\""));
    server.wait();
}

#[test]
fn changes_go_on_where_they_stopped() {
    let server = Server::of(SINGLE);
    let (mut since, mut ids) = ("0".to_owned(), Vec::new());
    let mut left = 2000;
    loop {
        let path = format!("/plain/_changes?limit=333&since={since}");
        let answer = server.json(&path);
        let rows = answer["results"].as_array().unwrap();
        left -= rows.len();
        assert_eq!(answer["pending"], left);
        ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        if rows.is_empty() {
            break;
        }
        assert_eq!(answer["last_seq"], rows.last().unwrap()["seq"]);
        since = answer["last_seq"].as_str().unwrap().to_owned();
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2000);
    for wrong in ["7", "x", "5-zzz", "99-1.2.3"] {
        let (status, error, _) = server.get(&format!("/plain/_changes?since={wrong}")).error();
        assert_eq!((status, error.as_str()), (400, "bad_request"), "{wrong}");
    }
}

#[test]
fn queries_go_on_where_they_stopped() {
    let server = Server::of(SINGLE);
    for sort in [json!([]), json!([{"_id": "desc"}]), json!(["text", "n"]), json!([{"n": "desc"}])] {
        let mut query =
            json!({"selector": {"n": {"$lt": 100}}, "limit": 30, "sort": sort, "fields": ["n", "text"]});
        let mut found: Vec<Value> = Vec::new();
        loop {
            let answer = server.post("/plain/_find", &query).json();
            let docs = answer["docs"].as_array().unwrap().clone();
            if docs.is_empty() {
                break;
            }
            found.extend(docs);
            query["bookmark"] = answer["bookmark"].clone();
        }
        assert_eq!(found.len(), 100, "{sort}");
        let numbers: Vec<i64> = found.iter().map(|doc| doc["n"].as_i64().unwrap()).collect();
        match sort[0]["_id"].as_str().or(sort[0]["n"].as_str()) {
            Some("desc") => assert!(numbers.is_sorted_by(|a, b| a > b), "{sort}"),
            _ if sort == json!([]) => assert!(numbers.is_sorted()),
            // The text repeats itself the longer the larger the number is, modulo something.
            _ => assert!(found.is_sorted_by_key(|doc| doc["text"].as_str().unwrap().len())),
        }
    }
    let large = json!({"selector": {}, "sort": ["n"], "limit": 20_000});
    assert_eq!(server.post("/plain/_find", &large).error().1, "no_usable_index");
}

#[test]
fn local_documents_live_here() {
    let server = Server::of(SINGLE);
    let put = |path: &str, body: &str| server.ask("PUT", path, &[], body.as_bytes());
    assert_eq!(
        put("/locals/_local/x", "{\"a\":1}").json(),
        json!({"ok": true, "id": "_local/x", "rev": "0-1"})
    );
    assert_eq!(server.json("/locals/_local/x"), json!({"_id": "_local/x", "_rev": "0-1", "a": 1}));
    assert_eq!(put("/locals/_local/x", "{\"_rev\":\"0-1\",\"a\":2}").json()["rev"], "0-2");
    // One of the archive is hidden by a newer one, and gone when it is deleted.
    assert_eq!(put("/locals/_local/checkpoint", "{\"_rev\":\"0-1\"}").json()["rev"], "0-2");
    let ids = |rows: &Value| -> Vec<String> {
        rows["rows"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&server.json("/locals/_local_docs")), ["_local/checkpoint", "_local/x"]);
    assert_eq!(ids(&server.json("/locals/_local_docs?descending=true&limit=1")), ["_local/x"]);
    assert_eq!(ids(&server.json("/locals/_local_docs?startkey=%22_local/d%22")), ["_local/x"]);
    assert_eq!(server.ask("DELETE", "/locals/_local/checkpoint", &[], b"").json()["rev"], "0-0");
    assert_eq!(server.get("/locals/_local/checkpoint").status, 404);
    assert_eq!(ids(&server.json("/locals/_local_docs")), ["_local/x"]);
    assert_eq!(server.ask("DELETE", "/locals/_local/nosuch", &[], b"").status, 404);
    assert_eq!(put("/locals/_local/x", "{\"_x\":1}").error().1, "doc_validation");
    assert_eq!(put("/locals/_local/x", "[]").status, 400);
    assert_eq!(put("/locals/_local/x", "{\"_rev\":\"1-2\"}").status, 400);
    // There is an end to it.
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(900_000));
    let refused =
        (0..20).map(|i| put(&format!("/locals/_local/{i}"), &large).status).find(|&status| status != 201);
    assert_eq!(refused, Some(507));
    assert_eq!(put("/locals/_local/y", &"x".repeat(2_000_000)).status, 413);
}

#[test]
fn bodies_may_be_compressed() {
    let server = Server::of(SINGLE);
    let packed = |text: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    };
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let ask = |body: &[u8]| server.ask("POST", "/plain/_find", &headers, body);
    let query = json!({"selector": {}, "limit": 1}).to_string();
    let answer = ask(&packed(query.as_bytes()));
    assert_eq!((answer.status, answer.json()["docs"].as_array().unwrap().len()), (200, 1));
    for body in [query.as_bytes(), &packed(query.as_bytes())[..20], b""] {
        assert_eq!(ask(body).status, 400);
    }
    // What unpacks to very much is no way around the limit.
    assert_eq!(ask(&packed(&vec![b' '; 17 << 20])).status, 413);
    let other = [("Content-Type", "application/json"), ("Content-Encoding", "br")];
    let refused = server.ask("POST", "/plain/_find", &other, query.as_bytes());
    assert_eq!(refused.error().0, 415);
}

#[test]
fn bodies_have_an_end() {
    let server = Server::of(SINGLE);
    let headers = [("Content-Type", "application/json")];
    let answer = server.ask("POST", "/plain/_find", &headers, &vec![b' '; 17 << 20]);
    assert_eq!(answer.status, 413);
    let deep = "[".repeat(100_000);
    assert_eq!(server.ask("POST", "/plain/_find", &headers, deep.as_bytes()).status, 400);
}

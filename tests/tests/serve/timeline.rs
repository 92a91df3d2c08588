//! A repository that is served: every backup of it, and the versions of a document over time, against what a real CouchDB's HTTP
//! interface said when the backups were made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Http, Installation, PASSWORD, Size, binary, run, wait_for};
use serde_json::{Value, json};

use crate::served::Served;

/// Documents that change.
const IDS: [&str; 4] = ["doc-a", "doc-b", "_design/d", "x/ü%2F"];

/// A cluster, and a repository of it.
struct Arena {
    cluster: Cluster,
    repository: PathBuf,
}

/// A backup, and what HTTP said when it was made.
struct Saved {
    id: String,
    /// The winning revision of every document that exists.
    documents: BTreeMap<String, Value>,
    update_seq: String,
}

impl Arena {
    fn new(q: u32) -> Result<Option<Self>> {
        let Some(couchdb) = Installation::find() else { return Ok(None) };
        let cluster = Cluster::fresh(&couchdb, Size { nodes: 1, q, n: 1 })?;
        // No compaction but those of the tests.
        for channel in ["ratio_dbs", "slack_dbs"] {
            let path = format!("/_node/_local/_config/smoosh.{channel}/min_priority");
            cluster.http().put(&path, &json!("1000000000000.0"))?;
        }
        let repository = cluster.dir().join("repository");
        let arena = Self { cluster, repository };
        couchcopy(&["repo", "init", arena.repo()?])?;
        Ok(Some(arena))
    }

    fn http(&self) -> &Http {
        self.cluster.http()
    }

    fn repo(&self) -> Result<&str> {
        Ok(self.repository.to_str().ok_or("a path that is no text")?)
    }

    /// Writes a document over what it is, or deletes it if there is no body.
    fn write(&self, id: &str, body: Option<&Value>) -> Result<()> {
        let found = self.http().post("/shop/_all_docs", &json!({"keys": [id]}))?;
        let value = &found["rows"][0]["value"];
        let mut document = body.cloned().unwrap_or_else(|| json!({"_deleted": true}));
        document["_id"] = id.into();
        if value["rev"].is_string() && (body.is_none() || value["deleted"] != true) {
            document["_rev"] = value["rev"].clone();
        }
        let written = self.http().post("/shop/_bulk_docs", &json!({"docs": [document]}))?;
        if written[0]["ok"] == true { Ok(()) } else { Err(format!("{id}: {written}").into()) }
    }

    fn compact(&self) -> Result<()> {
        self.http().post("/shop/_compact", &json!({}))?;
        wait_for("the compaction", || {
            Ok((self.http().get("/shop")?["compact_running"] == false).then_some(()))
        })
    }

    fn save(&self) -> Result<Saved> {
        let documents = documents(self.http(), "/shop")?;
        let update_seq = self.http().get("/shop")?["update_seq"].as_str().ok_or("no sequence")?.to_owned();
        // Ids are in the order of time.
        std::thread::sleep(Duration::from_millis(5));
        let node = format!("localhost,{}", self.cluster.nodes[0].data.display());
        couchcopy(&["backup", "--repo", self.repo()?, &node])?;
        let listed: Value = serde_json::from_str(&couchcopy(&["repo", "list", self.repo()?, "--json"])?)?;
        let ids =
            listed["backups"].as_array().ok_or("no backups")?.iter().filter_map(|its| its["id"].as_str());
        Ok(Saved { id: ids.max().ok_or("no backup")?.to_owned(), documents, update_seq })
    }
}

fn couchcopy(arguments: &[&str]) -> Result<String> {
    run(Command::new(binary()?).args(arguments).env("COUCHCOPY_PASSWORD", PASSWORD))?.success()
}

fn documents(http: &Http, db: &str) -> Result<BTreeMap<String, Value>> {
    let rows = http.get(&format!("{db}/_all_docs?include_docs=true&attachments=true"))?;
    let rows = rows["rows"].as_array().ok_or("no rows")?.iter();
    rows.map(|row| Ok((row["id"].as_str().ok_or("no id")?.to_owned(), row["doc"].clone()))).collect()
}

/// Backups of a database whose documents change, are deleted, are made again and are purged, with a compaction between.
fn history(arena: &Arena) -> Result<Vec<Saved>> {
    arena.http().put("/shop", &Value::Null)?;
    for number in 0..40 {
        arena.write(&format!("other-{number:02}"), Some(&json!({"n": number})))?;
    }
    let mut saved = Vec::new();
    for round in 0..6u32 {
        for (number, id) in (0u32..).zip(IDS) {
            let attachments = json!({"a.txt": {"content_type": "text/plain", "data": "AAAA"},
                "b.txt": {"content_type": "text/plain", "data": if round < 2 { "AAAA" } else { "BBBB" }}});
            let document = json!({"round": round, "_attachments": attachments});
            let is_deleted = number == 1 && (round == 2 || round == 4);
            arena.write(id, (!is_deleted).then_some(&document))?;
        }
        // A version that no backup has as the newest.
        arena.write("doc-a", Some(&json!({"between": round})))?;
        arena.write("doc-a", Some(&json!({"round": round, "last": true})))?;
        if round == 3 {
            arena.compact()?;
        }
        saved.push(arena.save()?);
    }
    // Nothing has changed.
    saved.push(arena.save()?);
    Ok(saved)
}

/// All answers about the versions of a document, page by page.
fn versions(http: &Http, id: &str, limit: usize) -> Result<Vec<Value>> {
    let (mut pages, mut from) = (Vec::new(), String::new());
    loop {
        let id = couchcopy_tests::lab::encode(id);
        let page = http.get(&format!("/_backup/history?archive=1&db=shop&doc={id}&limit={limit}{from}"))?;
        assert_eq!(page["problems"], json!([]), "{page}");
        let next = page["next"].as_str().map(str::to_owned);
        pages.push(page);
        let Some(next) = next else { return Ok(pages) };
        from = format!("&from={next}");
    }
}

#[test]
fn every_backup_of_a_repository_is_served() -> Result<()> {
    let Some(arena) = Arena::new(2)? else { return Ok(()) };
    let saved = history(&arena)?;
    let served = Served::start(&[&arena.repository], &[])?;
    let http = served.http();
    let listed = http.get("/_backup/archives")?;
    assert_eq!((&listed[0]["backups"], &listed[0]["backup"]), (&json!(7), &json!(saved[6].id)), "{listed}");

    // The list, in the order of time and page by page.
    let ids: Vec<&str> = saved.iter().map(|its| its.id.as_str()).collect();
    let list = |query: &str| -> Result<(u64, Vec<String>)> {
        let found = http.get(&format!("/_backup/backups?archive=1{query}"))?;
        assert_eq!(found["total"], 7, "{query}: {found}");
        let ids = found["backups"].as_array().ok_or("no backups")?.iter();
        let ids = ids.map(|its| Ok(its["id"].as_str().ok_or("no id")?.to_owned())).collect::<Result<_>>()?;
        Ok((found["offset"].as_u64().ok_or("no offset")?, ids))
    };
    let day = format!("{}-{}-{}", &ids[0][..4], &ids[0][4..6], &ids[0][6..8]);
    for (query, from, to) in [
        (String::new(), 0, 7),
        ("&limit=3".into(), 4, 7),
        (format!("&limit=3&around={}", ids[0]), 0, 3),
        (format!("&limit=3&around={}", ids[3]), 2, 5),
        (format!("&limit=1&around={}", ids[3]), 3, 4),
        (format!("&limit=3&around={}", ids[6]), 4, 7),
        (format!("&limit=2&before={}", ids[3]), 1, 3),
        (format!("&limit=2&before={}", ids[0]), 0, 0),
        (format!("&limit=2&after={}", ids[3]), 4, 6),
        (format!("&limit=2&after={}", ids[6]), 7, 7),
        ("&limit=2&on=2001-01-01".into(), 0, 2),
        ("&limit=2&on=2999-01-01".into(), 5, 7),
    ] {
        assert_eq!(
            list(&query)?,
            (from as u64, ids[from..to].iter().map(|id| (*id).to_owned()).collect()),
            "{query}"
        );
    }
    // Unless the backups were made around midnight, all are of that day.
    if ids.iter().all(|id| id.starts_with(&ids[0][..8])) {
        assert_eq!(list(&format!("&limit=2&on={day}"))?.0, 5);
    }
    for query in ["&around=x", "&limit=0", "&limit=501", "&limit=x", "&on=x", "&before=20261129T180000.000Z"]
    {
        assert_eq!(
            http.ask("GET", &format!("/_backup/backups?archive=1{query}"), None)?.status,
            400,
            "{query}"
        );
    }
    for path in ["/_backup/backups?archive=2", "/_backup/backups?archive=0", "/_backup/backups?archive=x"] {
        assert_eq!(http.ask("GET", path, None)?.status, 404, "{path}");
    }

    // Each backup with all its documents, in whatever order they are asked for.
    for turn in [0usize, 6, 3, 1, 5, 2, 4, 0, 3] {
        let root = format!("/_backup/archives/1~{}", saved[turn].id);
        let mut found = documents(&http, &format!("{root}/shop"))?;
        found.retain(|id, _| !id.starts_with("other-"));
        let mut expected = saved[turn].documents.clone();
        expected.retain(|id, _| !id.starts_with("other-"));
        assert_eq!(found, expected, "{turn}");
        assert_eq!(http.get(&format!("{root}/shop"))?["doc_count"], saved[turn].documents.len(), "{turn}");
    }
    assert_eq!(documents(&http, "/shop")?, saved[6].documents);
    for wrong in
        ["1~x", "1~20261129T180000.000Z-0123456789abcdef", "2", "0", "1~~x", "2~~00000000-ffffffff~1"]
    {
        let path = format!("/_backup/archives/{wrong}/shop");
        assert_eq!(http.ask("GET", &path, None)?.status, 404, "{wrong}");
    }

    // A backup that is made later appears.
    let later = arena.save()?;
    wait_for("the new backup", || {
        let found = http.get("/_backup/backups?archive=1&limit=1")?;
        Ok((found["backups"][0]["id"] == json!(later.id)).then_some(()))
    })
}

#[test]
fn the_versions_of_a_document_are_those_that_the_backups_saved() -> Result<()> {
    for q in [1, 2] {
        let Some(arena) = Arena::new(q)? else { return Ok(()) };
        let saved = history(&arena)?;
        let served = Served::start(&[&arena.repository], &[])?;
        let http = served.http();
        for id in IDS {
            // The revisions that were the document, with the backups of which they were.
            let mut expected: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for backup in &saved {
                if let Some(document) = backup.documents.get(id) {
                    let rev = document["_rev"].as_str().ok_or("no revision")?;
                    expected.entry(rev.to_owned()).or_default().push(&backup.id);
                }
            }
            for limit in [1, 2, 16] {
                let pages = versions(&http, id, limit)?;
                assert_eq!(pages.len(), saved.len().div_ceil(limit));
                assert_eq!(pages[0]["total"], 7);
                for (rev, backups) in &expected {
                    let mut seen = Vec::new();
                    for version in pages.iter().filter_map(|page| page["versions"].as_array()).flatten() {
                        let (first, last) = (&version["shown"]["first"], &version["shown"]["last"]);
                        if version["rev"] == **rev && last["reference"].is_string() {
                            seen.extend(
                                [first, last]
                                    .map(|its| its["reference"].as_str().unwrap_or_default().to_owned()),
                            );
                        }
                    }
                    let named = |id: &&str| format!("1~{id}");
                    assert_eq!(
                        seen.iter().min(),
                        backups.iter().map(named).min().as_ref(),
                        "{id} {rev} {limit}"
                    );
                    assert_eq!(
                        seen.iter().max(),
                        backups.iter().map(named).max().as_ref(),
                        "{id} {rev} {limit}"
                    );
                }
            }
            // Each can be read where it is said to be, byte by byte as `get` reads it.
            let page = versions(&http, id, 16)?.remove(0);
            let list = page["versions"].as_array().ok_or("no versions")?;
            for version in list {
                let rev = version["rev"].as_str().ok_or("no revision")?;
                let root = version["at"]["root"].as_str().ok_or("no root")?;
                let path = couchcopy_tests::lab::encode(id).replace("_design%2F", "_design/");
                let found = http.get(&format!("{root}shop/{path}?rev={rev}"))?;
                assert_eq!(found["_rev"], rev);
                let told = couchcopy(&["get", arena.repo()?, "shop", id, "--rev", rev, "--json"]);
                if let Ok(told) = told {
                    assert_eq!(serde_json::from_str::<Value>(&told)?, found, "{rev}");
                }
                let names: Vec<&str> = version["attachments"]
                    .as_array()
                    .ok_or("no attachments")?
                    .iter()
                    .filter_map(|its| its["name"].as_str())
                    .collect();
                let stubs: Vec<&String> =
                    found["_attachments"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
                assert_eq!(names, stubs, "{rev}");
                for attachment in version["attachments"].as_array().into_iter().flatten() {
                    let name = attachment["name"].as_str().ok_or("no name")?;
                    assert_eq!(attachment["digest"], found["_attachments"][name]["digest"], "{rev} {name}");
                    assert_eq!(attachment["length"], found["_attachments"][name]["length"], "{rev} {name}");
                }
                // Where it was the document, it is the document.
                if let Some(root) = version["shown"]["at"]["root"].as_str() {
                    let found = http.ask("GET", &format!("{root}shop/{path}"), None)?;
                    if version["deleted"] == true {
                        assert_eq!((found.status, &found.body["reason"]), (404, &json!("deleted")), "{rev}");
                    } else {
                        assert_eq!(found.body["_rev"], rev, "{version}");
                    }
                }
            }
            // The command finds the same ones.
            let told = couchcopy(&["history", arena.repo()?, "shop", id, "--json"])?;
            let lines: Vec<Value> = told.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            let revs = |list: &[Value]| list.iter().map(|its| its["rev"].clone()).collect::<Vec<_>>();
            assert_eq!(revs(&lines), revs(list), "{id}");
            let shown = |list: &[Value]| list.iter().filter(|its| its["shown"].is_object()).count();
            assert_eq!(shown(&lines), shown(list), "{id}");
        }
        // The version that was only between two backups is in a state of a file.
        let page = versions(&http, "doc-a", 16)?.remove(0);
        let states = page["versions"].as_array().ok_or("no versions")?.iter();
        let states: Vec<&Value> = states.filter(|its| its["shown"]["at"]["at_seq"].is_string()).collect();
        assert!(states.len() >= 3, "{page}");

        for (path, status) in [
            ("/_backup/history?archive=1&db=shop", 400),
            ("/_backup/history?archive=1&doc=a", 400),
            ("/_backup/history?archive=1&db=shop&doc=a&limit=65", 400),
            ("/_backup/history?archive=1&db=shop&doc=a&from=x", 400),
            ("/_backup/history?archive=3&db=shop&doc=a", 404),
        ] {
            assert_eq!(http.ask("GET", path, None)?.status, status, "{path}");
        }
        for query in ["db=nosuch&doc=doc-a", "db=shop&doc=nosuch", "db=shop&doc=_local/x"] {
            let found = http.get(&format!("/_backup/history?archive=1&{query}"))?;
            assert_eq!((&found["versions"], &found["problems"]), (&json!([]), &json!([])), "{query}");
        }
    }
    Ok(())
}

/// The command that the page shows to bring a version back: also of a state of one file of several.
#[test]
fn a_version_is_brought_back_from_the_state_that_is_named() -> Result<()> {
    let Some(arena) = Arena::new(2)? else { return Ok(()) };
    history(&arena)?;
    let served = Served::start(&[&arena.repository], &[])?;
    let http = served.http();
    let node = arena.cluster.nodes[0].url().trim_start_matches("http://").to_owned();
    for id in ["doc-a", "doc-b"] {
        let page = versions(&http, id, 16)?.remove(0);
        for version in page["versions"].as_array().ok_or("no versions")? {
            let at = &version["shown"]["at"];
            let Some(backup) = at["backup"].as_str().filter(|_| version["deleted"] != true) else { continue };
            let place = format!("{}::{backup}", arena.repo()?);
            let (doc, db) = (format!("--doc={id}"), "--db=shop");
            let mut arguments = vec!["restore", db, "--rewind", &doc];
            let at_seq = at["at_seq"].as_str().map(|seq| format!("--at-seq={seq}"));
            arguments.extend(at_seq.as_deref());
            arguments.extend([place.as_str(), &node, "-y"]);
            couchcopy(&arguments)?;
            let rev = version["rev"].as_str().ok_or("no revision")?;
            let content = |mut document: Value| {
                if let Some(members) = document.as_object_mut() {
                    members.remove("_rev");
                    for attachment in
                        members.get_mut("_attachments").and_then(Value::as_object_mut).into_iter().flatten()
                    {
                        if let Some(facts) = attachment.1.as_object_mut() {
                            facts.remove("revpos");
                        }
                    }
                }
                document
            };
            let root = version["at"]["root"].as_str().ok_or("no root")?;
            let saved = http.get(&format!("{root}shop/{id}?rev={rev}&attachments=true"))?;
            let now = arena.http().get(&format!("/shop/{id}?attachments=true"))?;
            assert_eq!(content(now), content(saved), "{id} {rev}");
        }
    }
    Ok(())
}

/// `serve` at an earlier moment: of a database at a sequence, and of a repository at a time.
#[test]
fn an_earlier_moment_is_served() -> Result<()> {
    let Some(arena) = Arena::new(2)? else { return Ok(()) };
    arena.http().put("/shop", &Value::Null)?;
    for number in 0..20 {
        arena.write(&format!("doc-{number}"), Some(&json!({"n": number})))?;
    }
    let then = arena.save()?;
    std::thread::sleep(Duration::from_millis(1100));
    arena.write("doc-1", Some(&json!({"n": "later"})))?;
    arena.write("doc-2", None)?;
    arena.write("doc-new", Some(&json!({})))?;
    let now = arena.save()?;
    let member = PathBuf::from(format!("{}::{}", arena.repo()?, now.id));
    let archive = arena.cluster.dir().join("now.tar.gz");
    couchcopy(&["repo", "copy", member.to_str().ok_or("no text")?, archive.to_str().ok_or("no text")?])?;
    let places: [&Path; 2] = [&archive, &member];
    for place in places {
        let served = Served::start(&[place], &["--at-seq", &then.update_seq, "--only", "shop"])?;
        assert_eq!(documents(&served.http(), "/shop")?, then.documents, "{}", place.display());
        assert_eq!(served.http().get("/shop")?["doc_count"], 20);
        assert_eq!(served.http().get("/shop/_changes")?["results"].as_array().map(Vec::len), Some(20));
        assert_eq!(served.http().get("/_all_dbs")?, json!(["shop"]));
        // As it was saved.
        let served = Served::start(&[place], &[])?;
        assert_eq!(documents(&served.http(), "/shop")?, now.documents, "{}", place.display());
    }
    // Of a repository, one backup is served.
    let begun = |id: &str| {
        let part = |from: usize, to: usize| id[from..to].to_owned();
        let (day, time) = (
            [part(0, 4), part(4, 6), part(6, 8)].join("-"),
            [part(9, 11), part(11, 13), part(13, 15)].join(":"),
        );
        format!("{day}T{time}Z")
    };
    let served = Served::start(&[&arena.repository], &["--at", &begun(&then.id)])?;
    assert_eq!(documents(&served.http(), "/shop")?, then.documents);
    assert_eq!(served.http().get("/_backup/archives")?[0]["backups"], Value::Null);
    // Sequences of several databases, and of what is not a sequence, are refused.
    for (arguments, code) in [
        (vec!["serve", "--at-seq", "5", arena.repo()?], "CC-X27"),
        (vec!["serve", "--at-seq", "x", "--only", "shop", arena.repo()?], "CC-H01"),
        (vec!["serve", "--at", "x", arena.repo()?], "CC-H08"),
    ] {
        let ended = run(Command::new(binary()?).args(&arguments))?.unwrapped();
        assert_eq!(ended.code, Some(5), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(code), "{arguments:?}: {}", ended.stderr);
    }
    Ok(())
}

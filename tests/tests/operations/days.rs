//! Thirty days of a site, one after the other: a clock that is told what day it is, a CouchDB whose documents change every day, and
//! a record of what they were.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use couchcopy_tests::Result;
use couchcopy_tests::clock::{Clock, DAY, Dated};
use couchcopy_tests::compare::compare;
use couchcopy_tests::content::read_cluster;
use couchcopy_tests::fixtures::files_below;
use couchcopy_tests::lab::{Cluster, Http, Installation, Size, read_over_http, wait_for};
use serde_json::{Value, json};

use crate::site::{IDENTITY, RECIPIENT, Site};

/// Tuesday, 2055-04-13 at two o'clock, in seconds since 1970. The same weekdays as in 2027.
const FIRST: u64 = 2_691_194_400;
/// The day without a backup, from 0 on: Sunday, 2055-04-25, of which the rules would have kept one.
const MISSED: u64 = 12;
const DAYS: u64 = 30;

const CONFIGURATION: &str = "[cluster.prod]\n[[cluster.prod.node]]\nhost = 'localhost'\ndata = 'DATA'\n\
     [repository.main]\nlocation = '{home}/repository'\nrecipients = ['RECIPIENT']\nidentity = ['offline.txt']\n\
     host_key = 'host.key'\nkeep = { daily = 5, weekly = 4, monthly = 2 }\nverify = '20%'\n\
     [health]\nmax_age = '26h'\nmax_unverified = '50h'\n";

/// Which backups the rules keep after the last day, Wednesday, 2055-05-12: five days, the last days of four weeks, and the last
/// days of two months.
const KEPT: [&str; 8] =
    ["20550424", "20550430", "20550502", "20550508", "20550509", "20550510", "20550511", "20550512"];

#[test]
fn thirty_days() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let site = Site::new("")?;
    let Some(mut clock) = Clock::at(&site.couchcopy, FIRST)? else { return Ok(()) };
    let cluster = Cluster::fresh(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    prepare(&site, &cluster)?;
    expect(&clock, 0, &["config", "check"])?;
    expect(&clock, 0, &["repo", "init"])?;
    let repository = site.path("repository");
    let mut dated = Dated::new(repository.clone());
    dated.date(&clock)?;

    let mut record = BTreeMap::new();
    for day in 0..DAYS {
        change(cluster.http(), day)?;
        if day == MISSED {
            // Nobody is there to see it but who asks.
            clock.pass(6 * 3600);
            let told = expect(&clock, 2, &["health"])?;
            assert!(told.starts_with("CRITICAL - "), "{told}");
            clock.pass(DAY - 6 * 3600);
            continue;
        }
        let content = documents(read_over_http(cluster.http())?)?;
        let result: Value = serde_json::from_str(&expect(&clock, 0, &["run", "--json"])?)?;
        let steps = result["runs"][0]["steps"].as_array().ok_or("no steps")?;
        assert!(
            steps.len() == 5 && steps.iter().all(|step| step["outcome"] == "done"),
            "day {day}: {steps:?}"
        );
        let id = steps[0]["result"]["in_repository"]["id"].as_str().ok_or("no id")?.to_owned();
        record.insert(id, content);
        dated.date(&clock)?;
        clock.pass(3600);
        let told = expect(&clock, 0, &["health"])?;
        assert!(told.starts_with("OK - "), "day {day}: {told}");
        clock.pass(DAY - 3600);
    }

    let list: Value = serde_json::from_str(&expect(&clock, 0, &["repo", "list", "--json"])?)?;
    let listed = list["backups"].as_array().ok_or("no list")?;
    let ids: Vec<&str> = listed.iter().filter_map(|backup| backup["id"].as_str()).collect();
    let days: Vec<&str> = ids.iter().map(|id| &id[..8]).collect();
    assert_eq!(days, KEPT);
    for id in &ids {
        let recorded = record.get(*id).ok_or("a backup of no day")?;
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let target = format!("{},couchdb@127.0.0.1", data.display());
        expect(&clock, 0, &["restore", "--offline", &format!("::{id}"), &target])?;
        assert_eq!(compare(recorded, &documents(read_cluster(&[&data])?)?), [""; 0], "{id}");
        expect(&clock, 0, &["verify", &format!("::{id}")])?;
    }
    check_nothing_else(&site, &mut clock, &mut dated, &ids)
}

/// The site of this cluster, with the private key: it verifies.
fn prepare(site: &Site, cluster: &Cluster) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let data = cluster.nodes[0].data.display().to_string();
    site.configure(&CONFIGURATION.replace("DATA", &data).replace("RECIPIENT", RECIPIENT))?;
    let identity = site.path("config/couchcopy/offline.txt");
    fs::write(&identity, IDENTITY)?;
    Ok(fs::set_permissions(&identity, fs::Permissions::from_mode(0o600))?)
}

/// What a day brings: new, changed and deleted documents, an attachment; now and then a database that comes or goes, or a
/// compaction, which writes everything anew.
fn change(http: &Http, day: u64) -> Result<()> {
    if day == 0 {
        http.put("/shop", &Value::Null)?;
    }
    let text = |i: u64| format!("{day}.{i} ").repeat(200 + usize::try_from(day * 7 + i).unwrap_or(0));
    let docs: Vec<Value> = (0..20)
        .map(|i| json!({ "_id": format!("order-{day:02}-{i:02}"), "day": day, "text": text(i) }))
        .collect();
    http.post("/shop/_bulk_docs", &json!({ "docs": docs }))?;
    let attached =
        json!({ "_attachments": { "day.txt": { "content_type": "text/plain", "data": "SGVsbG8=" } } });
    http.put(&format!("/shop/letter-{day:02}"), &attached)?;
    if let Some(before) = day.checked_sub(1) {
        for (number, is_deleted) in [(3, true), (4, false)] {
            let path = format!("/shop/order-{before:02}-{number:02}");
            let mut doc = http.get(&path)?;
            doc["changed"] = day.into();
            if is_deleted {
                doc["_deleted"] = true.into();
            }
            http.put(&path, &doc)?;
        }
    }
    if day.is_multiple_of(6) {
        http.put(&format!("/week-{day:02}"), &Value::Null)?;
        http.put(&format!("/week-{day:02}/first"), &json!({ "text": text(0) }))?;
        if day > 6 {
            http.delete(&format!("/week-{:02}", day - 12))?;
        }
    }
    if day % 9 == 8 {
        http.post("/shop/_compact", &json!({}))?;
        wait_for("the compaction", || Ok((http.get("/shop")?["compact_running"] == false).then_some(())))?;
    }
    Ok(())
}

/// The databases that are not CouchDB's own.
fn documents(content: Value) -> Result<Value> {
    let Value::Object(mut databases) = content else { return Err("no databases".into()) };
    databases.retain(|name, _| !name.starts_with('_'));
    Ok(databases.into())
}

/// When the time of grace is over, each object that is still there is needed: without it, `repo check` complains.
fn check_nothing_else(site: &Site, clock: &mut Clock, dated: &mut Dated, ids: &[&str]) -> Result<()> {
    for _ in 0..3 {
        clock.pass(2 * DAY);
        expect(clock, 0, &["repo", "prune"])?;
        dated.date(clock)?;
    }
    let repository = site.path("repository");
    let objects = files_below(&repository)?;
    let below = |folder: &str| objects.iter().filter(|name| name.starts_with(folder)).collect::<Vec<_>>();
    let snapshots: Vec<String> = ids.iter().map(|id| format!("snapshots/{id}")).collect();
    assert_eq!(below("snapshots/"), snapshots.iter().collect::<Vec<_>>());
    let (packs, manifests) = (below("packs/"), below("manifests/"));
    let count = 2 + snapshots.len() + packs.len() + manifests.len();
    assert_eq!(objects.len(), count, "{objects:?}");
    assert!(packs.len() > 1 && !manifests.is_empty(), "{objects:?}");
    expect(clock, 0, &["repo", "check"])?;
    for name in packs.into_iter().chain(manifests) {
        let (there, away) = (repository.join(name), site.path("away"));
        fs::rename(&there, &away)?;
        forget(site)?;
        let told = clock.run(&["repo", "check"])?;
        assert!(told.code != Some(0), "{name}: nobody needs it");
        fs::rename(&away, &there)?;
    }
    forget(site)?;
    expect(clock, 0, &["repo", "check"])?;
    Ok(())
}

/// Lets couchcopy forget what it has read.
fn forget(site: &Site) -> Result<()> {
    let cache: &Path = &site.path("cache");
    if cache.exists() {
        fs::remove_dir_all(cache)?;
    }
    Ok(())
}

/// What the command prints. Fails unless it ends with this code.
fn expect(clock: &Clock, code: i32, arguments: &[&str]) -> Result<String> {
    let ended = clock.run(arguments)?;
    if ended.code != Some(code) {
        return Err(format!("{arguments:?} ended with {ended:?} instead of {code}").into());
    }
    Ok(ended.stdout)
}

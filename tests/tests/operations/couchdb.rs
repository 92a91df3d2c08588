//! A site whose node is a real CouchDB: what is in the configuration file is enough to save, restore and check.

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Installation, PASSWORD, Size, USER};
use serde_json::{Value, json};

use crate::site::Site;

const CONFIGURATION: &str = "[cluster.prod.defaults]\nuser = 'USER'\npassword_file = 'prod.password'\n\
     service = { plugin = 'command', start = 'true', stop = 'true' }\n[[cluster.prod.node]]\nhost = 'localhost'\n\
     name = 'NAME'\ndata = 'DATA'\nurl = 'URL'\n[repository.main]\nlocation = '{home}/repository'\n";

#[test]
fn a_database_comes_back_without_arguments() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let cluster = Cluster::fresh(&couchdb, Size { nodes: 1, q: 2, n: 1 })?;
    let http = cluster.http();
    http.put("/shop", &Value::Null)?;
    let docs: Vec<Value> = (0..300).map(|i| json!({ "_id": format!("order-{i:03}"), "total": i })).collect();
    http.post("/shop/_bulk_docs", &json!({ "docs": docs }))?;
    http.put("/shop/_revs_limit", &json!(77))?;
    let saved = http.get("/shop/_all_docs?include_docs=true")?;

    let node = &cluster.nodes[0];
    let data = node.data.display().to_string();
    let replaced = [("USER", USER), ("NAME", &node.name), ("DATA", &data), ("URL", &node.url())];
    let text = replaced.iter().fold(CONFIGURATION.to_owned(), |text, (from, to)| text.replace(from, to));
    let site = Site::new(&text)?;
    std::fs::write(site.path("config/couchcopy/prod.password"), format!("{PASSWORD}\n"))?;
    // What a user has granted to plugins is read there.
    let home = site.home.path().display().to_string();
    // Without TLS, nobody has to vouch for CouchDB: certificates need not be installed.
    let bare = [("HOME", home.as_str()), ("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let couchcopy = site.couchcopy.and(&bare);
    couchcopy.expect(0, &["config", "check"])?;
    couchcopy.expect(0, &["repo", "init"])?;
    let result = couchcopy.json(&["run"])?;
    // The password in the file opens CouchDB: only it knows the limits.
    let backup = &result["runs"][0]["steps"][0]["result"];
    assert_eq!((&backup["databases"], backup["cluster"].is_object()), (&3.into(), true), "{backup}");

    http.delete("/shop")?;
    let restored = couchcopy.json(&["restore", "--db", "shop"])?;
    assert_eq!(restored["databases"].as_array().map(Vec::len), Some(1), "{restored}");
    assert_eq!(http.get("/shop/_all_docs?include_docs=true")?["rows"], saved["rows"]);
    assert_eq!(http.get("/shop/_revs_limit")?, 77);

    let checked = couchcopy.run(&["check", "--json"])?;
    let proofs: Value = serde_json::from_str(&checked.stdout)?;
    let nodes: Vec<&str> = proofs["proofs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|proof| proof["node"].as_str())
        .collect();
    assert!(matches!(checked.code, Some(0 | 3)) && nodes.contains(&node.name.as_str()), "{checked:?}");
    Ok(())
}

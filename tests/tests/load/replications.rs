//! Replications that were at home in production do not start where the archive is loaded.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use couchcopy_tests::Result;
use couchcopy_tests::lab::{Cluster, Installation, Load, Size, couchcopy, wait_for};
use serde_json::{Value, json};

use super::archives::LAB_ADMIN;

/// The other end: takes connections and counts them, until it is dropped with the test.
struct OtherEnd {
    address: std::net::SocketAddr,
    connections: &'static AtomicUsize,
}

impl OtherEnd {
    fn new() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let connections: &'static AtomicUsize = Box::leak(Box::default());
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                drop(connection);
            }
        });
        Ok(Self { address, connections })
    }

    fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[test]
fn do_not_start() -> Result<()> {
    let Some(couchdb) = Installation::find() else { return Ok(()) };
    let other_end = OtherEnd::new()?;
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("backup.tar.gz");
    let size = Size { nodes: 1, q: 2, n: 1 };
    let source = Cluster::fresh(&couchdb, size)?;
    let http = source.http();
    for db in ["_replicator", "there/_replicator", "orders"] {
        let path = format!("/{}", couchcopy_tests::lab::encode(db));
        // One may be there already.
        http.ask("PUT", &path, Some(&Value::Null))?;
    }
    http.put("/orders/one", &json!({"value": 1}))?;
    let replication = |name: &str| {
        json!({
            // The source is what a replicator looks at first.
            "source": format!("http://{}/{name}", other_end.address),
            "target": format!("http://admin:password@127.0.0.1:1/{name}"),
            "continuous": true,
        })
    };
    let saved = http.put("/_replicator/nightly", &replication("nightly"))?;
    http.put("/there%2F_replicator/hourly", &replication("hourly"))?;
    let mut arguments = vec!["backup".to_owned()];
    arguments.extend(source.folders().iter().map(|node| format!("localhost,{}", node.data.display())));
    arguments.push(archive.display().to_string());
    couchcopy(&arguments)?.success()?;
    drop(source);

    // The same archive on a node that does what CouchDB does: it connects.
    let mut restored = Cluster::prepare(&couchdb, size)?;
    let node = &restored.folders()[0];
    let to = format!("{},{}", node.data.display(), node.name);
    couchcopy(&["restore", "--offline", &archive.display().to_string(), &to])?.success()?;
    let before = other_end.count();
    let begun = Instant::now();
    restored.start()?;
    wait_for("the replication to start where nothing keeps it", || {
        Ok((other_end.count() > before).then_some(()))
    })?;
    let it_takes = begun.elapsed();
    drop(restored);

    let begun = Instant::now();
    let mut load = Load::start(&couchdb, dir.path(), &archive, &LAB_ADMIN)?;
    let before = other_end.count();
    let told = load.wait_until_up()?;
    let http = told.http();
    // Nor does what is new. A state of an older version is taken out of a document by whoever works on it.
    let mut triggered = replication("new");
    triggered["_replication_state"] = "triggered".into();
    http.put("/_replicator/new", &triggered)?;
    let asked = http.ask("POST", "/_replicate", Some(&replication("asked")))?;
    assert!(!asked.is_success(), "{asked:?}");
    while begun.elapsed() < it_takes * 3 + Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(other_end.count(), before);
    }
    assert_eq!(http.get("/_active_tasks")?, json!([]));
    assert_eq!(http.get("/_replicator/new")?["_replication_state"], "triggered");
    assert_eq!(http.get("/_replicator/nightly")?["_rev"], saved["rev"]);
    Ok(())
}

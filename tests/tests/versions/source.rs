//! One of every kind of thing, written by one version of CouchDB and saved.

use std::path::PathBuf;
use std::time::Duration;

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{
    Cluster, Http, Installation, Size, back_up, couchcopy, fill_zoo, query_zoo, read_over_http, wait_for,
};
use serde_json::Value;
use tempfile::TempDir;

/// How long CouchDB may take to write what it writes by itself into new system databases. Older versions begin after five seconds.
const BY_ITSELF: Duration = Duration::from_secs(7);

/// An archive of what a CouchDB wrote.
pub(super) struct Source {
    /// The version that wrote it.
    pub(super) version: String,
    /// Whether that hashes passwords as CouchDB before 3.4 does.
    pub(super) old_passwords: bool,
    /// The archive.
    pub(super) archive: PathBuf,
    /// What is in it, as that CouchDB tells it.
    pub(super) content: Value,
    _dir: TempDir,
}

impl Source {
    /// Runs a cluster of two nodes, saves it and proves the archive.
    pub(super) fn make(couchdb: &Installation) -> Result<Self> {
        let cluster = Cluster::fresh(couchdb, Size { nodes: 2, q: 2, n: 2 })?;
        fill_zoo(cluster.http())?;
        cluster.wait_until_settled(query_zoo)?;
        let content = settled(cluster.http())?;
        assert_eq!(content.as_object().map(serde_json::Map::len), Some(16));
        let dir = tempfile::tempdir()?;
        let archive = dir.path().join("backup.tar.gz");
        back_up(&cluster.folders(), &archive)?;
        assert_eq!(compare(&content, &read_over_http(cluster.http())?), [""; 0], "nobody wrote");
        couchcopy(&["verify".as_ref(), archive.as_os_str()])?.success()?;
        Ok(Self {
            version: couchdb.version()?,
            old_passwords: !couchdb.is_at_least(3, 4)?,
            archive,
            content,
            _dir: dir,
        })
    }
}

/// What a node tells when it writes nothing more by itself.
fn settled(http: &Http) -> Result<Value> {
    wait_for("the content to stay as it is", || {
        let before = read_over_http(http)?;
        std::thread::sleep(BY_ITSELF);
        let after = read_over_http(http)?;
        Ok(compare(&before, &after).is_empty().then_some(after))
    })
}

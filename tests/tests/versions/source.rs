//! One of every kind of thing, written by one version of CouchDB and saved.

use std::path::PathBuf;

use couchcopy_tests::Result;
use couchcopy_tests::compare::compare;
use couchcopy_tests::lab::{Cluster, Installation, Size, couchcopy, fill_zoo, query_zoo, read_over_http};
use couchcopy_tests::live::back_up;
use serde_json::Value;
use tempfile::TempDir;

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
        let content = read_over_http(cluster.http())?;
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

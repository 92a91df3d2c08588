//! A cluster with a database that changes, and the command for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{
    Cluster, Ended, Http, Installation, PASSWORD, Size, back_up, binary, run, wait_for,
};
use couchcopy_tests::random::SplitMix;
use serde_json::{Value, json};

/// Every leaf that is not deleted, with its attachments, by id and revision.
pub(super) type Content = BTreeMap<(String, String), Value>;

/// A running cluster.
pub(super) struct Arena {
    pub(super) cluster: Cluster,
}

impl Arena {
    /// One node; where no CouchDB is installed, says so.
    pub(super) fn new(q: u32) -> Result<Option<Self>> {
        let Some(couchdb) = Installation::find() else { return Ok(None) };
        let arena = Self { cluster: Cluster::fresh(&couchdb, Size { nodes: 1, q, n: 1 })? };
        // No compaction but those of the tests.
        for channel in ["ratio_dbs", "slack_dbs"] {
            let path = format!("/_node/_local/_config/smoosh.{channel}/min_priority");
            arena.http().put(&path, &json!("1000000000000.0"))?;
        }
        Ok(Some(arena))
    }

    pub(super) fn http(&self) -> &Http {
        self.cluster.http()
    }

    /// A path that goes away with the cluster.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.cluster.dir().join(name)
    }

    /// Saves the cluster into an archive of this name.
    pub(super) fn back_up(&self, name: &str) -> Result<PathBuf> {
        let archive = self.path(name);
        back_up(&self.cluster.folders(), &archive)?;
        Ok(archive)
    }

    /// The node as the command line names it.
    pub(super) fn node(&self) -> String {
        self.cluster.nodes[0].url().trim_start_matches("http://").to_owned()
    }

    /// `couchcopy` with these arguments.
    pub(super) fn command(arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(arguments).env("COUCHCOPY_PASSWORD", PASSWORD);
        command.env_remove("COUCHCOPY_TEST_KILL_AFTER_STEP");
        Ok(command)
    }

    /// Runs it.
    #[allow(clippy::unused_self)] // It belongs to the arena: it is the command of its cluster.
    pub(super) fn couchcopy(&self, arguments: &[&str]) -> Result<Ended> {
        Ok(run(&mut Self::command(arguments)?)?.unwrapped())
    }

    /// Runs it; it has to be refused with this code.
    pub(super) fn refused(&self, code: &str, arguments: &[&str]) -> Result<String> {
        let ended = self.couchcopy(arguments)?;
        if ended.code != Some(5) || !ended.stderr.contains(code) {
            return Err(format!("{arguments:?} was not refused with {code}: {ended:#?}").into());
        }
        Ok(ended.stderr)
    }

    /// The lines of JSON that it prints.
    pub(super) fn lines(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let printed = self.couchcopy(arguments)?.success().map_err(|e| format!("{arguments:?}: {e}"))?;
        let parse =
            |line| serde_json::from_str(line).map_err(|e| format!("{arguments:?}: {e}: {line}").into());
        printed.lines().map(parse).collect()
    }

    /// All leaves of a database in a backup at a moment.
    pub(super) fn dumped(&self, archive: &Path, db: &str, moment: &[&str]) -> Result<Content> {
        let archive = archive.to_str().ok_or("a path that is no text")?;
        let lines = self.lines(&[&["dump", archive, db, "--conflicts", "--attachments"], moment].concat())?;
        lines.into_iter().map(|document| Ok((name(&document)?, document))).collect()
    }

    /// Compacts a database and waits for the end.
    pub(super) fn compact(&self, db: &str) -> Result<()> {
        self.http().post(&format!("/{db}/_compact"), &json!({}))?;
        wait_for("the compaction", || {
            Ok((self.http().get(&format!("/{db}"))?["compact_running"] == false).then_some(()))
        })
    }
}

fn name(document: &Value) -> Result<(String, String)> {
    let text = |key: &str| document[key].as_str().map(str::to_owned).ok_or("a document without a name");
    Ok((text("_id")?, text("_rev")?))
}

/// All leaves of a database, as HTTP shows them.
pub(super) fn content(http: &Http, db: &str) -> Result<Content> {
    let rows = http.get(&format!("/{db}/_all_docs?include_docs=true&conflicts=true&attachments=true"))?;
    let mut content = Content::new();
    for row in rows["rows"].as_array().ok_or("no rows")? {
        let mut document = row["doc"].clone();
        let conflicts = document.as_object_mut().and_then(|members| members.remove("_conflicts"));
        for rev in conflicts.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str) {
            let id = document["_id"].as_str().ok_or("no id")?;
            let other = http.get(&format!("/{db}/{id}?rev={rev}&attachments=true"))?;
            content.insert(name(&other)?, other);
        }
        content.insert(name(&document)?, document);
    }
    Ok(content)
}

/// The winning revisions of the documents that exist, as HTTP shows them.
pub(super) fn winners(http: &Http, db: &str) -> Result<BTreeMap<String, Value>> {
    let rows = http.get(&format!("/{db}/_all_docs?include_docs=true&attachments=true"))?;
    let rows = rows["rows"].as_array().ok_or("no rows")?.iter();
    rows.map(|row| Ok((row["id"].as_str().ok_or("no id")?.to_owned(), row["doc"].clone()))).collect()
}

/// Changes documents at random: new, edited, deleted, purged and conflicting ones, some with attachments.
pub(super) struct Changes {
    random: SplitMix,
    ids: usize,
    written: u64,
}

impl Changes {
    /// So many ids are used.
    pub(super) fn new(seed: u64, ids: usize) -> Self {
        Self { random: SplitMix(seed), ids, written: 0 }
    }

    fn id(&mut self) -> String {
        format!("doc-{:05}", self.random.below(self.ids))
    }

    fn body(&mut self) -> Value {
        self.written += 1;
        let mut body = json!({"n": self.written, "text": "x".repeat(self.random.below(300))});
        if self.random.below(8) == 0 {
            let data = couchcopy_tests::random::text(self.written, 40 + self.random.below(400) / 4 * 4);
            let data = data.replace([':', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '^', '_', '`'], "A");
            body["_attachments"] = json!({"a.txt": {"content_type": "text/plain", "data": data}});
        }
        body
    }

    /// Writes every document once.
    pub(super) fn fill(&mut self, http: &Http, db: &str) -> Result<()> {
        let documents: Vec<Value> = (0..self.ids)
            .map(|i| {
                let mut document = self.body();
                document["_id"] = json!(format!("doc-{i:05}"));
                document
            })
            .collect();
        http.post(&format!("/{db}/_bulk_docs"), &json!({"docs": documents}))?;
        Ok(())
    }

    /// So many changes.
    pub(super) fn round(&mut self, http: &Http, db: &str, changes: usize) -> Result<()> {
        let mut ids: Vec<String> = (0..changes).map(|_| self.id()).collect();
        ids.sort();
        ids.dedup();
        let found = http.post(&format!("/{db}/_all_docs"), &json!({"keys": ids}))?;
        let (mut edits, mut conflicts) = (Vec::new(), Vec::new());
        for row in found["rows"].as_array().ok_or("no rows")? {
            let (id, rev) = (&row["key"], row["value"]["rev"].as_str());
            let is_deleted = row["value"]["deleted"] == true;
            let mut document = self.body();
            document["_id"] = id.clone();
            match (self.random.below(10), rev) {
                (0, Some(rev)) if !is_deleted => {
                    let purged = json!({id.as_str().ok_or("no id")?: [rev]});
                    http.post(&format!("/{db}/_purge"), &purged)?;
                }
                (1 | 2, Some(rev)) if !is_deleted => {
                    edits.push(json!({"_id": id, "_rev": rev, "_deleted": true}));
                }
                (3, Some(_)) if !is_deleted => {
                    document["_rev"] = json!(format!("1-{:032x}", self.random.next()));
                    if let Some(members) = document.as_object_mut() {
                        members.remove("_attachments");
                    }
                    conflicts.push(document);
                }
                (_, Some(rev)) if !is_deleted => {
                    document["_rev"] = json!(rev);
                    edits.push(document);
                }
                _ => edits.push(document),
            }
        }
        // In several commits, so that there are states between the rounds.
        for part in edits.chunks(20) {
            http.post(&format!("/{db}/_bulk_docs"), &json!({"docs": part}))?;
        }
        http.post(&format!("/{db}/_bulk_docs"), &json!({"new_edits": false, "docs": conflicts}))?;
        Ok(())
    }
}

//! What can be wrong with a cluster.

use std::fmt;

use serde::Serialize;

/// How severe a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingSeverity {
    /// Data is damaged, missing or not served as it should be.
    Error,
    /// Something that costs room, or leads to an error if it stays.
    Warning,
    /// Something to know; nothing is wrong.
    Note,
}

impl fmt::Display for FindingSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Note => "note",
        })
    }
}

/// Declares the kinds of findings with identifier, severity and the general remedy.
macro_rules! kinds {
    ($($(#[$doc:meta])+ $name:ident, $id:literal, $severity:ident, $remedy:literal;)*) => {
        /// The kinds of findings. Their identifiers do not change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind {
            $($(#[$doc])+ $name,)*
        }

        impl FindingKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The identifier, for monitoring.
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// How severe it is.
            pub fn severity(self) -> FindingSeverity {
                match self { $(Self::$name => FindingSeverity::$severity,)* }
            }

            /// What to do about it. `{db}` stands for the name of the database in a URL.
            fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

kinds! {
    /// A node has no `_dbs.couch`.
    MapsMissing, "maps-missing", Error,
        "Start CouchDB on this node while another node runs: the other nodes send it their shard maps. If no node has shard maps, \
         save the data with `couchcopy backup --rebuild-maps` and restore it before CouchDB starts.";
    /// The `_dbs.couch` of a node cannot be opened.
    MapsDamaged, "maps-damaged", Error,
        "Stop CouchDB on this node, move _dbs.couch out of the data directory, and start it while another node runs: the other \
         nodes send it their shard maps. If no node has shard maps, save the data with `couchcopy backup --rebuild-maps` first.";
    /// A shard map cannot be read.
    MapDamaged, "map-damaged", Error,
        "Stop CouchDB on this node, move _dbs.couch out of the data directory, and start it while another node runs: the other \
         nodes send it their shard maps.";
    /// A database has several shard maps in conflict.
    MapConflict, "map-conflict", Error,
        "See GET /_node/_local/_dbs/{db}?conflicts=true. Save the content of the shards with the losing suffix if you need it, \
         then delete the losing revision with DELETE /_node/_local/_dbs/{db}?rev=REV.";
    /// Nodes have different shard maps.
    MapsDiffer, "maps-differ", Error,
        "Check that the nodes see each other (GET /_membership) and that CouchDB runs on all of them: the shard maps are \
         replicated between the nodes.";
    /// The ranges of a shard map leave gaps.
    MapGap, "map-gap", Error,
        "Write the missing ranges into the shard map (PUT /_node/_local/_dbs/{db}), or restore the database from a backup with \
         `couchcopy restore --db`.";
    /// A shard map names a node that is not a member of the cluster.
    UnknownNode, "unknown-node", Error,
        "Assign the copies to a node of the cluster: edit the shard maps (PUT /_node/_local/_dbs/NAME), or add the node again \
         (PUT /_node/_local/_nodes/NODE).";
    /// A node does not have a copy that the shard map assigns to it.
    MissingCopy, "missing-copy", Error,
        "If another node has a copy, start CouchDB on this node and send POST /{db}/_sync_shards to it: CouchDB creates the copy and \
         fills it. Then set the security object again with PUT /{db}/_security. If no node has one, restore the database from a \
         backup with `couchcopy restore --db`.";
    /// A copy of a shard is damaged.
    DamagedCopy, "damaged-copy", Error,
        "If another node has an intact copy, stop CouchDB on this node, move the file out of the data directory, start CouchDB, and \
         send POST /{db}/_sync_shards to it. Then set the security object again with PUT /{db}/_security. If no copy is intact, \
         restore the database from a backup with `couchcopy restore --db`.";
    /// A copy holds documents of another range.
    MisplacedDocuments, "misplaced-documents", Error,
        "CouchDB does not find these documents by their ids. Read them from the shard (GET \
         /_node/_local/shards%2FRANGE%2FNAME.SUFFIX/_all_docs), write them into the database, and purge them in the shard.";
    /// Copies of a range have the same uuid.
    SharedUuid, "shared-uuid", Error,
        "Internal replication skips writes between copies with the same uuid. Save the database with `couchcopy backup` and restore \
         it: couchcopy gives every copy its own uuid. Or replicate it into a new database.";
    /// The shards of a database have different security objects.
    SecurityDiffers, "security-differs", Error,
        "CouchDB answers with the object of any copy. Set the right one again: PUT /{db}/_security.";
    /// A copy has other properties than the shard map.
    PropertiesDiffer, "properties-differ", Error,
        "CouchDB looks for documents in the wrong range. Restore the database from a backup with `couchcopy restore --db`.";
    /// A view index is ahead of its shard.
    IndexAhead, "index-ahead", Error,
        "CouchDB never adds to this index what is written until the shard has caught up. Stop CouchDB on this node, remove the \
         index file, and start it: CouchDB builds the index again.";
    /// Shards that no shard map has ever named.
    UnknownShards, "unknown-shards", Error,
        "If _dbs.couch was lost, save the data with `couchcopy backup --rebuild-maps`. If these files are not needed, remove them.";
    /// A copy lacks documents that another copy has.
    DocumentsDiffer, "documents-differ", Warning,
        "Send POST /{db}/_sync_shards to any node, and run `couchcopy doctor` again. If the difference stays, check that the nodes \
         see each other (GET /_membership), and look for mem3_sync in the log of the node that has more.";
    /// A copy has not purged what another copy has purged.
    PurgesDiffer, "purges-differ", Warning,
        "Check that `[mem3] replicate_purges` is not false, and send POST /{db}/_sync_shards to any node. If the difference stays, \
         purge the documents again with POST /{db}/_purge.";
    /// The shards of a database have different limits.
    LimitsDiffer, "limits-differ", Warning,
        "Set the limit again with PUT /{db}/_revs_limit or PUT /{db}/_purged_infos_limit, and write something into each shard: \
         CouchDB writes the limits into the files with the next change.";
    /// A range has fewer copies than the other ranges of its database.
    TooFewCopies, "too-few-copies", Warning,
        "Add nodes to this range in the shard map (PUT /_node/_local/_dbs/{db}).";
    /// A copy was written by a newer CouchDB.
    NewerFormat, "newer-format", Warning,
        "Update couchcopy: it cannot examine this file.";
    /// A view index is damaged.
    IndexDamaged, "index-damaged", Warning,
        "Stop CouchDB on this node, remove the index file, and start it: CouchDB builds the index again.";
    /// Files of a shard map that lost a conflict.
    LosingShards, "losing-shards", Warning,
        "Save their content if you need it, delete the losing revision of the shard map, and remove the files.";
    /// Shards of a database that was deleted.
    DeletedDatabase, "deleted-database", Warning,
        "Remove the files: CouchDB does not use them.";
    /// A copy on a node to which the shard map does not assign it.
    ExtraCopy, "extra-copy", Warning,
        "If shards are being split or moved, wait for the end. Otherwise remove the files: CouchDB does not use them.";
    /// What a compaction that did not end has left.
    CompactionLeft, "compaction-left", Warning,
        "Compact the database or the view again: CouchDB goes on with these files and removes them at the end. If smoosh has suspended \
         the compaction, nothing is wrong.";
    /// Softly deleted databases.
    SoftDeleted, "soft-deleted", Note,
        "`[couchdb] enable_database_recovery` keeps them. Remove the files if they are not needed.";
    /// Databases of CouchDB 1.x.
    OldDatabase, "old-database", Note,
        "Replicate them into the cluster, or remove the files.";
    /// View indexes of shards that are not there.
    OrphanIndex, "orphan-index", Note,
        "Remove the directories: CouchDB does not use them.";
    /// What a restore has left.
    RestoreLeft, "restore-left", Note,
        "`couchcopy status NODE…` shows what it is, `couchcopy clean NODE…` removes it.";
    /// Files that CouchDB is about to remove.
    AwaitsDeletion, "awaits-deletion", Note,
        "CouchDB removes them when it starts.";
    /// Shards that are being split.
    Splitting, "splitting", Note,
        "GET /_reshard/jobs shows how far it is. Look again at the end.";
    /// A member of the cluster was not given.
    NodeNotGiven, "node-not-given", Note,
        "Name this node, too: its copies were not examined.";
}

impl Serialize for FindingKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How severe it is.
    pub severity: FindingSeverity,
    /// What it is.
    pub kind: FindingKind,
    /// The database, if it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The range, as two times eight hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// The node: its name, or else the place of its data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The file, by its path below the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What was found.
    pub found: String,
    /// Bytes that the files take, if they are in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// A finding that concerns nothing in particular yet.
    pub(super) fn new(kind: FindingKind, found: impl Into<String>) -> Self {
        Self {
            severity: kind.severity(),
            kind,
            database: None,
            range: None,
            node: None,
            file: None,
            found: found.into(),
            bytes: None,
            remedy: kind.remedy().to_owned(),
        }
    }

    /// Of this database.
    pub(super) fn of(mut self, database: &str) -> Self {
        self.remedy = self.remedy.replace("{db}", &node::encode(database));
        self.database = Some(database.to_owned());
        self
    }

    /// Of this range.
    pub(super) fn in_range(mut self, range: impl fmt::Display) -> Self {
        self.range = Some(range.to_string());
        self
    }

    /// On this node.
    pub(super) fn on(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// This file below the data directory.
    pub(super) fn file(mut self, path: impl Into<String>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Files that take so many bytes.
    pub(super) fn taking(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// A number that is the same for the same finding of a later look; what was found may be worded otherwise.
    pub(super) fn key(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        (self.kind, &self.database, &self.range, &self.node, &self.file).hash(&mut hasher);
        hasher.finish()
    }
}

/// A number with its noun: `1 shard`, `2 shards`.
pub(super) fn counted(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn identifiers_differ_and_every_kind_has_a_remedy() {
        let ids: BTreeSet<&str> = FindingKind::ALL.iter().map(|kind| kind.id()).collect();
        assert_eq!(ids.len(), FindingKind::ALL.len());
        for kind in FindingKind::ALL {
            assert!(kind.remedy().ends_with('.'), "{kind}");
        }
    }

    #[test]
    fn remedies_name_the_database() {
        let finding = Finding::new(FindingKind::SecurityDiffers, "x").of("a/b");
        assert!(finding.remedy.contains("PUT /a%2Fb/_security"), "{}", finding.remedy);
    }

    #[test]
    fn the_documentation_lists_every_kind_with_its_severity() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doctor.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, text) = text.split_once("\n## Findings\n").unwrap();
        let row = |line: &str| {
            let mut cells =
                line.strip_prefix("| `")?.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
            Some((cells.next()?, cells.next()?))
        };
        let documented: BTreeSet<(String, String)> = text.lines().filter_map(row).collect();
        let own = FindingKind::ALL
            .iter()
            .map(|kind| (kind.id().to_owned(), kind.severity().to_string().to_lowercase()));
        assert_eq!(documented, own.collect());
    }
}

//! Data on the nodes that is not saved.

use contents::{LeftOut, LeftOutKind};
use outcome::report::{Notice, Reporter, Severity};

/// The most items of a kind that a notice names.
const NAMED: usize = 5;

/// The text for data of this kind, and the remedy.
fn advice(kind: LeftOutKind) -> (&'static str, &'static str) {
    match kind {
        LeftOutKind::UnknownShards => (
            "shards that no shard map names are on the nodes and are NOT in the archive",
            "If _dbs.couch was lost or truncated, restore the shard maps from an older backup before these files are \
             removed",
        ),
        LeftOutKind::LosingShardMap => (
            "databases have two shard maps; the files of the map that CouchDB does not use are NOT in the archive",
            "See GET /_node/_local/_dbs/NAME?conflicts=true, save the content of the files with the other suffix, then delete \
             the losing revision",
        ),
        LeftOutKind::UnreachableDatabase => (
            "databases that the shard maps of some nodes name are on none of the given nodes and are NOT in the archive",
            "Give the data directories of the other nodes too",
        ),
        LeftOutKind::DeletedDatabase => {
            ("deleted databases have left shards behind, which are not in the archive", "")
        }
        LeftOutKind::FormerShards => (
            "databases have files of ranges that their shard map does not assign to that node; these files are out of date and \
             not in the archive",
            "",
        ),
        LeftOutKind::SoftDeleted => (
            "deleted databases are kept as files *.deleted.couch on the nodes, which are not in the archive",
            "Save them by hand if they may be needed: a restore removes them with the old data",
        ),
        LeftOutKind::OldDatabase => (
            "databases of CouchDB 1.x are next to the directory shards and are not in the archive",
            "Copy the files into a directory of their own and save that: couchcopy backup localhost,DIR ARCHIVE",
        ),
        LeftOutKind::Other => ("items of an unknown kind are not in the archive", ""),
    }
}

/// Reports all data that is left out, by kind.
pub(super) fn report(left_out: &[LeftOut], reporter: &dyn Reporter) {
    for of_kind in left_out.chunk_by(|one, next| one.kind == next.kind) {
        let Some(first) = of_kind.first() else { continue };
        let (what, now) = advice(first.kind);
        let named: Vec<String> = of_kind.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if of_kind.len() > NAMED { "; … (--json lists all)" } else { "" };
        let severity = if first.kind.is_loss() { Severity::Problem } else { Severity::Warning };
        let now = if now.is_empty() { String::new() } else { format!(". {now}.") };
        let text = format!("{what}: {}{more}{now}", named.join("; "));
        reporter.notice(&Notice { severity, text });
    }
}

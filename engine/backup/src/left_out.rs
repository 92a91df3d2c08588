//! What lies on the nodes and is not saved.

use contents::{LeftOut, LeftOutKind};
use outcome::report::{Notice, Reporter, Severity};

/// So many of a kind are named in a notice.
const NAMED: usize = 5;

/// What to say of things of this kind, and what to do about it.
fn advice(kind: LeftOutKind) -> (&'static str, &'static str) {
    match kind {
        LeftOutKind::UnknownShards => (
            "shards that no shard map names are on the nodes and are NOT in the archive",
            "If _dbs.couch was lost or truncated, restore the shard maps from an older backup before these files are \
             removed",
        ),
        LeftOutKind::LosingShardMap => (
            "databases have two shard maps; the files of the map that CouchDB does not use are NOT in the archive",
            "Look at GET /_node/_local/_dbs/NAME?conflicts=true, save what the files with the other suffix hold, \
             then delete the losing revision",
        ),
        LeftOutKind::UnreachableDatabase => (
            "databases that the shard maps of some nodes know lie on none of the given nodes and are NOT in the \
             archive",
            "Give the data folders of the other nodes, too",
        ),
        LeftOutKind::DeletedDatabase => {
            ("databases that were deleted have left shards behind, which are not in the archive", "")
        }
        LeftOutKind::FormerShards => (
            "databases have files of ranges that their shard map does not give to that node; they are out of date \
             and not in the archive",
            "",
        ),
        LeftOutKind::SoftDeleted => (
            "deleted databases are kept as files *.deleted.couch on the nodes, which are not in the archive",
            "Save them by hand if they may be needed: a restore removes them with the old data",
        ),
        LeftOutKind::OldDatabase => (
            "databases of CouchDB 1.x lie beside the folder shards and are not in the archive",
            "Replicate them into the cluster, or copy the files by hand",
        ),
        LeftOutKind::Other => ("things are not in the archive", ""),
    }
}

/// Reports all of it, kind by kind.
pub(super) fn tell(left_out: &[LeftOut], reporter: &dyn Reporter) {
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

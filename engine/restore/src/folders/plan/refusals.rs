//! What a restore of complete nodes does not begin with.

use contents::FileProblem;
use outcome::{Code, Failure, Result};

use super::Plan;

impl Plan {
    /// Refuses an archive without a database to restore.
    pub(crate) fn refuse_empty(&self, archive: &str) -> Result<()> {
        if self.databases > 0 {
            return Ok(());
        }
        let shards = match self.orphans {
            0 => String::new(),
            n => format!(", although {archive} holds {n} shards that belong to no database"),
        };
        Err(Failure::incomplete(
            Code::new("CC-R09"),
            format!("the shard maps in the archive name no database that can be restored{shards}"),
            "Use another backup: when this one was made, the node's shard maps (_dbs.couch) were lost or the node had no \
             databases. Give --allow-empty to restore no databases at all.",
        ))
    }
}

/// The refusal of databases that cannot be restored completely.
pub(super) fn damaged(left_out: &[FileProblem]) -> Failure {
    let shown: Vec<String> =
        left_out.iter().take(5).map(|problem| format!("{}: {}", problem.path, problem.problem)).collect();
    Failure::incomplete(
        Code::new("CC-R10"),
        format!(
            "{} databases cannot be restored completely: {}{}",
            left_out.len(),
            shown.join("; "),
            if left_out.len() > 5 { "; …" } else { "" }
        ),
        "Use another backup, or give --skip-damaged to restore all databases except these. (CouchDB would create empty \
         databases in place of missing shards.)",
    )
}

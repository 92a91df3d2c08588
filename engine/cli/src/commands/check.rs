//! `couchcopy check`.

use std::fmt::Write as _;

use clap::Args;
use outcome::Result;
use restore::preflight::{Proof, Proofs, Verdict, prove};

use crate::cluster::Cluster;
use crate::exit::Outcome;
use crate::flags::nodes::NodeFlags;
use crate::session::Session;

/// Check that a restore would succeed, and explain how to fix any problem.
///
/// couchcopy inspects each node's files, service and HTTP interface.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Changes nothing, except that a directory is made in each data directory and removed at once.\n\n\
    To verify an archive, use `couchcopy verify`. To check a plugin, use `couchcopy plugin check`.\n\n\
    Example:\n  \
    couchcopy check --use-sudo \\\n    \
    admin:password@db1:5984,/opt/couchdb/data \\\n    \
    admin:password@db2:5984,/opt/couchdb/data"
)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(super) nodes: NodeFlags,
}

impl Check {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let mut cluster = Cluster::of(&self.nodes, session)?;
        let proofs = prove(&mut cluster.nodes)?;
        session.answer(&proofs, text);
        Ok(Outcome::of(proofs.is_fine()))
    }
}

fn text(proofs: &Proofs) -> String {
    let width = |of: &dyn Fn(&Proof) -> usize| proofs.proofs.iter().map(of).max().unwrap_or(0);
    let node = width(&|proof| proof.node.chars().count());
    let subject = width(&|proof| proof.subject.len());
    let mut text = String::new();
    for proof in &proofs.proofs {
        let word = match proof.verdict {
            Verdict::Fine => "fine",
            Verdict::Warning => "WARNING",
            Verdict::Problem => "PROBLEM",
        };
        let _ =
            writeln!(text, "{word:<8}{:<node$}  {:<subject$}  {}", proof.node, proof.subject, proof.found);
        if let Some(remedy) = &proof.remedy {
            let _ = writeln!(text, "{:8}{:node$}  {:subject$}  -> {remedy}", "", "", "");
        }
    }
    text.push_str(if proofs.is_fine() {
        "Ready to restore.\n"
    } else {
        "Not ready: a restore would be refused.\n"
    });
    text
}

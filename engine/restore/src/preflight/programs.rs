//! Checks that the commands that stop and start CouchDB can be run. After a stop it is too late to find out.

use node::Node;
use plugin_host::Hindrance;

use super::Proofs;

/// Checks the commands of a node's service plugin.
pub(crate) fn prove(node: &Node, proofs: &mut Proofs) {
    // Where the way to the node does not lead there, the service's status says so.
    let Ok(doubts) = node.service.doubts() else { return };
    for doubt in doubts {
        let plugin = node.service.shown();
        let (found, remedy) = match doubt.hindrance {
            Hindrance::Missing => (
                format!(
                    "there is no program for `{}`, which {plugin} runs to {}",
                    doubt.command, doubt.purpose
                ),
                "Install it, correct its path (absolute paths are safest), or give the plugin and settings that control CouchDB \
                 (--service).",
            ),
            Hindrance::NotExecutable => (
                format!(
                    "the program of `{}`, which {plugin} runs to {}, is not executable",
                    doubt.command, doubt.purpose
                ),
                "Make it executable (chmod +x) for the user that --via leads to, or use root (--use-sudo).",
            ),
            Hindrance::NotPermitted => (
                format!("sudo does not permit `{}`, which {plugin} runs to {}", doubt.command, doubt.purpose),
                "Add that command, with exactly these arguments, to the rule in sudoers, with NOPASSWD.",
            ),
        };
        if doubt.certain {
            proofs.problem(node, "service", found, remedy);
        } else {
            proofs.warning(node, "service", found, remedy);
        }
    }
}

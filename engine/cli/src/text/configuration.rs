//! Configuration files of nodes that an archive holds.

use contents::{ConfigurationFile, NodeConfiguration};
use outcome::printable;

use super::sizes::count;

/// How many files of which node, and whether they hold secrets.
pub(crate) fn heading(node: &NodeConfiguration) -> String {
    let files = count(node.files.len() as u64, "configuration file", "configuration files");
    let has_secrets = node.files.iter().any(|file| !file.secrets.is_empty());
    let secrets = if has_secrets { "with SECRETS" } else { "no secrets found" };
    format!("{files} of {}, {secrets}", printable(&node.node))
}

/// One line for each file, with the name that `name` returns.
pub(crate) fn lines(
    node: &NodeConfiguration,
    name: impl Fn(&ConfigurationFile) -> &str,
) -> impl Iterator<Item = String> {
    node.files.iter().map(move |file| {
        let name = printable(name(file));
        match &file.secrets[..] {
            [] => name,
            secrets => format!("{name}  (secret: {})", printable(&secrets.join(", "))),
        }
    })
}

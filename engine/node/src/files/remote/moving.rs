//! Moving files and folders on a node, never over anything.

use std::path::{Path, PathBuf};

use super::{RemoteFiles, SHORT};
use crate::error::{NodeError, Result};

impl RemoteFiles {
    /// Moves files and folders into a folder, keeping their names, and looks whether they are there.
    ///
    /// With `-n`, GNU's, busybox's and toybox's `mv` leave alone what is in the way; some end with exit code 0 then and some with
    /// 1, so only a look tells.
    pub(super) fn move_all(&self, paths: &[PathBuf], folder: &Path) -> Result<()> {
        let doing = format!("move files to {}", folder.display());
        let to = format!("{}/", self.text(folder)?.trim_end_matches('/'));
        let from = self.texts(paths)?;
        let words = [&["mv", "-n", "--"], from.as_slice(), &[&to]].concat();
        let ended = self.way.run(&doing, &words, b"", SHORT)?;
        let targets = paths
            .iter()
            .map(|path| self.parts(&doing, path).map(|(_, name)| format!("{to}{name}")))
            .collect::<Result<Vec<_>>>()?;
        let looked_for: Vec<&str> = from.iter().copied().chain(targets.iter().map(String::as_str)).collect();
        let there = self.existing(&looked_for)?;
        let is_there = |path: &str| there.iter().any(|entry| entry.name == path);
        for (from, target) in from.iter().zip(&targets) {
            let problem = match (is_there(from), is_there(target)) {
                (false, true) => continue,
                (true, true) => format!("did not move {from}: {target} is there already, and stays as it is"),
                (true, false) if ended.code != 0 => return Err(self.way.failed(&doing, &words, &ended)),
                (true, false) => format!("did not move {from}"),
                (false, false) => format!("left {from} neither there nor at {target}"),
            };
            return Err(NodeError::Program {
                node: self.way.shown(),
                doing,
                command: plugin_host::printable(&words.join(" ")),
                problem,
            });
        }
        Ok(())
    }
}

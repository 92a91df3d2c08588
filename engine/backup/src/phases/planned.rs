//! It is decided what is saved. Nothing is written yet.

use archive::Facts;
use contents::{Choice, ClusterRecord, Metadata, ReservedDestination};
use outcome::Result;

use super::opened::Opened;
use super::saving::Begun;
use crate::folder::NodeFolder;
use crate::leftovers::Leftovers;
use crate::plan::Plan;
use crate::source::Findings;

/// What is saved, of which node, and what is not.
pub(super) struct Planned<'o> {
    pub(super) opened: &'o Opened<'o>,
    pub(super) plan: Plan<'o>,
    pub(super) findings: Findings,
    /// Copies that differ, and which one is saved.
    pub(super) choices: Vec<Choice>,
    /// Files that no shard map names.
    pub(super) leftovers: Leftovers,
    /// About how many bytes the shards have, if it is known: CouchDB goes on writing.
    pub(super) shard_bytes: Option<u64>,
    /// What the nodes report about their cluster.
    pub(super) cluster: Option<ClusterRecord>,
}

impl<'o> Planned<'o> {
    /// Begins the archive: it has its description and the nodes' configuration files.
    pub(super) fn begin(self, output: ReservedDestination) -> Result<Begun<'o>> {
        let Opened { threads, folders, config, .. } = self.opened;
        let metadata = Metadata::now(folders.iter().filter_map(|folder| folder.name.clone()).collect());
        // Files of other machines may grow for hours until they are here: the parts of an upload then had better grow, too.
        let is_local = folders.iter().all(|folder| folder.origin.is_local());
        let expected = self.shard_bytes.filter(|_| is_local).unwrap_or_default();
        let place = |folder: &NodeFolder| {
            if !folder.origin.is_local() {
                return folder.display_name();
            }
            let path = folder.shows.as_ref().unwrap_or(&folder.path);
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            path.display().to_string()
        };
        let mut places: Vec<String> = folders.iter().map(place).collect();
        // In a repository, a backup of some databases follows upon others of the same ones, and not upon complete ones.
        places.extend(self.opened.options.databases.options());
        let mut writer = output.begin(&metadata.backup.source.nodes_names, &places, expected, *threads)?;
        let now = jiff::Timestamp::now().as_second().unsigned_abs();
        writer.add_bytes(archive::METADATA, now, Facts::Metadata, metadata.to_yaml().as_bytes())?;
        for file in &config.files {
            writer.add_bytes(&file.entry, now, file.facts.clone(), &file.content)?;
        }
        Ok(Begun { planned: self, writer, metadata, now })
    }
}

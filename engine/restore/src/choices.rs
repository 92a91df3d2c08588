//! What the user chooses about the restored data, whether the nodes run or not.

use std::path::PathBuf;

use contents::Contents;
use outcome::Result;
use outcome::report::Reporter;
use store::Place;

use crate::folders::Suffixes;
use crate::placement::Placement;
use crate::ranges::Ranges;
use crate::selection::Selection;
use crate::transform::Transformation;

/// Choices that every restore of complete nodes has.
#[derive(Debug, Clone, Default)]
pub struct RestoreChoices {
    /// Copies of every range; `None`: as many as zones demand, or else as each database had, limited by the number of nodes.
    pub copies: Option<usize>,
    /// Whether every copy gets a new uuid. This is needed if an older state returns on the same nodes; otherwise consumers of
    /// changes feeds that saw a newer state miss changes. A restore of running nodes finds out itself whether it is needed.
    pub fresh_uuids: bool,
    /// Which suffix databases get. A new suffix is needed if every copy gets a new uuid, and if view indexes are outside the data
    /// directory.
    pub suffixes: Suffixes,
    /// Whether an archive without databases may be restored, and with it replace everything.
    pub allow_empty: bool,
    /// Whether to leave out databases with damaged or missing shards. If not, the restore fails before anything is written.
    pub skip_damaged: bool,
    /// Whether databases that the archive's shard maps do not name get maps that are made of their shards.
    pub rebuild_maps: bool,
    /// Which databases to restore, and under which names. Running nodes lose all other databases.
    pub selection: Selection,
    /// Which databases get another number of ranges.
    pub ranges: Ranges,
    /// What decides which nodes get copies.
    pub placement: Placement,
    /// Whether all documents pass through a filter.
    pub transformation: Transformation,
    /// A directory for temporary files while databases are written anew; `None`: that of the system (`TMPDIR`).
    pub temporary: Option<PathBuf>,
}

impl RestoreChoices {
    /// Opens the archive, with the shard maps that were chosen.
    pub(crate) fn open(&self, archive: &Place, threads: usize, reporter: &dyn Reporter) -> Result<Contents> {
        if self.rebuild_maps {
            Contents::open_rebuilding(archive, threads, reporter)
        } else {
            Contents::open(archive, threads, reporter)
        }
    }
}

//! A backup from its beginning to its end. Each phase is a type that is made of the one before, so that none can come too early.

mod opened;
mod planned;
mod saving;

use opened::Opened;
use outcome::Result;
use outcome::report::Reporter;

use crate::couchdb1;
use crate::options::{BackupOptions, BackupResult};

/// Makes an archive. Whatever happens, the archive's path names a complete archive or what was there before.
///
/// Fails before anything is written if a range of a database lies on none of the given nodes. Files that are damaged or
/// missing on the nodes do not fail the backup: the result reports them, and so does the archive.
pub fn backup(options: &BackupOptions, reporter: &dyn Reporter) -> Result<BackupResult> {
    let linked = couchdb1::linked(options, reporter)?;
    let options = linked.as_ref().map_or(options, |linked| &linked.options);
    let output = options.destination.reserve()?;
    let opened = Opened::open(options, reporter)?;
    let archive = opened.plan()?.begin(output)?;
    archive.save_views()?.save_maps()?.save_shards()?.finish()
}

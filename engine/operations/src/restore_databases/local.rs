//! Local documents: those that are not replicated.

use snapshot::{Flow, SnapshotDatabase, Walk};

use super::note::ID;
use super::sender::Sender;
use crate::error::{OperationError, Result};

/// Writes all of them but CouchDB's own and ours, as far as they are not there.
pub(super) fn send(source: &SnapshotDatabase, sender: &Sender<'_>) -> Result<()> {
    source.locals(&Walk::default(), |id, document| {
        sender.check_interrupted()?;
        if id != ID && !SnapshotDatabase::is_internal_local(id) {
            let written = sender.patiently(|| sender.target.put_local(id, document.clone()))?;
            sender.sent_local(u64::from(written));
        }
        Ok::<Flow, OperationError>(Flow::On)
    })?;
    sender.step("local documents sent");
    Ok(())
}

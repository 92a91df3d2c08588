//! Restores local documents, which replication does not send.

use outcome::{Failure, Result};
use snapshot::{Flow, SnapshotDatabase};

use super::note::ID;
use super::sender::Sender;

/// Writes all missing local documents except CouchDB's own and couchcopy's. Damaged ones are reported.
pub(super) fn send(source: &SnapshotDatabase, sender: &Sender<'_>) -> Result<()> {
    source.locals_around_damage(|found| {
        sender.check_interrupted()?;
        let (id, document) = match found {
            Ok(found) => found,
            Err(e) if e.is_damage() => {
                sender.lose(&e);
                return Ok(Flow::On);
            }
            Err(e) => return Err(Failure::from(e)),
        };
        if id != ID && !SnapshotDatabase::is_internal_local(id) {
            let written = sender.patiently(|| sender.target.put_local(id, &document))?;
            sender.sent_local(u64::from(written));
        }
        Ok::<Flow, Failure>(Flow::On)
    })?;
    sender.step("local documents sent");
    Ok(())
}

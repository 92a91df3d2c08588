//! Fetches a file that its node's stream did not deliver.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contents::{SMALL, ShardHeader};
use couchfile::error::CouchFileError;
use node::NodeFiles;
use outcome::Failure;

use super::lane::{Arrived, Lane, Notify, Taken};
use super::{Absence, Fetched, checked};
use crate::file::{self, FileFailure};
use crate::patience::Patience;

/// Pauses before a file is requested again that may be about to appear or to become complete. See `file.rs`; a round trip to the
/// node takes time too.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(200), Duration::from_millis(700)];
/// The number of pauses for a missing file without `X.couch.compact` next to it, which does not come back.
const PATIENCE_FOR_GONE: usize = 2;
/// Fetches a shard. Patient with CouchDB's swap after a compaction and with files made this moment; where only
/// `X.couch.compact` is there in the end, that one is the database.
pub(super) fn shard(
    files: &Arc<dyn NodeFiles>,
    folder: &Path,
    path: &str,
    patience: &Patience,
    buf: &mut Vec<u8>,
    notify: &Notify,
) -> Result<Fetched<ShardHeader>, Absence> {
    let pauses = if patience.is_worn_out() { &PAUSES[..1] } else { &PAUSES[..] };
    let mut failure = FileFailure::Missing;
    for (i, pause) in pauses.iter().enumerate() {
        std::thread::sleep(*pause);
        let last = i + 1 == pauses.len();
        let found = fetch(files, folder, path, notify).map_err(Absence::Node)?;
        let arrived = match found {
            Found::Main(arrived) => arrived,
            Found::Compacted(arrived) if last => arrived,
            Found::Compacted(_) => {
                failure = FileFailure::Missing;
                continue;
            }
            Found::Nothing if i + 1 >= PATIENCE_FOR_GONE || last => {
                failure = missing(files, folder, path);
                break;
            }
            Found::Nothing => continue,
        };
        match checked(arrived, buf, |buf| contents::shard_header(&buf)) {
            Err(newer @ FileFailure::Damaged(CouchFileError::Newer { .. })) => {
                return Err(Absence::File(newer));
            }
            Err(damaged @ FileFailure::Damaged(_)) => failure = damaged,
            done => return done.map_err(Absence::File),
        }
    }
    patience.note();
    Err(Absence::File(failure))
}

/// Fetches a file that may be there or not, without patience.
pub(super) fn fetch_once(
    files: &Arc<dyn NodeFiles>,
    folder: &Path,
    path: &str,
    notify: &Notify,
) -> Result<Option<Taken>, Failure> {
    let paths = vec![path.to_owned()];
    let lane = Lane::start(Arc::clone(files), folder.to_owned(), paths, SMALL as usize, Arc::clone(notify))
        .map_err(|e| Failure::io("start a thread for", folder, e))?;
    match lane.take(0) {
        Taken::Failed => Err(lane.failure().map_or_else(super::cut_off, Failure::from)),
        taken => Ok(Some(taken)),
    }
}

/// The failure for a file that does not exist.
fn missing(files: &Arc<dyn NodeFiles>, folder: &Path, path: &str) -> FileFailure {
    let unfinished = format!("{path}{}", file::COMPACTING);
    let Some(streams) = files.streams() else { return FileFailure::Missing };
    // It only adds to a message.
    match streams.stats(folder, std::slice::from_ref(&unfinished)).ok().and_then(|mut stats| stats.pop()) {
        Some(Some(stat)) if stat.size > 0 => {
            let name = unfinished.rsplit('/').next().unwrap_or_default().to_owned();
            FileFailure::OnlyCompaction { name, bytes: stat.size }
        }
        _ => FileFailure::Missing,
    }
}

enum Found {
    Main(Arrived),
    /// Only `X.couch.compact`.
    Compacted(Arrived),
    Nothing,
}

fn fetch(files: &Arc<dyn NodeFiles>, folder: &Path, path: &str, notify: &Notify) -> Result<Found, Failure> {
    let paths = vec![path.to_owned(), format!("{path}{}", file::COMPACTED)];
    let lane =
        Lane::start(Arc::clone(files), folder.to_owned(), paths, 2 * SMALL as usize, Arc::clone(notify))
            .map_err(|e| Failure::io("start a thread for", folder, e))?;
    for (number, found) in [Found::Main as fn(Arrived) -> Found, Found::Compacted].into_iter().enumerate() {
        match lane.take(number) {
            Taken::Arrived(arrived) => return Ok(found(arrived)),
            Taken::NotThere => {}
            Taken::Failed => return Err(lane.failure().map_or_else(super::cut_off, Failure::from)),
        }
    }
    Ok(Found::Nothing)
}

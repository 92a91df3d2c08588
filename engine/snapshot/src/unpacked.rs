//! Shards of an archive unpacked into temporary files, for reading them in any order.

use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use contents::{AnySource, Spool};
use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::ReadAt;

use crate::database::SnapshotDatabase;
use crate::error::Result;

/// Bytes copied at a time: the size of a member of an archive.
const PIECE: u64 = 1 << 20;

/// Copies the file of each of `count` shards to a temporary file without a name and hands it to `take`, on as many threads as
/// there are cores. `false` if `go_on`, which is called with the number of bytes of each copied piece, ended the copying.
pub(crate) fn unpack(
    database: &SnapshotDatabase,
    count: usize,
    folder: &Path,
    take: &(dyn Fn(usize, Database<AnySource>) + Sync),
    go_on: &(dyn Fn(u64) -> bool + Sync),
) -> Result<bool> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<bool> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(true);
            }
            match copy(database, number, folder, go_on) {
                Ok(Some(file)) => take(number, file),
                ended => {
                    // The others begin with no further file.
                    next.store(count, Ordering::Relaxed);
                    return ended.map(|_| false);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(count);
    let ended: Result<Vec<bool>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    Ok(ended?.into_iter().all(|whole| whole))
}

fn copy(
    database: &SnapshotDatabase,
    number: usize,
    folder: &Path,
    go_on: &dyn Fn(u64) -> bool,
) -> Result<Option<Database<AnySource>>> {
    let from = database.file(number)?.source();
    let spool = Spool::within(folder)?;
    let mut piece = vec![0; PIECE.min(from.len()) as usize];
    let mut offset = 0;
    while offset < from.len() {
        let length = (from.len() - offset).min(PIECE);
        let piece = &mut piece[..length as usize];
        from.read_exact_at(piece, offset).map_err(|source| {
            database.damaged(number, CouchFileError::Io { offset, wanted: length, source })
        })?;
        spool.put(offset, piece)?;
        offset += length;
        if !go_on(length) {
            return Ok(None);
        }
    }
    let bytes: AnySource = Box::new(spool.content()?);
    Ok(Some(Database::open(bytes).map_err(|e| database.damaged(number, e))?))
}

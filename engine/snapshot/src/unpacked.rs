//! Shards of an archive unpacked into temporary files, for those who read them in an order of their own.

use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use couchfile::database::Database;
use couchfile::error::CouchFileError;
use couchfile::read_at::{FileBytes, ReadAt};

use crate::database::SnapshotDatabase;
use crate::error::{Error, Result};
use crate::open::AnySource;

/// Bytes copied at a time: as much as a member of an archive holds.
const PIECE: u64 = 1 << 20;

/// Copies the files of the first `count` shards into nameless ones in a folder, on as many threads as there are cores. They are
/// gone when they are closed. `None` where `go_on`, which is asked between two pieces, said that this was enough.
pub(crate) fn unpack(
    database: &SnapshotDatabase,
    count: usize,
    folder: &Path,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Vec<Database<AnySource>>>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Database<AnySource>)>> = Mutex::default();
    let work = || -> Result<bool> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(true);
            }
            let Some(copy) = copy(database, number, folder, go_on)? else { return Ok(false) };
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, copy));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(count);
    let ended: Vec<Result<bool>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    for ended in ended {
        if !ended? {
            return Ok(None);
        }
    }
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    Ok(Some(done.into_iter().map(|(_, file)| file).collect()))
}

fn copy(
    database: &SnapshotDatabase,
    number: usize,
    folder: &Path,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Database<AnySource>>> {
    let from = database.file(number)?.source();
    let failed = |doing| move |source| Error::Spool { doing, folder: folder.display().to_string(), source };
    let file = tempfile::tempfile_in(folder).map_err(failed("create"))?;
    let mut piece = vec![0; PIECE.min(from.len()) as usize];
    let mut offset = 0;
    while offset < from.len() {
        if !go_on() {
            return Ok(None);
        }
        let length = (from.len() - offset).min(PIECE);
        let piece = &mut piece[..length as usize];
        from.read_exact_at(piece, offset).map_err(|source| {
            database.damaged(number, CouchFileError::Io { offset, wanted: length, source })
        })?;
        file.write_all_at(piece, offset).map_err(failed("write"))?;
        offset += length;
    }
    let bytes: AnySource = Box::new(FileBytes::new(file).map_err(failed("read"))?);
    Ok(Some(Database::open(bytes).map_err(|e| database.damaged(number, e))?))
}

//! Finds the files of a backup that cannot be read.

use std::error::Error;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use outcome::{Failure, FailureKind, Lock as _, Result, parallel};
use repository::LostFile;

use crate::source::{FileEntry, Files};

/// Bytes that are read at a time of a file that is not verified on the way.
const PIECE: usize = 1 << 20;

/// Reads all `wanted` files, on `threads` threads, and returns those that are damaged or missing, by name. `progress` is called with
/// the bytes that were read so far.
///
/// Fails if something cannot be read for another reason, for example because a store does not answer.
pub fn damaged_files(
    files: &dyn Files,
    threads: usize,
    wanted: &(dyn Fn(&str) -> bool + Sync),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<LostFile>> {
    let entries = Mutex::new(files.entries());
    let lost: Mutex<Vec<LostFile>> = Mutex::default();
    let done = AtomicU64::new(0);
    let work = |_: usize, (): &()| -> Result<()> {
        loop {
            let next = entries.locked().next();
            let Some(entry) = next.transpose()? else { return Ok(()) };
            if !wanted(&entry.name) {
                continue;
            }
            match read(files, &entry) {
                Ok(()) => {}
                Err(failure) if is_damage(&failure) => {
                    let problem = outcome::with_causes(&failure);
                    lost.locked().push(LostFile { name: entry.name.clone(), problem });
                }
                Err(failure) => return Err(failure),
            }
            progress(done.fetch_add(entry.size, Ordering::Relaxed) + entry.size);
        }
    };
    let workers = vec![(); parallel::threads(threads)];
    parallel::all_at_once(&workers, work).into_iter().collect::<Result<()>>()?;
    let mut lost = lost.into_content();
    lost.sort();
    Ok(lost)
}

/// Reads all of a file.
fn read(files: &dyn Files, entry: &FileEntry) -> Result<()> {
    if let Some(file) = files.open_to_verify(&entry.name, &|_| {})? {
        return file.finish(1);
    }
    let missing = || Failure::bug(format!("{} is listed, but not there", entry.name));
    if entry.size <= PIECE as u64 {
        files.read(&entry.name, entry.size)?.ok_or_else(missing)?;
        return Ok(());
    }
    let content = files.open(&entry.name)?.ok_or_else(missing)?.content;
    let mut buf = vec![0; PIECE];
    let mut at = 0;
    while at < content.len() {
        let part = (content.len() - at).min(PIECE as u64);
        let buf = buf.get_mut(..part as usize).unwrap_or_default();
        content.read_exact_at(buf, at).map_err(|error| match error.downcast::<Failure>() {
            Ok(failure) => failure,
            Err(error) => Failure::io("read", &entry.name, error),
        })?;
        at += part;
    }
    Ok(())
}

/// Whether a failure comes from damage to a backup: what could not be read is missing, or is not what was written.
pub fn is_damage(failure: &Failure) -> bool {
    if failure.kind() == FailureKind::Archive {
        return true;
    }
    let mut next: Option<&(dyn Error + 'static)> = failure.source();
    while let Some(error) = next {
        if error.downcast_ref::<Failure>().is_some_and(is_damage) {
            return true;
        }
        next = match error.downcast_ref::<io::Error>() {
            // Its own source is that of the error in it.
            Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    false
}

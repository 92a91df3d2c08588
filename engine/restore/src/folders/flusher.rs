//! Writes data to the disk while more data is being written.
//!
//! A kernel keeps some gigabytes in memory before it begins to write, so that the disk would be idle until the end.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use outcome::Result;

use super::destination::Destination;

/// Pause between two rounds. Each round makes the file system close its journal, which others wait for: with a round every
/// second, 200,000 small files took a twentieth longer.
const PAUSE: Duration = Duration::from_secs(2);

/// Does the work, and makes the data durable at the same time.
///
/// Fails if the disk did: a file system reports a lost write only once, so the error must be passed on.
pub(crate) fn flushing<T>(destinations: &[Destination], work: impl FnOnce() -> T) -> Result<T> {
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let flusher = scope.spawn(move || {
            while is_done.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                for destination in destinations {
                    destination.sync()?;
                }
            }
            Ok(())
        });
        let result = work();
        drop(done);
        match flusher.join() {
            Ok(flushed) => flushed.map(|()| result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

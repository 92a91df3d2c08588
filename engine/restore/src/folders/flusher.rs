//! Brings to the disk what has been written while more is being written.
//!
//! Left to itself a kernel keeps some gigabytes in memory before it begins, and the disk would rest until the very end.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use outcome::Result;

use super::destination::Destination;

/// Between two rounds. Each one makes the file system close its journal, which others wait for: with one every second 200,000
/// small files took a twentieth longer.
const PAUSE: Duration = Duration::from_secs(2);

/// Does the work, and meanwhile makes durable what is there already.
///
/// Fails where the disk did: a file system tells of a lost write only once, so whoever hears of it has to pass it on.
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

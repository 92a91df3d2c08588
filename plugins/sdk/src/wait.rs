//! Waiting for a service manager.

use std::time::Duration;

use crate::{Error, Host};

/// How far something is that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It is there.
    Done,
    /// Not yet; the text tells what it is like, for the user who waited in vain, e.g. ``the unit is `deactivating` ``.
    Waiting(String),
}

/// Asks `check` again and again until it says [`Progress::Done`] or fails, for as long as `timeout`; then the error is
/// [`Error::TimedOut`] with what it said last.
///
/// It asks at once, soon again, and then about every second. What `check` itself takes is not counted: a component has no
/// clock.
pub fn wait_for(
    host: &dyn Host,
    timeout: Duration,
    mut check: impl FnMut() -> Result<Progress, Error>,
) -> Result<(), Error> {
    poll(host, timeout, &mut check)
}

fn poll(
    host: &dyn Host,
    timeout: Duration,
    check: &mut dyn FnMut() -> Result<Progress, Error>,
) -> Result<(), Error> {
    const FIRST: u32 = 50;
    const LONGEST: u32 = 1000;
    let mut left = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let mut pause = FIRST;
    loop {
        let Progress::Waiting(what) = check()? else { return Ok(()) };
        if left == 0 {
            let seconds = timeout.as_secs();
            return Err(Error::TimedOut(format!("{what} after {seconds} s")));
        }
        let now = pause.min(left);
        host.sleep(now);
        left -= now;
        pause = (pause * 2).min(LONGEST);
    }
}

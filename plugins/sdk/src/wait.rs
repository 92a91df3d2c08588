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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{Command, Output, RunError};

    #[derive(Default)]
    struct Clock {
        milliseconds: Cell<u64>,
        pauses: Cell<u32>,
    }

    impl Host for Clock {
        fn run(&self, _: &Command) -> Result<Output, RunError> {
            Err(RunError::NotFound("none".into()))
        }

        fn sleep(&self, milliseconds: u32) {
            self.milliseconds.set(self.milliseconds.get() + u64::from(milliseconds));
            self.pauses.set(self.pauses.get() + 1);
        }

        fn log(&self, _: &str) {}
    }

    #[test]
    fn nobody_waits_for_what_is_there() {
        let clock = Clock::default();
        wait_for(&clock, Duration::ZERO, || Ok(Progress::Done)).unwrap();
        assert_eq!(clock.pauses.get(), 0);
    }

    #[test]
    fn it_asks_often_at_first_and_gives_up_in_time() {
        let clock = Clock::default();
        let mut asked = 0;
        let waited = wait_for(&clock, Duration::from_secs(30), || {
            asked += 1;
            Ok(Progress::Waiting("it is asleep".into()))
        });
        assert_eq!(waited, Err(Error::TimedOut("it is asleep after 30 s".into())));
        assert_eq!(clock.milliseconds.get(), 30_000);
        assert_eq!(asked, clock.pauses.get() + 1, "the last word is asked for after the last pause");
        assert!((30..=36).contains(&asked), "{asked}");
    }

    #[test]
    fn it_stops_where_asking_fails() {
        let clock = Clock::default();
        let waited = wait_for(&clock, Duration::from_secs(30), || Err(Error::other("gone")));
        assert_eq!(waited, Err(Error::other("gone")));
    }
}

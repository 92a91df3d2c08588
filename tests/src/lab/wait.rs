//! Waiting, always with an end.

use std::time::{Duration, Instant};

use crate::Result;

/// How long a program may run, a node start or stop, and a cluster take to agree, before that counts as hanging. Far more than
/// anything takes: a machine that does much else at the same time must not make a test fail.
const PATIENCE: Duration = Duration::from_secs(600);

/// Asks again and again until there is an answer; errors count as no answer.
///
/// Fails where there is none after [`PATIENCE`], and tells the last error.
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_at_most(PATIENCE, what, ask)
}

/// As [`wait_for`], where something is done if there is no answer after `limit`.
pub fn wait_at_most<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        let failure = match ask() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => String::new(),
            Err(e) => format!(": {e}"),
        };
        if begun.elapsed() > limit {
            return Err(format!("waited {} s in vain for {what}{failure}", limit.as_secs()).into());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

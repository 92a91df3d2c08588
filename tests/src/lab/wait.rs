//! Waiting, always with an end.

use std::time::{Duration, Instant};

use crate::Result;

/// How long a node may take to start or to stop, and a cluster to agree. Far more than any ever took.
pub const START: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer; errors count as no answer.
///
/// Fails where there is none after `limit`, and tells the last error.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
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

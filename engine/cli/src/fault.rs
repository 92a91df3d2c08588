//! Faults that tests ask for; not in a release.

use std::sync::OnceLock;

/// Kills this process, as a power failure would, after the step that `COUCHCOPY_TEST_KILL_AFTER_STEP` names: by its number, or by
/// the beginning of its description where the number of steps before it is not always the same.
pub(crate) fn after_step(number: u64, what: &str) {
    static STEP: OnceLock<Option<String>> = OnceLock::new();
    let step = STEP.get_or_init(|| std::env::var("COUCHCOPY_TEST_KILL_AFTER_STEP").ok());
    let named = |step: &String| match step.parse::<u64>() {
        Ok(wanted) => number == wanted,
        Err(_) => !step.is_empty() && what.starts_with(step.as_str()),
    };
    if step.as_ref().is_some_and(named) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

//! Faults that tests ask for; not in a release.

use std::sync::OnceLock;

/// Kills this process, as a power failure would, after the step that `COUCHCOPY_TEST_KILL_AFTER_STEP` names.
pub(crate) fn after_step(number: u64) {
    static STEP: OnceLock<Option<u64>> = OnceLock::new();
    let step = STEP.get_or_init(|| std::env::var("COUCHCOPY_TEST_KILL_AFTER_STEP").ok()?.parse().ok());
    if *step == Some(number) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

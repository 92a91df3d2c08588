//! The largest file that the system lets us write (`ulimit -f`).

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Has a write beyond the limit fail, with a message and nothing left behind, in place of ending the process: the system sends
/// SIGXFSZ, which ends whoever does not handle it. Programs that we run get the usual behaviour.
pub(crate) fn fail_in_place_of_ending() {
    // The handler stays when the runtime is gone. Without one, a write beyond the limit ends the process as before.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        let _guard = runtime.enter();
        let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
    }
}

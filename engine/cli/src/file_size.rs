//! The largest file that the system lets us write (`ulimit -f`).

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Makes a write beyond the limit fail, with a message and nothing left behind, instead of ending the process: the system sends
/// SIGXFSZ, which ends every program that does not handle it. Programs that couchcopy runs keep the usual behaviour.
pub(crate) fn fail_instead_of_ending() {
    // The handler stays when the runtime is gone. Without one, a write beyond the limit ends the process as before.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        let _guard = runtime.enter();
        let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
    }
}

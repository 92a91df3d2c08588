//! Ctrl-C and SIGTERM, for operations that must not be cut in two.

use std::sync::atomic::{AtomicBool, Ordering};

use operations::error::{OperationError, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A flag that is set by the first signal. The second one ends the process at once.
pub(crate) fn flag() -> Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("interrupted: ending at the next safe point (once more to end at once)");
    })
    .map_err(|e| OperationError::io("take care of", "Ctrl-C", std::io::Error::other(e)))?;
    Ok(&INTERRUPTED)
}

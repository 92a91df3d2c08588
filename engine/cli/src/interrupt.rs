//! Ctrl-C and SIGTERM, for operations that must not be cut in two.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::ExitCode;
use crate::output::error_line;
use outcome::{Failure, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A flag that the first signal sets, with a message for the user if there is one. The second signal ends the process at once.
pub(crate) fn flag(message: Option<&'static str>) -> Result<&'static AtomicBool> {
    ctrlc::set_handler(move || {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(ExitCode::Interrupted.code().into());
        }
        if let Some(message) = message {
            error_line(message);
        }
    })
    .map_err(|e| Failure::io("take care of", "Ctrl-C", std::io::Error::other(e)))?;
    Ok(&INTERRUPTED)
}

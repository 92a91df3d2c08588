//! Ctrl-C and SIGTERM, for operations that must not be cut in two.

use std::sync::atomic::{AtomicBool, Ordering};

use outcome::{Failure, Result};

use crate::output::error_line;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A flag that is set by the first signal. The second one ends the process at once.
pub(crate) fn flag() -> Result<&'static AtomicBool> {
    flag_saying("interrupted: ending at the next safe point (once more to end at once)")
}

/// The same, with another word for the user.
pub(crate) fn flag_saying(word: &'static str) -> Result<&'static AtomicBool> {
    ctrlc::set_handler(move || {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        if !word.is_empty() {
            error_line(word);
        }
    })
    .map_err(|e| Failure::io("take care of", "Ctrl-C", std::io::Error::other(e)))?;
    Ok(&INTERRUPTED)
}

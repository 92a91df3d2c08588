//! s6: `s6-svscan` on a folder of services.

use rustix::process::Signal;

use super::Managed;
use super::scanned::{self, Scanner};
use crate::Result;

/// The service, which is down at first.
pub fn start() -> Result<Option<Managed>> {
    scanned::start(&Scanner {
        plugin: "s6",
        program: ("s6-svscan", "s6"),
        arguments: &[],
        end: Signal::TERM,
        ready: "supervise/status",
    })
}

//! runit: `runsvdir` on a folder of services.

use rustix::process::Signal;

use super::Managed;
use super::scanned::{self, Scanner};
use crate::Result;

/// The service, which is down at first.
pub fn start() -> Result<Option<Managed>> {
    scanned::start(&Scanner {
        plugin: "runit",
        program: ("runsvdir", "runit"),
        arguments: &["-P"],
        end: Signal::HUP,
        ready: "supervise/stat",
    })
}

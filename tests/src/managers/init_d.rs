//! Services that are a script in an `/etc/init.d` of our own: those of sysv and of OpenRC.

use super::daemon::write_program;
use super::managed::setting;
use super::{Daemon, Machine, Managed};
use crate::Result;

/// The service of this script, down at first, on a machine whose folder `init.d` is its `/etc/init.d`. In the script `@NAME@`
/// is the service, `@PROGRAM@` what it runs and `@PID@` the file with its process.
pub(super) fn start(machine: Machine, plugin: &'static str, script: &str) -> Result<Managed> {
    let daemon = Daemon::new(&machine.path(""))?;
    let name = machine.name().to_owned();
    let script = script
        .replace("@NAME@", &name)
        .replace("@PID@", &daemon.pid_file().display().to_string())
        .replace("@PROGRAM@", &daemon.program().display().to_string());
    write_program(&machine.path("init.d").join(&name), &script)?;
    Ok(Managed {
        daemon,
        plugin,
        settings: setting("service", &name),
        unknown: setting("service", "couchcopy-test-nobody"),
        environment: Vec::new(),
        fake: None,
        machine,
    })
}

//! runit: `runsvdir` on a folder of services.

use std::fs::{self, File};

use rustix::process::Signal;

use super::daemon::write_program;
use super::managed::{setting, text};
use super::{Daemon, Machine, Managed, find_program};
use crate::Result;
use crate::lab::wait_for;

/// The service, which is down at first.
pub fn start() -> Result<Option<Managed>> {
    let Some(runsvdir) = find_program("runsvdir", "runit") else { return Ok(None) };
    let mut machine = Machine::new()?;
    let daemon = Daemon::new(&machine.path(""))?;
    let services = machine.path("services");
    let service = services.join(machine.name());
    fs::create_dir_all(&service)?;
    write_program(&service.join("run"), &format!("#!/bin/sh\nexec {}\n", daemon.program().display()))?;
    File::create(service.join("down"))?;
    let mut manager = machine.command(runsvdir);
    manager.args(["-P", text(&services)?]);
    machine.spawn(&manager, Signal::HUP)?;
    // It is there once its supervisor is.
    wait_for("runsv", super::machine::LIMIT, || Ok(service.join("supervise/stat").exists().then_some(())))?;
    Ok(Some(Managed {
        daemon,
        plugin: "runit",
        settings: setting("service", text(&service)?),
        unknown: setting("service", text(&services.join("couchcopy-test-nobody"))?),
        environment: Vec::new(),
        fake: None,
        machine,
    }))
}

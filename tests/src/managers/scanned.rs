//! Managers that watch over a folder of services, each with its program `run`: runit and s6.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;

use rustix::process::Signal;

use super::daemon::write_program;
use super::managed::{setting, text};
use super::{Daemon, Machine, Managed, find_program};
use crate::Result;
use crate::lab::wait_for;

/// What is different between them.
pub(super) struct Scanner {
    pub(super) plugin: &'static str,
    /// The program that watches over the folder, and Debian's package of it.
    pub(super) program: (&'static str, &'static str),
    /// Its arguments before the folder.
    pub(super) arguments: &'static [&'static str],
    /// What ends it with its services.
    pub(super) end: Signal,
    /// A file of a service's folder that is there once its supervisor is.
    pub(super) ready: &'static str,
}

/// The service, which is down at first.
pub(super) fn start(scanner: &Scanner) -> Result<Option<Managed>> {
    let (program, package) = scanner.program;
    let Some(program) = find_program(program, package) else { return Ok(None) };
    let mut machine = Machine::new()?;
    let daemon = Daemon::new(&machine.path(""))?;
    let services = machine.path("services");
    let service = services.join(machine.name());
    fs::create_dir_all(&service)?;
    write_program(&service.join("run"), &format!("#!/bin/sh\nexec {}\n", daemon.program().display()))?;
    File::create(service.join("down"))?;
    let mut manager = machine.command(program);
    manager.args(scanner.arguments).arg::<&OsStr>(services.as_ref());
    machine.spawn(&manager, scanner.end)?;
    let ready: &Path = &service.join(scanner.ready);
    wait_for(scanner.ready, || Ok(ready.exists().then_some(())))?;
    Ok(Some(Managed {
        daemon,
        plugin: scanner.plugin,
        settings: setting("service", text(&service)?),
        unknown: setting("service", text(&services.join("couchcopy-test-nobody"))?),
        environment: Vec::new(),
        fake: None,
        machine,
    }))
}

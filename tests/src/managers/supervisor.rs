//! supervisor: `supervisord` with a configuration and a socket of its own.

use std::fs;

use rustix::process::Signal;

use super::managed::{setting, text};
use super::{Daemon, Machine, Managed, find_program};
use crate::Result;
use crate::lab::wait_for;

/// The service, which is down at first.
pub fn start() -> Result<Option<Managed>> {
    let Some(supervisord) = find_program("supervisord", "supervisor") else { return Ok(None) };
    let mut machine = Machine::new()?;
    let daemon = Daemon::new(&machine.path(""))?;
    let (folder, name) = (machine.path("supervisor"), machine.name().to_owned());
    fs::create_dir(&folder)?;
    let configuration = folder.join("supervisord.conf");
    let (at, program) = (folder.display(), daemon.program());
    fs::write(
        &configuration,
        format!(
            "[unix_http_server]\n\
             file={at}/socket\n\
             [supervisord]\n\
             logfile={at}/log\n\
             pidfile={at}/pid\n\
             childlogdir={at}\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\n\
             serverurl=unix://{at}/socket\n\
             [program:{name}]\n\
             command={}\n\
             autostart=false\n\
             autorestart=true\n\
             startretries=1\n\
             stopwaitsecs=20\n",
            program.display()
        ),
    )?;
    let mut manager = machine.command(supervisord);
    manager.args(["--nodaemon", "--configuration", text(&configuration)?]);
    machine.spawn(&manager, Signal::TERM)?;
    wait_for("supervisord", || Ok(folder.join("socket").exists().then_some(())))?;
    let mut settings = setting("service", &name);
    settings.extend(setting("config", text(&configuration)?));
    Ok(Some(Managed {
        daemon,
        plugin: "supervisor",
        settings,
        unknown: setting("service", "couchcopy-test-nobody"),
        environment: Vec::new(),
        fake: None,
        machine,
    }))
}

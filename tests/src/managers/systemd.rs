//! systemd: as the first process of namespaces of its own, and as a user's manager. It knows our units alone, so that it
//! does nothing to the machine.

use std::fs;

use super::managed::setting;
use super::{Daemon, Machine, Managed, find_program};
use crate::Result;
use crate::lab::{run, wait_for};

/// Where Debian has it.
const SYSTEMD: &str = "/lib/systemd/systemd";

/// A target to come up to, which wants nothing.
const UNITS: &str = r#"mkdir "$folder/units"
printf '[Unit]\nDefaultDependencies=no\n' >"$folder/units/idle.target""#;

/// The control groups that it sees begin with ours.
const SYSTEM: &str = r#"exec unshare --cgroup sh -c 'mount -t cgroup2 none /sys/fs/cgroup
exec env -i PATH="$PATH" container=couchcopy-test SYSTEMD_UNIT_PATH="$folder/units" \
  /lib/systemd/systemd --unit=idle.target --log-target=null --show-status=no'"#;
const USER: &str = r#"exec unshare --cgroup sh -c 'mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/systemd/system /run/couchcopy
chmod 700 /run/couchcopy
env -i PATH="$PATH" HOME="$folder/home" XDG_RUNTIME_DIR=/run/couchcopy SYSTEMD_UNIT_PATH="$folder/units" \
  /lib/systemd/systemd --user --unit=idle.target &
while :; do sleep 1000 & wait "$!"; done'"#;

/// A service of the system, which is down at first.
pub fn system() -> Result<Option<Managed>> {
    start(SYSTEM, "system", Vec::new())
}

/// A service of a user, which is down at first.
pub fn user() -> Result<Option<Managed>> {
    start(USER, "user", vec![("XDG_RUNTIME_DIR".to_owned(), "/run/couchcopy".to_owned())])
}

fn start(init: &str, scope: &str, environment: Vec<(String, String)>) -> Result<Option<Managed>> {
    if find_program(SYSTEMD, "systemd").is_none() {
        return Ok(None);
    }
    let Some(machine) = Machine::apart_with(UNITS, init)? else { return Ok(None) };
    let daemon = Daemon::new(&machine.path(""))?;
    let (name, units) = (machine.name().to_owned(), machine.path("units"));
    fs::write(
        units.join(format!("{name}.service")),
        format!(
            "[Unit]\nDefaultDependencies=no\n\
             [Service]\nExecStart={}\nRestart=always\nRestartSec=200ms\nTimeoutStopSec=20\n",
            daemon.program().display()
        ),
    )?;
    let mut settings = setting("unit", &name);
    settings.extend(setting("scope", scope));
    let managed = Managed {
        daemon,
        plugin: "systemd",
        settings,
        unknown: setting("unit", "couchcopy-test-nobody"),
        environment,
        fake: None,
        machine,
    };
    wait_for("systemd", || {
        let mut ask = managed.command("systemctl");
        let state = run(ask.args([&format!("--{scope}"), "is-system-running"]))?;
        if matches!(state.stdout.trim(), "running" | "degraded") {
            return Ok(Some(()));
        }
        Err(format!("{}{}{}", state.stdout, state.stderr, managed.machine.log()).into())
    })?;
    Ok(Some(managed))
}

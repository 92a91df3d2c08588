//! CouchDB as a systemd unit. This is how the packages of CouchDB for Debian and Red Hat install it.
//!
//! Settings:
//! - `unit`: the unit's name, `couchdb` where none is given;
//! - `scope`: `system` (the default), or `user` for a unit of the user that the commands run as. That user's manager has to
//!   run, which it does without a login only after `loginctl enable-linger USER`;
//! - `timeout`: how many seconds to wait for the unit to get into the wanted state, 120 where none is given. The unit's own
//!   `TimeoutStopSec=` and `TimeoutStartSec=` count first: systemctl waits for as long as these say.
//!
//! What it runs, `system` being the scope:
//! ```text
//! systemctl --system --no-ask-password show --property=LoadState,ActiveState,SubState,MainPID,Job couchdb
//! systemctl --system --no-ask-password stop couchdb
//! systemctl --system --no-ask-password start couchdb
//! ```
//! Starting and stopping a system unit takes root: add `--via sudo`.
//!
//! A unit whose process ends right after its start is active for a moment; so a start looks twice, half a second apart.
//!
//! How states are read: an `active` or `reloading` unit runs; an `inactive` or `failed` one is stopped, if no job for it is
//! queued; any other is on its way, also `activating (auto-restart)`: systemd is about to start it again, and only
//! `systemctl stop` prevents that. An `active (exited)` unit has started something that systemd does not watch, so nobody
//! can say whether it runs. After a stop systemd does not start a unit again by itself, whatever its `Restart=` says.

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// How long a process has to run to be believed to.
const SETTLING: u32 = 500;

/// CouchDB as a systemd unit.
pub struct Systemd;

export_service!(Systemd);

impl Service for Systemd {
    fn describe() -> Description {
        Description::new("systemd", env!("CARGO_PKG_VERSION"), "CouchDB as a systemd unit")
            .setting(Setting::with_default("unit", "couchdb", "The unit's name"))
            .setting(Setting::with_default("scope", "system", "Whose unit it is: `system` or `user`"))
            .setting(Setting::with_default("timeout", "120", "How many seconds to wait for the unit at most"))
            .command(
                "systemctl --{scope} --no-ask-password show --property=LoadState,ActiveState,SubState,MainPID,Job {unit}",
                "see what state the unit is in",
            )
            .command("systemctl --{scope} --no-ask-password start {unit}", "start CouchDB")
            .command("systemctl --{scope} --no-ask-password stop {unit}", "stop CouchDB")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        let before = Unit::known(node, host)?;
        if before.is_up() && before.job.is_empty() {
            return Ok(());
        }
        host.succeed(&systemctl(node)?.arg("start").arg(node.name_of("unit")?))?;
        wait_for(host, timeout, || {
            let mut unit = Unit::known(node, host)?;
            if unit.is_up() {
                host.sleep(SETTLING);
                let first = std::mem::replace(&mut unit, Unit::known(node, host)?);
                if unit.is_up() && unit.main_pid == first.main_pid {
                    return Ok(Progress::Done);
                }
            }
            if unit.active == "failed" {
                let unit = node.name_of("unit")?;
                Err(Error::other(format!(
                    "the unit `{unit}` was started and has failed; `journalctl --unit {unit}` tells why"
                )))
            } else {
                Ok(Progress::Waiting(unit.state()))
            }
        })
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        if Unit::known(node, host)?.is_down() {
            return Ok(());
        }
        host.succeed(&systemctl(node)?.arg("stop").arg(node.name_of("unit")?))?;
        wait_for(host, timeout, || {
            let unit = Unit::known(node, host)?;
            Ok(if unit.is_down() { Progress::Done } else { Progress::Waiting(unit.state()) })
        })
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        let unit = Unit::ask(node, host)?;
        if unit.is_missing() {
            host.log(&missing(node)?);
            return Ok(State::Unknown);
        }
        Ok(if unit.is_down() {
            State::Stopped
        } else if unit.is_up() && unit.sub != "exited" && unit.job.is_empty() {
            State::Running
        } else {
            host.log(&unit.state());
            State::Unknown
        })
    }
}

fn systemctl(node: &Node) -> Result<Command, Error> {
    let scope = match node.required("scope")? {
        "system" => "--system",
        "user" => "--user",
        _ => return Err(Error::setting("scope", "it is neither `system` nor `user`")),
    };
    Ok(Command::new("systemctl").arg(scope).arg("--no-ask-password"))
}

fn missing(node: &Node) -> Result<String, Error> {
    let unit = node.name_of("unit")?;
    let scope = node.required("scope")?;
    Ok(format!(
        "systemd has no {scope} unit `{unit}`; `systemctl --{scope} list-units --all` lists what it has, and the settings \
         `unit` and `scope` choose one"
    ))
}

/// What systemd tells of a unit.
#[derive(Default)]
struct Unit {
    load: String,
    active: String,
    sub: String,
    main_pid: String,
    /// The number of the job that is queued for it, empty where none is.
    job: String,
}

impl Unit {
    fn ask(node: &Node, host: &dyn Host) -> Result<Self, Error> {
        let command = systemctl(node)?
            .args(["show", "--property=LoadState,ActiveState,SubState,MainPID,Job"])
            .arg(node.name_of("unit")?);
        let output = host.succeed(&command)?;
        let mut unit = Self::default();
        for line in output.stdout.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            match name {
                "LoadState" => unit.load = value.into(),
                "ActiveState" => unit.active = value.into(),
                "SubState" => unit.sub = value.into(),
                "MainPID" => unit.main_pid = value.into(),
                "Job" if value != "0" => unit.job = value.into(),
                _ => {}
            }
        }
        Ok(unit)
    }

    /// Fails where there is no such unit.
    fn known(node: &Node, host: &dyn Host) -> Result<Self, Error> {
        let unit = Self::ask(node, host)?;
        if unit.is_missing() { Err(Error::other(missing(node)?)) } else { Ok(unit) }
    }

    /// A unit whose file was removed while it ran is `not-found`, and runs.
    fn is_missing(&self) -> bool {
        self.load == "not-found" && self.active == "inactive"
    }

    fn is_up(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// A queued job could be one that starts it.
    fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed") && self.job.is_empty()
    }

    fn state(&self) -> String {
        let job = if self.job.is_empty() { "" } else { ", and a job for it is queued" };
        format!("the unit is {} ({}){job}", self.active, self.sub)
    }
}

#[cfg(test)]
mod tests;

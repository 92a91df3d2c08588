//! CouchDB as an init script, run by service(8), on machines whose init is neither systemd nor OpenRC.
//!
//! Settings:
//! - `service`: the script's name in `/etc/init.d`, `couchdb` where none is given;
//! - `timeout`: how many seconds to wait until it says that CouchDB runs or has stopped, 120 where none is given.
//!
//! What it runs:
//! ```text
//! service couchdb status
//! service couchdb stop
//! service couchdb start
//! ```
//! As a rule that takes root: add `--via sudo`.
//!
//! The script has to know `status`, with the exit codes that the Linux Standard Base gives them: 0 running, 1 and 2 dead
//! with a PID or lock file left over, 3 stopped, 4 unknown. Without that nobody can say when CouchDB has stopped; the
//! `command` plugin is for such scripts. A script that answers `status` with its usage does not know it, whatever its exit
//! code.
//!
//! Where systemd runs, service(8) hands over to it, and the `systemd` plugin is the better choice.

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// CouchDB as an init script.
pub struct Sysv;

export_service!(Sysv);

impl Service for Sysv {
    fn describe() -> Description {
        Description::new("sysv", env!("CARGO_PKG_VERSION"), "CouchDB as an init script, by service(8)")
            .setting(Setting::with_default("service", "couchdb", "The init script's name"))
            .setting(Setting::with_default(
                "timeout",
                "120",
                "How many seconds to wait for the script's word at most",
            ))
            .command("service {service} status", "see whether CouchDB runs")
            .command("service {service} start", "start CouchDB")
            .command("service {service} stop", "stop CouchDB")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        if Seen::known(node, host)? == Seen::Running {
            return Ok(());
        }
        host.succeed(&service(node, "start")?)?;
        wait_for(host, timeout, || {
            Ok(match Seen::known(node, host)? {
                Seen::Running => Progress::Done,
                other => Progress::Waiting(other.told(node)?),
            })
        })
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        // What died and left its files is stopped as well, but the script should tidy up.
        if Seen::known(node, host)? == Seen::Stopped {
            return Ok(());
        }
        host.succeed(&service(node, "stop")?)?;
        wait_for(host, timeout, || {
            Ok(match Seen::known(node, host)? {
                Seen::Stopped | Seen::Dead => Progress::Done,
                other => Progress::Waiting(other.told(node)?),
            })
        })
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        let seen = Seen::ask(node, host)?;
        Ok(match seen {
            Seen::Running => State::Running,
            Seen::Stopped | Seen::Dead => State::Stopped,
            _ => {
                host.log(&seen.told(node)?);
                State::Unknown
            }
        })
    }
}

fn service(node: &Node, action: &str) -> Result<Command, Error> {
    Ok(Command::new("service").arg(node.name_of("service")?).arg(action))
}

/// What a script's `status` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Running,
    Stopped,
    /// Stopped, with files left over.
    Dead,
    /// On its way, or nobody can say.
    Unknown,
    /// The script does not know `status`.
    NoStatus,
    /// There is no such script.
    Missing,
}

impl Seen {
    fn ask(node: &Node, host: &dyn Host) -> Result<Self, Error> {
        let output = host.run(&service(node, "status")?)?;
        if output.success() {
            return Ok(Self::Running);
        }
        let says = |what: &str| output.stderr.contains(what) || output.stdout.contains(what);
        // The first is what service(8) says, the second what systemctl says where service(8) hands over to it.
        if says("unrecognized service") || says(" could not be found.") {
            return Ok(Self::Missing);
        }
        if output.stdout.lines().chain(output.stderr.lines()).any(is_usage) {
            return Ok(Self::NoStatus);
        }
        Ok(match output.exit_code {
            // systemctl's exit code for every unit that is not active.
            Some(3) if says("Active: activating") || says("Active: deactivating") => Self::Unknown,
            Some(3) => Self::Stopped,
            Some(1 | 2) => Self::Dead,
            _ => Self::Unknown,
        })
    }

    /// Fails where waiting is in vain.
    fn known(node: &Node, host: &dyn Host) -> Result<Self, Error> {
        match Self::ask(node, host)? {
            seen @ Self::NoStatus => Err(Error::Unsupported(seen.told(node)?)),
            seen @ Self::Missing => Err(Error::other(seen.told(node)?)),
            seen => Ok(seen),
        }
    }

    fn told(self, node: &Node) -> Result<String, Error> {
        let name = node.name_of("service")?;
        Ok(match self {
            Self::Running => format!("`service {name} status` says that it runs"),
            Self::Stopped | Self::Dead => format!("`service {name} status` says that it does not run"),
            Self::Unknown => format!("`service {name} status` does not say whether it runs"),
            Self::NoStatus => format!(
                "the init script `{name}` knows no `status`, so nobody can say when CouchDB has stopped; the plugin \
                 `command` runs commands of your own"
            ),
            Self::Missing => {
                format!("there is no init script `{name}`; the setting `service` is its name in /etc/init.d")
            }
        })
    }
}

/// `Usage: …`, perhaps behind a mark.
fn is_usage(line: &str) -> bool {
    line.trim_start_matches(|c: char| !c.is_ascii_alphabetic())
        .get(.."usage:".len())
        .is_some_and(|start| start.eq_ignore_ascii_case("usage:"))
}

#[cfg(test)]
mod tests;

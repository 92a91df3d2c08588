//! CouchDB as a service of OpenRC, as on Alpine and Gentoo.
//!
//! Settings:
//! - `service`: the service's name, `couchdb` where none is given;
//! - `timeout`: how many seconds to wait until OpenRC says that it runs or has stopped, 120 where none is given.
//!
//! What it runs:
//! ```text
//! rc-service couchdb status
//! rc-service couchdb stop
//! rc-service couchdb start
//! ```
//! Starting and stopping takes root: add `--via sudo`. Services that need CouchDB's are stopped with it, as always with
//! OpenRC.
//!
//! How the exit codes of `status` are read: 0 runs, 3 has stopped, 32 has crashed, which is stopped too. OpenRC still
//! believes of a crashed service that it was started, and would not start it again; so it is stopped before. 4, 8 and 16
//! are on the way from one to the other.

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// CouchDB as a service of OpenRC.
pub struct Openrc;

export_service!(Openrc);

impl Service for Openrc {
    fn describe() -> Description {
        Description::new("openrc", env!("CARGO_PKG_VERSION"), "CouchDB as a service of OpenRC")
            .setting(Setting::with_default("service", "couchdb", "The service's name"))
            .setting(Setting::with_default(
                "timeout",
                "120",
                "How many seconds to wait for the service at most",
            ))
            .command("rc-service {service} status", "see whether CouchDB runs")
            .command("rc-service {service} start", "start CouchDB")
            .command("rc-service {service} stop", "stop CouchDB")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        match Seen::known(node, host)? {
            Seen::Started => return Ok(()),
            Seen::Crashed | Seen::Unsupervised => {
                host.succeed(&rc_service(node, "stop")?)?;
            }
            _ => {}
        }
        host.succeed(&rc_service(node, "start")?)?;
        wait_for(host, timeout, || {
            Ok(match Seen::known(node, host)? {
                Seen::Started => Progress::Done,
                Seen::Crashed => {
                    return Err(Error::other(format!(
                        "the service `{}` was started and has crashed; CouchDB's log tells why",
                        node.name_of("service")?
                    )));
                }
                other => Progress::Waiting(other.told(node)?),
            })
        })
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        if Seen::known(node, host)? == Seen::Stopped {
            return Ok(());
        }
        host.succeed(&rc_service(node, "stop")?)?;
        wait_for(host, timeout, || {
            Ok(match Seen::known(node, host)? {
                Seen::Stopped => Progress::Done,
                other => Progress::Waiting(other.told(node)?),
            })
        })
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        let seen = Seen::ask(node, host)?;
        Ok(match seen {
            Seen::Started => State::Running,
            Seen::Stopped | Seen::Crashed => State::Stopped,
            _ => {
                host.log(&seen.told(node)?);
                State::Unknown
            }
        })
    }
}

fn rc_service(node: &Node, action: &str) -> Result<Command, Error> {
    Ok(Command::new("rc-service").arg(node.name_of("service")?).arg(action))
}

/// What OpenRC says of a service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Started,
    Stopped,
    Stopping,
    Starting,
    /// Started, and waits for something.
    Inactive,
    Crashed,
    /// Its `supervise-daemon` is gone.
    Unsupervised,
    /// There is no such service.
    Missing,
    Unknown,
}

impl Seen {
    fn ask(node: &Node, host: &dyn Host) -> Result<Self, Error> {
        let output = host.run(&rc_service(node, "status")?)?;
        Ok(match output.exit_code {
            Some(0) => Self::Started,
            Some(3) => Self::Stopped,
            Some(4) => Self::Stopping,
            Some(8) => Self::Starting,
            Some(16) => Self::Inactive,
            Some(32) => Self::Crashed,
            Some(64) => Self::Unsupervised,
            Some(1)
                if output.stderr.contains("does not exist") || output.stdout.contains("does not exist") =>
            {
                Self::Missing
            }
            _ => Self::Unknown,
        })
    }

    /// Fails where there is no such service.
    fn known(node: &Node, host: &dyn Host) -> Result<Self, Error> {
        match Self::ask(node, host)? {
            seen @ Self::Missing => Err(Error::other(seen.told(node)?)),
            seen => Ok(seen),
        }
    }

    fn told(self, node: &Node) -> Result<String, Error> {
        let name = node.name_of("service")?;
        let what = match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Stopping => "stopping",
            Self::Starting => "starting",
            Self::Inactive => "inactive",
            Self::Crashed => "crashed",
            Self::Unsupervised => "unsupervised",
            Self::Unknown => "in a state that OpenRC does not tell",
            Self::Missing => {
                return Ok(format!(
                    "OpenRC has no service `{name}`; `rc-service --list` lists what it has, and the setting `service` \
                     chooses one"
                ));
            }
        };
        Ok(format!("the service `{name}` is {what}"))
    }
}

#[cfg(test)]
mod tests;

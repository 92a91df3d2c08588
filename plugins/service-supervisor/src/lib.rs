//! CouchDB as a program of supervisor (supervisord).
//!
//! Settings:
//! - `service`: the program's name, `couchdb` where none is given; `group:name` where it belongs to a group. It has to be one
//!   process: no group, and no `numprocs`;
//! - `config`: supervisor's configuration file, where supervisorctl does not find it by itself;
//! - `timeout`: how many seconds to wait until the program runs or has stopped, 120 where none is given.
//!
//! What it runs, with `--configuration=FILE` behind `supervisorctl` where `config` is given:
//! ```text
//! supervisorctl status couchdb
//! supervisorctl stop couchdb
//! supervisorctl start couchdb
//! ```
//! Who may do that is said by supervisor's configuration; as a rule it takes root: add `--via sudo`.
//!
//! How states are read: RUNNING runs; STOPPED and FATAL are stopped, and EXITED is where it stays so: supervisor may be
//! about to start such a program again, so a stop looks twice. STARTING, STOPPING and BACKOFF are on their way. After a stop
//! supervisor does not start a program again by itself.
//!
//! supervisor kills a program that has not ended `stopwaitsecs` after it was told to stop, 10 seconds unless configured:
//! give CouchDB more.

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// How long a program has to stay EXITED before it is believed to. supervisor looks about every second.
const SETTLING: u32 = 2500;

/// CouchDB as a program of supervisor.
pub struct Supervisor;

export_service!(Supervisor);

impl Service for Supervisor {
    fn describe() -> Description {
        Description::new("supervisor", env!("CARGO_PKG_VERSION"), "CouchDB as a program of supervisor")
            .setting(Setting::with_default("service", "couchdb", "The program's name, or `group:name`"))
            .setting(Setting::optional("config", "supervisor's configuration file"))
            .setting(Setting::with_default(
                "timeout",
                "120",
                "How many seconds to wait for the program at most",
            ))
            .command("supervisorctl [--configuration={config}] status {service}", "see whether CouchDB runs")
            .command("supervisorctl [--configuration={config}] start {service}", "start CouchDB")
            .command("supervisorctl [--configuration={config}] stop {service}", "stop CouchDB")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        match known(node, host)?.as_str() {
            "RUNNING" => return Ok(()),
            // supervisor would call it started already, and not wait for it.
            "STARTING" => {}
            _ => {
                host.succeed(&supervisorctl(node, "start")?)?;
            }
        }
        wait_for(host, timeout, || {
            let state = known(node, host)?;
            match state.as_str() {
                "RUNNING" => Ok(Progress::Done),
                "FATAL" | "EXITED" => Err(Error::other(format!(
                    "the program was started and is {state}; `supervisorctl tail {}` and CouchDB's log tell why",
                    node.name_of("service")?
                ))),
                _ => Ok(waiting(&state)),
            }
        })
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        match known(node, host)?.as_str() {
            "STOPPED" | "FATAL" => return Ok(()),
            "EXITED" => {
                host.sleep(SETTLING);
                if known(node, host)? == "EXITED" {
                    return Ok(());
                }
            }
            _ => {}
        }
        host.succeed(&supervisorctl(node, "stop")?)?;
        wait_for(host, timeout, || {
            let state = known(node, host)?;
            Ok(if matches!(state.as_str(), "STOPPED" | "FATAL" | "EXITED") {
                Progress::Done
            } else {
                waiting(&state)
            })
        })
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        let (state, told) = ask(node, host)?;
        Ok(match state.as_deref() {
            Some("RUNNING") => State::Running,
            Some("STOPPED" | "FATAL" | "EXITED") => State::Stopped,
            _ => {
                host.log(&told);
                State::Unknown
            }
        })
    }
}

fn supervisorctl(node: &Node, action: &str) -> Result<Command, Error> {
    Ok(Command::new("supervisorctl")
        .maybe(node.setting("config").map(|file| format!("--configuration={file}")))
        .arg(action)
        .arg(node.name_of("service")?))
}

fn waiting(state: &str) -> Progress {
    Progress::Waiting(format!("the program is {state}"))
}

/// The program's state where supervisor tells one, and what supervisorctl said.
fn ask(node: &Node, host: &dyn Host) -> Result<(Option<String>, String), Error> {
    const STATES: [&str; 8] =
        ["STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"];
    let command = supervisorctl(node, "status")?;
    let output = host.run(&command)?;
    let told = output.complaint().to_owned();
    // One line, `NAME  STATE  more`, where it is one process. The exit code depends on the version.
    let mut lines = output.stdout.lines().filter(|line| !line.trim().is_empty());
    let state = lines.next().and_then(|line| line.split_whitespace().nth(1));
    let state = state.filter(|state| STATES.contains(state) && lines.next().is_none());
    Ok((state.map(Into::into), told))
}

/// Fails where supervisor tells no state.
fn known(node: &Node, host: &dyn Host) -> Result<String, Error> {
    let (state, told) = ask(node, host)?;
    state.ok_or_else(|| {
        let name = node.name_of("service").unwrap_or_default();
        Error::other(format!(
            "supervisor does not tell the state of the program `{name}`: {told}. `supervisorctl status` lists its programs; \
             the setting `service` chooses one, and `config` is supervisor's configuration file"
        ))
    })
}

#[cfg(test)]
mod tests;

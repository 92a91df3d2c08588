//! CouchDB as a service of runit, as on Void, or wherever runsvdir(8) runs.
//!
//! Settings:
//! - `service`: the service's name in the default service directory, `couchdb` where none is given, or its directory as a
//!   path that begins with `/`. Which directory is the default one was decided when `sv` was built (`/etc/service`,
//!   `/service`, `/var/service`);
//! - `timeout`: how many seconds to wait until the service is up or down, 120 where none is given.
//!
//! What it runs, see sv(8):
//! ```text
//! sv status couchdb
//! sv -w 120 down couchdb
//! sv -w 120 up couchdb
//! ```
//! As a rule that takes root: add `--via sudo`.
//!
//! After `sv down` runsv does not start the service again by itself. A service that has a log service keeps that. It is
//! `down` for good only where it is not wanted up, and `finish` means that CouchDB has ended and its `finish` script still
//! runs. A service that crashes again and again is on its way from one to the other, so its status is unknown.

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// How long a service has to run to be believed to. runsv starts one that ends sooner again after a second.
const SETTLING: u32 = 500;

/// CouchDB as a service of runit.
pub struct Runit;

export_service!(Runit);

impl Service for Runit {
    fn describe() -> Description {
        Description::new("runit", env!("CARGO_PKG_VERSION"), "CouchDB as a service of runit")
            .setting(Setting::with_default("service", "couchdb", "The service's name or its directory"))
            .setting(Setting::with_default(
                "timeout",
                "120",
                "How many seconds to wait for the service at most",
            ))
            .command("sv status {service}", "see whether CouchDB runs")
            .command("sv -w {timeout} up {service}", "start CouchDB")
            .command("sv -w {timeout} down {service}", "stop CouchDB")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        drive(node, host, "up", State::Running)
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        drive(node, host, "down", State::Stopped)
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        let (state, told) = ask(node, host)?;
        if state == State::Unknown {
            host.log(&told);
        }
        Ok(state)
    }
}

fn drive(node: &Node, host: &dyn Host, action: &str, wanted: State) -> Result<(), Error> {
    let timeout = node.seconds("timeout")?;
    if known(node, host)?.0 == wanted {
        return Ok(());
    }
    let command =
        Command::new("sv").arg("-w").arg(node.required("timeout")?).arg(action).arg(node.name_of("service")?);
    let output = host.run(&command)?;
    // Where the time is over, the wait below says more.
    if !output.success() && !output.stdout.starts_with("timeout: ") {
        return Err(Error::failed(&command, output));
    }
    let timeout = if output.success() { timeout } else { std::time::Duration::ZERO };
    wait_for(host, timeout, || {
        let (mut state, mut told) = known(node, host)?;
        if state == State::Running && state == wanted {
            // One that ends right after its start runs for a moment.
            host.sleep(SETTLING);
            (state, told) = known(node, host)?;
        }
        Ok(if state == wanted { Progress::Done } else { Progress::Waiting(told) })
    })
}

/// The state, and what sv said.
fn ask(node: &Node, host: &dyn Host) -> Result<(State, String), Error> {
    let output = host.run(&Command::new("sv").arg("status").arg(node.name_of("service")?))?;
    // What follows the first `; ` is about the log service.
    let told = output.stdout.lines().next().unwrap_or_default();
    let told = told.split("; ").next().unwrap_or_default();
    let wants = |what: &str| told.split(", ").any(|part| part == what);
    let state = match told.split_once(": ").map(|(state, _)| state) {
        Some("run") if !wants("want down") => State::Running,
        Some("down") if !wants("want up") => State::Stopped,
        _ => State::Unknown,
    };
    let told = if told.is_empty() { output.complaint() } else { told };
    Ok((state, format!("`sv status` says `{told}`")))
}

/// Fails where waiting is in vain.
fn known(node: &Node, host: &dyn Host) -> Result<(State, String), Error> {
    let (state, told) = ask(node, host)?;
    if told.contains("`fail: ") || told.contains("`warning: ") {
        let service = node.name_of("service")?;
        return Err(Error::other(format!(
            "runit does not supervise `{service}`: {told}; the setting `service` is its name or its directory, and it \
             takes the right to use its `supervise` directory"
        )));
    }
    Ok((state, told))
}

#[cfg(test)]
mod tests;

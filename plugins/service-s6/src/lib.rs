//! CouchDB as a service of s6.
//!
//! Settings:
//! - `service`: its service directory, as a rule below the scan directory of s6-svscan; `/run/service/couchdb` where none is
//!   given;
//! - `timeout`: how many seconds to wait until the service is up or down, 120 where none is given.
//!
//! What it runs, see s6-svc(8) and s6-svstat(8):
//! ```text
//! s6-svstat -o up,wantedup /run/service/couchdb
//! s6-svc -d /run/service/couchdb
//! s6-svc -u /run/service/couchdb
//! ```
//! As a rule that takes root: add `--via sudo`.
//!
//! After `s6-svc -d` s6-supervise does not start the service again by itself. A service is stopped where it is down and
//! wanted down; one that is down and wanted up will be started again in a second. Where s6-rc manages the services it does
//! not learn of that and will still believe that CouchDB is up, which does no harm as long as it is started again, as
//! couchcopy does.

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// How long a service has to be up to be believed to. s6-supervise waits a second before it starts one again.
const SETTLING: u32 = 500;

/// CouchDB as a service of s6.
pub struct S6;

export_service!(S6);

impl Service for S6 {
    fn describe() -> Description {
        Description::new("s6", env!("CARGO_PKG_VERSION"), "CouchDB as a service of s6")
            .setting(Setting::with_default("service", "/run/service/couchdb", "Its service directory"))
            .setting(Setting::with_default(
                "timeout",
                "120",
                "How many seconds to wait for the service at most",
            ))
            .command("s6-svstat -o up,wantedup {service}", "see whether CouchDB runs")
            .command("s6-svc -u {service}", "start CouchDB")
            .command("s6-svc -d {service}", "stop CouchDB")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        drive(node, host, "-u", State::Running)
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        drive(node, host, "-d", State::Stopped)
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        let command = svstat(node)?;
        let output = host.run(&command)?;
        if !output.success() {
            host.log(&Error::failed(&command, output).to_string());
            return Ok(State::Unknown);
        }
        let (state, told) = read(&output.stdout);
        if state == State::Unknown {
            host.log(told);
        }
        Ok(state)
    }
}

fn drive(node: &Node, host: &dyn Host, action: &str, wanted: State) -> Result<(), Error> {
    let timeout = node.seconds("timeout")?;
    if read(&host.succeed(&svstat(node)?)?.stdout).0 == wanted {
        return Ok(());
    }
    host.succeed(&Command::new("s6-svc").arg(action).arg(node.name_of("service")?))?;
    wait_for(host, timeout, || {
        let (mut state, mut told) = read(&host.succeed(&svstat(node)?)?.stdout);
        if state == State::Running && state == wanted {
            // One that ends right after its start is up for a moment.
            host.sleep(SETTLING);
            (state, told) = read(&host.succeed(&svstat(node)?)?.stdout);
        }
        Ok(if state == wanted { Progress::Done } else { Progress::Waiting(told.into()) })
    })
}

/// Ends with exit code 1 where no s6-supervise runs on the directory, or it cannot be read.
fn svstat(node: &Node) -> Result<Command, Error> {
    Ok(Command::new("s6-svstat").args(["-o", "up,wantedup"]).arg(node.name_of("service")?))
}

fn read(stdout: &str) -> (State, &'static str) {
    match stdout.trim() {
        "true true" => (State::Running, "the service is up"),
        "false false" => (State::Stopped, "the service is down"),
        "true false" => (State::Unknown, "the service is up and wanted down"),
        "false true" => (State::Unknown, "the service is down and wanted up"),
        _ => (State::Unknown, "s6-svstat does not say how the service is"),
    }
}

#[cfg(test)]
mod tests;

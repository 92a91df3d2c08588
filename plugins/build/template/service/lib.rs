//! CouchDB as an init script: what `service couchdb start|stop|status` does. A beginning: put your own manager in its place.

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// The plugin.
pub struct Plugin;

export_service!(Plugin);

impl Service for Plugin {
    /// couchcopy refuses every command that no pattern here allows, and asks users to grant these.
    fn describe() -> Description {
        Description::new("@NAME@", env!("CARGO_PKG_VERSION"), "CouchDB as an init script")
            .setting(Setting::with_default("service", "couchdb", "The init script's name"))
            .setting(Setting::with_default("timeout", "60", "How many seconds to wait for it at most"))
            .command("service {service} status", "see whether CouchDB runs")
            .command("service {service} start", "start CouchDB")
            .command("service {service} stop", "stop CouchDB")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        bring(node, host, "start", State::Running)
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        bring(node, host, "stop", State::Stopped)
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        let output = host.run(&service(node, "status")?)?;
        Ok(match output.exit_code {
            Some(0) => State::Running,
            Some(3) => State::Stopped,
            _ => {
                host.log(output.complaint());
                State::Unknown
            }
        })
    }
}

/// Does that, unless it is done already, and waits for its effect.
fn bring(node: &Node, host: &dyn Host, action: &str, wanted: State) -> Result<(), Error> {
    let timeout = node.seconds("timeout")?;
    if Plugin::status(node, host)? == wanted {
        return Ok(());
    }
    host.succeed(&service(node, action)?)?;
    wait_for(host, timeout, || {
        Ok(match Plugin::status(node, host)? {
            state if state == wanted => Progress::Done,
            state => Progress::Waiting(format!("the init script says that CouchDB is {state:?}")),
        })
    })
}

fn service(node: &Node, action: &str) -> Result<Command, Error> {
    Ok(Command::new("service").arg(node.name_of("service")?).arg(action))
}

#[cfg(test)]
mod tests {
    use couchcopy_plugin::testing::{ScriptedHost, exit};

    use super::*;

    fn host() -> ScriptedHost {
        ScriptedHost::for_service::<Plugin>().set("service", "couchdb-2")
    }

    #[test]
    fn it_starts_what_is_stopped() {
        let host = host()
            .expect("service couchdb-2 status", exit(3))
            .expect("service couchdb-2 start", exit(0))
            .expect("service couchdb-2 status", exit(0));
        Plugin::start(&host.node(), &host).unwrap();
    }

    #[test]
    fn it_starts_nothing_that_runs() {
        let host = host().expect("service couchdb-2 status", exit(0));
        Plugin::start(&host.node(), &host).unwrap();
    }

    #[test]
    fn it_waits_until_it_has_stopped() {
        let host = host()
            .answer_each("service couchdb-2 status", [exit(0), exit(0), exit(3)])
            .expect("service couchdb-2 stop", exit(0));
        Plugin::stop(&host.node(), &host).unwrap();
    }

    #[test]
    fn a_stop_without_effect_is_told() {
        let host = host()
            .set("timeout", "5")
            .answer("service couchdb-2 status", exit(0))
            .expect("service couchdb-2 stop", exit(0));
        assert!(matches!(Plugin::stop(&host.node(), &host), Err(Error::TimedOut(_))));
    }

    #[test]
    fn what_nobody_knows_is_unknown() {
        let host = host().expect("service couchdb-2 status", exit(4).stderr("no such script"));
        assert_eq!(Plugin::status(&host.node(), &host).unwrap(), State::Unknown);
    }
}

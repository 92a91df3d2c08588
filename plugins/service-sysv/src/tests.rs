//! Outputs are those of Debian's service(8) and of scripts that use its `lsb/init-functions`.

use couchcopy_plugin::testing::{Answer, ScriptedHost, exit, missing, prints};
use couchcopy_plugin::{Error, RunError, Service, State};

use crate::Sysv;

const STATUS: &str = "service couchdb status";
const START: &str = "service couchdb start";
const STOP: &str = "service couchdb stop";

fn running() -> Answer {
    prints("couchdb is running.\n")
}

fn stopped() -> Answer {
    exit(3).stdout("couchdb is not running ... failed!\n")
}

fn usage() -> Answer {
    exit(3).stderr(" * Usage: /etc/init.d/couchdb {start|stop|restart|force-reload}\n")
}

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<Sysv>()
}

#[test]
fn it_starts_what_is_stopped() {
    for before in [stopped(), exit(1), exit(2), exit(4)] {
        let host = host().expect(STATUS, before).expect(START, exit(0)).expect(STATUS, running());
        Sysv::start(&host.node(), &host).unwrap();
    }
}

#[test]
fn it_starts_nothing_that_runs() {
    let host = host().expect(STATUS, running());
    Sysv::start(&host.node(), &host).unwrap();
}

#[test]
fn a_start_that_fails_is_told() {
    let host = host().expect(STATUS, stopped()).expect(START, exit(1).stdout("Starting couchdb: failed!\n"));
    let error = Sysv::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("Starting couchdb: failed!"), "{error}");
    let host = self::host().answer(STATUS, stopped()).expect(START, exit(0));
    assert!(matches!(Sysv::start(&host.node(), &host), Err(Error::TimedOut(_))));
}

#[test]
fn it_stops_what_runs_and_waits_for_it() {
    let host = host()
        .set("service", "couchdb-2")
        .answer_each("service couchdb-2 status", [running(), running(), running(), stopped()])
        .expect("service couchdb-2 stop", exit(0));
    Sysv::stop(&host.node(), &host).unwrap();
    assert!(!host.slept().is_zero());
}

#[test]
fn it_stops_nothing_that_is_stopped() {
    let host = host().expect(STATUS, stopped());
    Sysv::stop(&host.node(), &host).unwrap();
}

#[test]
fn what_died_is_tidied_up() {
    let host = host().expect(STATUS, exit(1)).expect(STOP, exit(0)).expect(STATUS, exit(1));
    Sysv::stop(&host.node(), &host).unwrap();
}

#[test]
fn a_stop_that_fails_or_takes_too_long_is_told() {
    let host = host().expect(STATUS, running()).expect(STOP, exit(1));
    assert!(matches!(Sysv::stop(&host.node(), &host), Err(Error::CommandFailed(_))));
    let host = self::host().set("timeout", "5").answer(STATUS, running()).expect(STOP, exit(0));
    let error = Sysv::stop(&host.node(), &host).unwrap_err();
    assert_eq!(error, Error::TimedOut("`service couchdb status` says that it runs after 5 s".into()));
}

#[test]
fn a_script_without_status_is_not_run() {
    let host = host().answer(STATUS, usage());
    assert_eq!(Sysv::status(&host.node(), &host).unwrap(), State::Unknown);
    for result in [Sysv::start(&host.node(), &host), Sysv::stop(&host.node(), &host)] {
        assert!(matches!(result, Err(Error::Unsupported(_))));
    }
}

#[test]
fn a_script_that_does_not_exist_is_told() {
    let host = host().answer(STATUS, exit(1).stderr("couchdb: unrecognized service\n"));
    assert_eq!(Sysv::status(&host.node(), &host).unwrap(), State::Unknown);
    for result in [Sysv::start(&host.node(), &host), Sysv::stop(&host.node(), &host)] {
        assert!(result.unwrap_err().to_string().contains("/etc/init.d"));
    }
}

#[test]
fn states_are_read() {
    let unit = |active: &str| exit(3).stdout(&format!("couchdb.service\n   Active: {active} since today\n"));
    for (answer, state) in [
        (running(), State::Running),
        (stopped(), State::Stopped),
        (exit(1), State::Stopped),
        (exit(2), State::Stopped),
        (exit(4), State::Unknown),
        (exit(77), State::Unknown),
        (unit("inactive (dead)"), State::Stopped),
        (unit("failed (Result: exit-code)"), State::Stopped),
        (unit("activating (auto-restart)"), State::Unknown),
        (exit(4).stderr("Unit couchdb.service could not be found.\n"), State::Unknown),
    ] {
        let host = host().expect(STATUS, answer);
        assert_eq!(Sysv::status(&host.node(), &host).unwrap(), state);
    }
}

#[test]
fn a_machine_without_service_is_told() {
    let host = host().answer(STATUS, missing());
    assert!(matches!(Sysv::stop(&host.node(), &host), Err(Error::NotRun(RunError::NotFound(_)))));
}

#[test]
fn wrong_settings_are_told() {
    for (name, value) in [("service", "--status-all"), ("service", ""), ("timeout", "-1")] {
        let host = host().set(name, value);
        let Err(Error::InvalidSetting(wrong)) = Sysv::stop(&host.node(), &host) else {
            panic!("{name}={value}")
        };
        assert_eq!(wrong.name, name);
    }
}

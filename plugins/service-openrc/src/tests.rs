//! Exit codes and outputs are those of OpenRC 0.45.

use couchcopy_plugin::testing::{Answer, ScriptedHost, exit, missing, prints};
use couchcopy_plugin::{Error, RunError, Service, State};

use crate::Openrc;

const STATUS: &str = "rc-service couchdb status";
const START: &str = "rc-service couchdb start";
const STOP: &str = "rc-service couchdb stop";

fn started() -> Answer {
    prints(" * status: started\n")
}

fn stopped() -> Answer {
    exit(3).stdout(" * status: stopped\n")
}

fn crashed() -> Answer {
    exit(32).stderr(" * status: crashed\n")
}

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<Openrc>()
}

#[test]
fn it_starts_what_is_stopped() {
    let host = host()
        .expect(STATUS, stopped())
        .expect(START, exit(0))
        .expect(STATUS, exit(8))
        .expect(STATUS, started());
    Openrc::start(&host.node(), &host).unwrap();
}

#[test]
fn what_has_crashed_is_stopped_before_it_is_started() {
    let host = host()
        .expect(STATUS, crashed())
        .expect(STOP, exit(0))
        .expect(START, exit(0))
        .expect(STATUS, started());
    Openrc::start(&host.node(), &host).unwrap();
}

#[test]
fn it_starts_nothing_that_runs() {
    let host = host().expect(STATUS, started());
    Openrc::start(&host.node(), &host).unwrap();
}

#[test]
fn a_start_that_fails_is_told() {
    let host =
        host().expect(STATUS, stopped()).expect(START, exit(1).stderr(" * ERROR: couchdb failed to start\n"));
    let error = Openrc::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("ERROR: couchdb failed to start"), "{error}");
    let host = self::host()
        .expect(STATUS, stopped())
        .expect(START, exit(0))
        .expect(STATUS, exit(8))
        .expect(STATUS, crashed());
    let error = Openrc::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("has crashed"), "{error}");
}

#[test]
fn it_stops_what_runs_and_waits_for_it() {
    let host = host()
        .set("service", "couchdb.2")
        .answer_each("rc-service couchdb.2 status", [started(), exit(4), exit(4), stopped()])
        .expect("rc-service couchdb.2 stop", exit(0));
    Openrc::stop(&host.node(), &host).unwrap();
    assert!(!host.slept().is_zero());
}

#[test]
fn it_stops_nothing_that_is_stopped() {
    let host = host().expect(STATUS, stopped());
    Openrc::stop(&host.node(), &host).unwrap();
}

#[test]
fn what_has_crashed_is_stopped_in_the_books_too() {
    let host = host().expect(STATUS, crashed()).expect(STOP, exit(0)).expect(STATUS, stopped());
    Openrc::stop(&host.node(), &host).unwrap();
}

#[test]
fn a_stop_that_fails_or_takes_too_long_is_told() {
    let host =
        host().expect(STATUS, started()).expect(STOP, exit(1).stderr(" * ERROR: couchdb failed to stop\n"));
    assert!(matches!(Openrc::stop(&host.node(), &host), Err(Error::CommandFailed(_))));
    let host =
        self::host().set("timeout", "7").answer_each(STATUS, [started(), exit(4)]).expect(STOP, exit(0));
    let error = Openrc::stop(&host.node(), &host).unwrap_err();
    assert_eq!(error, Error::TimedOut("the service `couchdb` is stopping after 7 s".into()));
}

#[test]
fn a_service_that_does_not_exist_is_told() {
    let host = host().answer(STATUS, exit(1).stderr(" * rc-service: service `couchdb' does not exist\n"));
    assert_eq!(Openrc::status(&host.node(), &host).unwrap(), State::Unknown);
    for result in [Openrc::start(&host.node(), &host), Openrc::stop(&host.node(), &host)] {
        assert!(result.unwrap_err().to_string().contains("no service `couchdb`"));
    }
}

#[test]
fn states_are_read() {
    for (answer, state) in [
        (started(), State::Running),
        (stopped(), State::Stopped),
        (crashed(), State::Stopped),
        (exit(4), State::Unknown),
        (exit(8), State::Unknown),
        (exit(16), State::Unknown),
        (exit(64), State::Unknown),
        (exit(1), State::Unknown),
    ] {
        let host = host().expect(STATUS, answer);
        assert_eq!(Openrc::status(&host.node(), &host).unwrap(), state);
    }
}

#[test]
fn a_machine_without_openrc_is_told() {
    let host = host().answer(STATUS, missing());
    assert!(matches!(Openrc::start(&host.node(), &host), Err(Error::NotRun(RunError::NotFound(_)))));
}

#[test]
fn wrong_settings_are_told() {
    for (name, value) in [("service", "-l"), ("service", ""), ("timeout", "soon")] {
        let host = host().set(name, value);
        let Err(Error::InvalidSetting(wrong)) = Openrc::stop(&host.node(), &host) else {
            panic!("{name}={value}")
        };
        assert_eq!(wrong.name, name);
    }
}

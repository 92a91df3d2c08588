//! Outputs are those of s6 2.11.3.

use couchcopy_plugin::testing::{Answer, ScriptedHost, exit, missing, prints};
use couchcopy_plugin::{Error, RunError, Service, State};

use crate::S6;

const STATUS: &str = "s6-svstat -o up,wantedup /run/service/couchdb";
const UP: &str = "s6-svc -u /run/service/couchdb";
const DOWN: &str = "s6-svc -d /run/service/couchdb";

fn up() -> Answer {
    prints("true true\n")
}

fn down() -> Answer {
    prints("false false\n")
}

fn stopping() -> Answer {
    prints("true false\n")
}

fn crashing() -> Answer {
    prints("false true\n")
}

fn unsupervised() -> Answer {
    exit(1).stderr(
        "s6-svstat: fatal: : unable to read status for /run/service/couchdb: s6-supervise not running\n",
    )
}

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<S6>()
}

#[test]
fn it_starts_what_is_stopped() {
    let host = host()
        .expect(STATUS, down())
        .expect(UP, exit(0))
        .expect(STATUS, crashing())
        .expect(STATUS, up())
        .expect(STATUS, up());
    S6::start(&host.node(), &host).unwrap();
}

#[test]
fn it_starts_nothing_that_runs() {
    let host = host().expect(STATUS, up());
    S6::start(&host.node(), &host).unwrap();
}

#[test]
fn a_start_that_comes_to_nothing_is_told() {
    let host = host().set("timeout", "9").answer_each(STATUS, [down(), crashing()]).expect(UP, exit(0));
    let error = S6::start(&host.node(), &host).unwrap_err();
    assert_eq!(error, Error::TimedOut("the service is down and wanted up after 9 s".into()));
    // It is up for a moment each time.
    let host =
        self::host().set("timeout", "0").answer_each(STATUS, [down(), up(), crashing()]).expect(UP, exit(0));
    let error = S6::start(&host.node(), &host).unwrap_err();
    assert_eq!(error, Error::TimedOut("the service is down and wanted up after 0 s".into()));
}

#[test]
fn it_stops_what_runs_and_waits_for_it() {
    let host = host()
        .set("service", "/srv/couchdb")
        .answer_each("s6-svstat -o up,wantedup /srv/couchdb", [up(), stopping(), stopping(), down()])
        .expect("s6-svc -d /srv/couchdb", exit(0));
    S6::stop(&host.node(), &host).unwrap();
    assert!(!host.slept().is_zero());
}

#[test]
fn it_stops_nothing_that_is_stopped() {
    let host = host().expect(STATUS, down());
    S6::stop(&host.node(), &host).unwrap();
}

#[test]
fn what_is_about_to_start_again_is_not_stopped() {
    let host = host()
        .expect(STATUS, crashing())
        .expect(STATUS, crashing())
        .expect(DOWN, exit(0))
        .expect(STATUS, down());
    assert_eq!(S6::status(&host.node(), &host).unwrap(), State::Unknown);
    S6::stop(&host.node(), &host).unwrap();
}

#[test]
fn a_stop_that_fails_or_takes_too_long_is_told() {
    let denied =
        exit(111).stderr("s6-svc: fatal: unable to control /run/service/couchdb: Permission denied\n");
    let host = host().expect(STATUS, up()).expect(DOWN, denied);
    let error = S6::stop(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("Permission denied"), "{error}");
    let host = self::host().answer_each(STATUS, [up(), stopping()]).expect(DOWN, exit(0));
    let error = S6::stop(&host.node(), &host).unwrap_err();
    assert_eq!(error, Error::TimedOut("the service is up and wanted down after 120 s".into()));
}

#[test]
fn a_service_that_nobody_supervises_is_told() {
    let host = host().answer(STATUS, unsupervised());
    assert_eq!(S6::status(&host.node(), &host).unwrap(), State::Unknown);
    assert!(host.logged()[0].contains("s6-supervise not running"));
    for result in [S6::start(&host.node(), &host), S6::stop(&host.node(), &host)] {
        assert!(result.unwrap_err().to_string().contains("s6-supervise not running"));
    }
}

#[test]
fn states_are_read() {
    for (answer, state) in [
        (up(), State::Running),
        (down(), State::Stopped),
        (stopping(), State::Unknown),
        (crashing(), State::Unknown),
        (prints(""), State::Unknown),
    ] {
        let host = host().expect(STATUS, answer);
        assert_eq!(S6::status(&host.node(), &host).unwrap(), state);
    }
}

#[test]
fn a_machine_without_s6_is_told() {
    let host = host().answer(STATUS, missing());
    assert!(matches!(S6::start(&host.node(), &host), Err(Error::NotRun(RunError::NotFound(_)))));
}

#[test]
fn wrong_settings_are_told() {
    for (name, value) in [("service", "-x"), ("service", ""), ("timeout", "x")] {
        let host = host().set(name, value);
        let Err(Error::InvalidSetting(wrong)) = S6::stop(&host.node(), &host) else {
            panic!("{name}={value}")
        };
        assert_eq!(wrong.name, name);
    }
}

//! Outputs are those of runit 2.1.2.

use couchcopy_plugin::testing::{Answer, ScriptedHost, exit, missing, prints};
use couchcopy_plugin::{Error, RunError, Service, State};

use crate::Runit;

const STATUS: &str = "sv status couchdb";
const UP: &str = "sv -w 120 up couchdb";
const DOWN: &str = "sv -w 120 down couchdb";

fn running() -> Answer {
    prints("run: couchdb: (pid 28340) 2s; run: log: (pid 28338) 2s\n")
}

fn stopped() -> Answer {
    prints("down: couchdb: 0s, normally up; run: log: (pid 28338) 4s\n")
}

fn stopping() -> Answer {
    prints("run: couchdb: (pid 28340) 3s, want down, got TERM; run: log: (pid 28338) 3s\n")
}

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<Runit>()
}

#[test]
fn it_starts_what_is_stopped() {
    let host = host()
        .expect(STATUS, stopped())
        .expect(UP, prints("ok: run: couchdb: (pid 28413) 1s\n"))
        .expect(STATUS, running())
        .expect(STATUS, running());
    Runit::start(&host.node(), &host).unwrap();
}

#[test]
fn it_starts_nothing_that_runs() {
    let host = host().expect(STATUS, running());
    Runit::start(&host.node(), &host).unwrap();
}

#[test]
fn a_start_that_does_not_last_is_told() {
    let crashing = prints("down: couchdb: 1s, normally up, want up\n");
    let host = host()
        .set("timeout", "10")
        .answer_each(STATUS, [stopped(), running(), crashing])
        .expect("sv -w 10 up couchdb", prints("ok: run: couchdb: (pid 28413) 0s\n"));
    let error = Runit::start(&host.node(), &host).unwrap_err();
    assert_eq!(
        error,
        Error::TimedOut("`sv status` says `down: couchdb: 1s, normally up, want up` after 10 s".into())
    );
}

#[test]
fn it_stops_what_runs_and_waits_for_it() {
    let host = host()
        .set("service", "/srv/sv/couchdb")
        .answer_each("sv status /srv/sv/couchdb", [running(), stopping(), stopped()])
        .expect("sv -w 120 down /srv/sv/couchdb", prints("ok: down: /srv/sv/couchdb: 0s, normally up\n"));
    Runit::stop(&host.node(), &host).unwrap();
}

#[test]
fn it_stops_nothing_that_is_stopped() {
    let host = host().expect(STATUS, stopped());
    Runit::stop(&host.node(), &host).unwrap();
}

#[test]
fn what_is_about_to_start_again_is_not_stopped() {
    let crashing = prints("down: couchdb: 1s, normally up, want up\n");
    let host = host()
        .expect(STATUS, crashing.clone())
        .expect(STATUS, crashing)
        .expect(DOWN, prints("ok: down: couchdb: 0s, normally up\n"))
        .expect(STATUS, stopped());
    assert_eq!(Runit::status(&host.node(), &host).unwrap(), State::Unknown);
    Runit::stop(&host.node(), &host).unwrap();
}

#[test]
fn a_stop_that_fails_or_takes_too_long_is_told() {
    let denied = exit(1).stdout("warning: couchdb: unable to open supervise/control: access denied\n");
    let host = host().expect(STATUS, running()).expect(DOWN, denied);
    let error = Runit::stop(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("access denied"), "{error}");
    let late = exit(1).stdout("timeout: run: couchdb: (pid 28413) 3s, want down, got TERM\n");
    let host = self::host().expect(STATUS, running()).expect(DOWN, late).expect(STATUS, stopping());
    assert!(matches!(Runit::stop(&host.node(), &host), Err(Error::TimedOut(_))));
    assert!(host.slept().is_zero(), "sv has waited already");
}

#[test]
fn a_service_that_nobody_supervises_is_told() {
    for said in [
        "fail: couchdb: unable to change to service directory: file does not exist\n",
        "warning: couchdb: unable to open supervise/ok: file does not exist\n",
        "fail: couchdb: runsv not running\n",
    ] {
        let host = host().answer(STATUS, exit(1).stdout(said));
        assert_eq!(Runit::status(&host.node(), &host).unwrap(), State::Unknown);
        for result in [Runit::start(&host.node(), &host), Runit::stop(&host.node(), &host)] {
            assert!(result.unwrap_err().to_string().contains("does not supervise `couchdb`"));
        }
    }
}

#[test]
fn states_are_read() {
    for (answer, state) in [
        (running(), State::Running),
        (prints("run: couchdb: (pid 1) 2s, normally down\n"), State::Running),
        (stopped(), State::Stopped),
        (stopping(), State::Unknown),
        (prints("finish: couchdb: (pid 7) 2s; run: log: (pid 28338) 3s\n"), State::Unknown),
        (prints("finish: couchdb: (pid 7) 2s, want down\n"), State::Unknown),
        (prints(""), State::Unknown),
    ] {
        let host = host().expect(STATUS, answer);
        assert_eq!(Runit::status(&host.node(), &host).unwrap(), state);
    }
}

#[test]
fn a_machine_without_runit_is_told() {
    let host = host().answer(STATUS, missing());
    assert!(matches!(Runit::start(&host.node(), &host), Err(Error::NotRun(RunError::NotFound(_)))));
}

#[test]
fn wrong_settings_are_told() {
    for (name, value) in [("service", "-v"), ("service", ""), ("timeout", "1.5")] {
        let host = host().set(name, value);
        let Err(Error::InvalidSetting(wrong)) = Runit::stop(&host.node(), &host) else {
            panic!("{name}={value}")
        };
        assert_eq!(wrong.name, name);
    }
}

//! Outputs and exit codes are those of supervisor 4.2.5.

use couchcopy_plugin::testing::{Answer, ScriptedHost, exit, missing, prints};
use couchcopy_plugin::{Error, RunError, Service, State};

use crate::Supervisor;

const STATUS: &str = "supervisorctl status couchdb";
const START: &str = "supervisorctl start couchdb";
const STOP: &str = "supervisorctl stop couchdb";

fn running() -> Answer {
    prints("couchdb                          RUNNING   pid 1234, uptime 0:01:02\n")
}

fn is(state: &str) -> Answer {
    let code = if matches!(state, "STOPPED" | "EXITED" | "FATAL" | "UNKNOWN") { 3 } else { 0 };
    exit(code).stdout(&format!("couchdb                          {state}   Nov 22 08:00 PM\n"))
}

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<Supervisor>()
}

#[test]
fn it_starts_what_is_stopped() {
    for before in ["STOPPED", "EXITED", "FATAL"] {
        let host = host()
            .expect(STATUS, is(before))
            .expect(START, prints("couchdb: started\n"))
            .expect(STATUS, running());
        Supervisor::start(&host.node(), &host).unwrap();
    }
}

#[test]
fn it_starts_nothing_that_runs() {
    let host = host().expect(STATUS, running());
    Supervisor::start(&host.node(), &host).unwrap();
    let host =
        self::host().expect(STATUS, is("STARTING")).expect(STATUS, is("STARTING")).expect(STATUS, running());
    Supervisor::start(&host.node(), &host).unwrap();
}

#[test]
fn a_start_that_fails_is_told() {
    let failed = exit(7).stdout("couchdb: ERROR (spawn error)\n");
    let host = host().expect(STATUS, is("STOPPED")).expect(START, failed);
    let error = Supervisor::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("spawn error"), "{error}");
    // As supervisor 3 does it.
    let failed = prints("couchdb: ERROR (spawn error)\n");
    let host = self::host().expect(STATUS, is("STOPPED")).expect(START, failed).expect(STATUS, is("FATAL"));
    let error = Supervisor::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("is FATAL"), "{error}");
}

#[test]
fn it_stops_what_runs_and_waits_for_it() {
    let host = host()
        .set("service", "db:couchdb")
        .set("config", "/etc/my supervisor.conf")
        .answer_each(
            "supervisorctl '--configuration=/etc/my supervisor.conf' status db:couchdb",
            [running(), is("STOPPING"), is("STOPPING"), is("STOPPED")],
        )
        .expect(
            "supervisorctl '--configuration=/etc/my supervisor.conf' stop db:couchdb",
            prints("db:couchdb: stopped\n"),
        );
    Supervisor::stop(&host.node(), &host).unwrap();
    assert!(!host.slept().is_zero());
}

#[test]
fn it_stops_nothing_that_is_stopped() {
    for state in ["STOPPED", "FATAL"] {
        let host = host().expect(STATUS, is(state));
        Supervisor::stop(&host.node(), &host).unwrap();
    }
}

#[test]
fn what_has_exited_may_start_again() {
    let host = host().expect(STATUS, is("EXITED")).expect(STATUS, is("EXITED"));
    Supervisor::stop(&host.node(), &host).unwrap();
    let host = self::host()
        .expect(STATUS, is("EXITED"))
        .expect(STATUS, is("STARTING"))
        .expect(STOP, prints("couchdb: stopped\n"))
        .expect(STATUS, is("STOPPED"));
    Supervisor::stop(&host.node(), &host).unwrap();
}

#[test]
fn a_stop_that_fails_or_takes_too_long_is_told() {
    let host = host().expect(STATUS, running()).expect(STOP, exit(1).stdout("error: <class 'OSError'>\n"));
    assert!(matches!(Supervisor::stop(&host.node(), &host), Err(Error::CommandFailed(_))));
    let host = self::host()
        .set("timeout", "20")
        .answer_each(STATUS, [running(), is("STOPPING")])
        .expect(STOP, prints("couchdb: ERROR (not running)\n"));
    let error = Supervisor::stop(&host.node(), &host).unwrap_err();
    assert_eq!(error, Error::TimedOut("the program is STOPPING after 20 s".into()));
}

#[test]
fn a_program_that_does_not_exist_is_told() {
    for said in [
        exit(4).stdout("couchdb: ERROR (no such group)\n"),
        exit(4).stdout("db:couchdb: ERROR (no such process)\n"),
        exit(4).stdout("unix:///var/run/supervisor.sock no such file\n"),
        exit(2).stderr(
            "Error: could not find config file /nonexistent\nFor help, use /usr/bin/supervisorctl -h\n",
        ),
        prints("couchdb:0   RUNNING   pid 1, uptime 0:01:02\ncouchdb:1   STOPPED   Not started\n"),
    ] {
        let host = host().answer(STATUS, said);
        assert_eq!(Supervisor::status(&host.node(), &host).unwrap(), State::Unknown);
        for result in [Supervisor::start(&host.node(), &host), Supervisor::stop(&host.node(), &host)] {
            assert!(result.unwrap_err().to_string().contains("of the program `couchdb`"));
        }
    }
}

#[test]
fn states_are_read() {
    for (answer, state) in [
        (running(), State::Running),
        (is("STOPPED"), State::Stopped),
        (is("EXITED"), State::Stopped),
        (is("FATAL"), State::Stopped),
        (is("STARTING"), State::Unknown),
        (is("STOPPING"), State::Unknown),
        (is("BACKOFF"), State::Unknown),
        (is("UNKNOWN"), State::Unknown),
        (prints(""), State::Unknown),
    ] {
        let host = host().expect(STATUS, answer);
        assert_eq!(Supervisor::status(&host.node(), &host).unwrap(), state);
    }
}

#[test]
fn a_machine_without_supervisor_is_told() {
    let host = host().answer(STATUS, missing());
    assert!(matches!(Supervisor::start(&host.node(), &host), Err(Error::NotRun(RunError::NotFound(_)))));
}

#[test]
fn wrong_settings_are_told() {
    for (name, value) in [("service", "-i"), ("service", ""), ("timeout", "x")] {
        let host = host().set(name, value);
        let Err(Error::InvalidSetting(wrong)) = Supervisor::stop(&host.node(), &host) else {
            panic!("{name}={value}")
        };
        assert_eq!(wrong.name, name);
    }
}

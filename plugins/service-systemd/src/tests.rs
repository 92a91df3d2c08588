//! What systemctl prints here was taken from systemd 252.

use couchcopy_plugin::testing::{Answer, ScriptedHost, exit, missing, prints};
use couchcopy_plugin::{Error, RunError, Service, State};

use crate::Systemd;

const SHOW: &str =
    "systemctl --system --no-ask-password show --property=LoadState,ActiveState,SubState,MainPID,Job couchdb";
const START: &str = "systemctl --system --no-ask-password start couchdb";
const STOP: &str = "systemctl --system --no-ask-password stop couchdb";

fn unit(active: &str, sub: &str) -> Answer {
    prints(&format!("LoadState=loaded\nActiveState={active}\nSubState={sub}\n"))
}

fn not_found() -> Answer {
    prints("LoadState=not-found\nActiveState=inactive\nSubState=dead\n")
}

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<Systemd>()
}

#[test]
fn it_starts_what_is_stopped() {
    for before in [unit("inactive", "dead"), unit("failed", "failed"), unit("activating", "auto-restart")] {
        let host = host()
            .expect(SHOW, before)
            .expect(START, exit(0))
            .expect(SHOW, unit("active", "running"))
            .expect(SHOW, unit("active", "running"));
        Systemd::start(&host.node(), &host).unwrap();
    }
}

#[test]
fn it_starts_nothing_that_runs() {
    let host = host().expect(SHOW, unit("active", "running"));
    Systemd::start(&host.node(), &host).unwrap();
}

#[test]
fn a_start_that_fails_is_told() {
    let host = host()
        .expect(SHOW, unit("inactive", "dead"))
        .expect(START, exit(1).stderr("Job for couchdb.service failed.\n"));
    let error = Systemd::start(&host.node(), &host).unwrap_err();
    assert!(matches!(&error, Error::CommandFailed(failed) if failed.output.exit_code == Some(1)));
    assert!(
        error.to_string().ends_with("ended with exit code 1: Job for couchdb.service failed."),
        "{error}"
    );
}

#[test]
fn a_unit_that_fails_soon_after_its_start_is_told() {
    let host = host()
        .expect(SHOW, unit("inactive", "dead"))
        .expect(START, exit(0))
        .expect(SHOW, unit("activating", "start"))
        .expect(SHOW, unit("failed", "failed"));
    let error = Systemd::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("journalctl"), "{error}");
}

#[test]
fn a_unit_that_ends_and_is_started_again_is_told() {
    let running = |pid: u32| {
        prints(&format!("LoadState=loaded\nActiveState=active\nSubState=running\nMainPID={pid}\n"))
    };
    // The same unit is active, but another process runs.
    let host = host()
        .expect(SHOW, unit("inactive", "dead"))
        .expect(START, exit(0))
        .expect(SHOW, running(7))
        .expect(SHOW, running(8))
        .expect(SHOW, running(9))
        .expect(SHOW, unit("failed", "failed"));
    let error = Systemd::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("has failed"), "{error}");
}

#[test]
fn it_stops_what_runs_and_waits_for_it() {
    let host = host()
        .set("unit", "couchdb-2.service")
        .set("scope", "user")
        .answer_each(
            "systemctl --user --no-ask-password show --property=LoadState,ActiveState,SubState,MainPID,Job couchdb-2.service",
            [
                unit("active", "running"),
                unit("deactivating", "stop-sigterm"),
                unit("deactivating", "stop-sigterm"),
                unit("inactive", "dead"),
            ],
        )
        .expect("systemctl --user --no-ask-password stop couchdb-2.service", exit(0));
    Systemd::stop(&host.node(), &host).unwrap();
    assert!(!host.slept().is_zero());
}

#[test]
fn it_stops_nothing_that_is_stopped() {
    for state in [unit("inactive", "dead"), unit("failed", "failed")] {
        let host = host().expect(SHOW, state);
        Systemd::stop(&host.node(), &host).unwrap();
    }
}

#[test]
fn what_is_about_to_start_again_is_not_stopped() {
    let queued = prints("LoadState=loaded\nActiveState=inactive\nSubState=dead\nJob=1234\n");
    for before in [unit("activating", "auto-restart"), queued] {
        let host = host()
            .expect(SHOW, before.clone())
            .expect(SHOW, before)
            .expect(STOP, exit(0))
            .expect(SHOW, unit("inactive", "dead"));
        assert_eq!(Systemd::status(&host.node(), &host).unwrap(), State::Unknown);
        Systemd::stop(&host.node(), &host).unwrap();
    }
}

#[test]
fn a_stop_that_takes_too_long_is_told() {
    let host = host()
        .set("timeout", "30")
        .answer_each(SHOW, [unit("active", "running"), unit("deactivating", "final-sigterm")])
        .answer(STOP, exit(0));
    let error = Systemd::stop(&host.node(), &host).unwrap_err();
    assert_eq!(error, Error::TimedOut("the unit is deactivating (final-sigterm) after 30 s".into()));
    assert_eq!(host.slept().as_secs(), 30);
}

#[test]
fn a_stop_that_is_refused_is_told() {
    let refused = exit(4).stderr("Failed to stop couchdb.service: Interactive authentication required.\n");
    let host = host().expect(SHOW, unit("active", "running")).expect(STOP, refused);
    let error = Systemd::stop(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("Interactive authentication required"), "{error}");
}

#[test]
fn a_unit_that_does_not_exist_is_told() {
    let host = host().answer(SHOW, not_found());
    assert_eq!(Systemd::status(&host.node(), &host).unwrap(), State::Unknown);
    assert!(host.logged()[0].contains("no system unit `couchdb`"));
    for result in [Systemd::start(&host.node(), &host), Systemd::stop(&host.node(), &host)] {
        assert!(result.unwrap_err().to_string().contains("no system unit `couchdb`"));
    }
}

#[test]
fn states_are_read() {
    for (answer, state) in [
        (unit("active", "running"), State::Running),
        (unit("reloading", "reload"), State::Running),
        (unit("inactive", "dead"), State::Stopped),
        (unit("failed", "failed"), State::Stopped),
        (unit("active", "exited"), State::Unknown),
        (unit("activating", "start"), State::Unknown),
        (unit("deactivating", "stop"), State::Unknown),
        (prints("LoadState=masked\nActiveState=inactive\nSubState=dead\n"), State::Stopped),
        (prints("LoadState=not-found\nActiveState=active\nSubState=running\n"), State::Running),
        (prints(""), State::Unknown),
    ] {
        let host = host().expect(SHOW, answer);
        assert_eq!(Systemd::status(&host.node(), &host).unwrap(), state);
    }
}

#[test]
fn a_machine_without_systemd_is_told() {
    let host = host().answer(SHOW, missing());
    for result in [
        Systemd::start(&host.node(), &host),
        Systemd::stop(&host.node(), &host),
        Systemd::status(&host.node(), &host).map(drop),
    ] {
        assert!(matches!(result, Err(Error::NotRun(RunError::NotFound(_)))));
    }
    let host = self::host().answer(SHOW, exit(1).stderr("Failed to connect to bus: Host is down\n"));
    assert!(matches!(Systemd::status(&host.node(), &host), Err(Error::CommandFailed(_))));
}

#[test]
fn wrong_settings_are_told() {
    for (name, value) in [("scope", "global"), ("unit", "--force"), ("unit", ""), ("timeout", "2m")] {
        let host = host().set(name, value);
        let Err(Error::InvalidSetting(wrong)) = Systemd::stop(&host.node(), &host) else {
            panic!("{name}={value}")
        };
        assert_eq!(wrong.name, name);
    }
}

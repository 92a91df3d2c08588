use couchcopy_plugin::testing::{ScriptedHost, cannot_run, exit, killed, missing};
use couchcopy_plugin::{Error, RunError, Service, State};

use crate::Commands;

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<Commands>()
        .set("start", "/opt/couchdb/control start --name 'my couchdb'")
        .set("stop", "/opt/couchdb/control stop")
        .set("status", "/opt/couchdb/control is-up")
}

const START: &str = "/opt/couchdb/control start --name 'my couchdb'";
const STOP: &str = "/opt/couchdb/control stop";
const STATUS: &str = "/opt/couchdb/control is-up";

#[test]
fn it_starts_what_is_stopped() {
    let host =
        host().expect(STATUS, exit(3)).expect(START, exit(0)).expect(STATUS, exit(1)).expect(STATUS, exit(0));
    Commands::start(&host.node(), &host).unwrap();
}

#[test]
fn it_stops_what_runs_and_waits_for_it() {
    let host = host().answer_each(STATUS, [exit(0), exit(0), exit(0), exit(3)]).expect(STOP, exit(0));
    Commands::stop(&host.node(), &host).unwrap();
    assert!(!host.slept().is_zero());
}

#[test]
fn it_does_nothing_that_is_done() {
    let host = host().expect(STATUS, exit(0)).expect(STATUS, exit(3));
    Commands::start(&host.node(), &host).unwrap();
    Commands::stop(&host.node(), &host).unwrap();
}

#[test]
fn without_a_status_the_others_are_believed() {
    let host = ScriptedHost::for_service::<Commands>()
        .set("start", "couch up")
        .set("stop", "couch down")
        .expect("couch down", exit(0))
        .expect("couch up", exit(0));
    assert_eq!(Commands::status(&host.node(), &host).unwrap(), State::Unknown);
    Commands::stop(&host.node(), &host).unwrap();
    Commands::start(&host.node(), &host).unwrap();
    assert!(host.slept().is_zero());
}

#[test]
fn what_fails_is_told() {
    let host = host().answer(STATUS, exit(0)).expect(STOP, exit(5).stderr("no\n"));
    let error = Commands::stop(&host.node(), &host).unwrap_err();
    assert_eq!(error.to_string(), "`/opt/couchdb/control stop` ended with exit code 5: no");
    let host = self::host().answer(STATUS, exit(3)).expect(START, killed());
    let error = Commands::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().ends_with("was ended by a signal"), "{error}");
    let host = self::host().answer(STATUS, cannot_run("ssh: connect to host db1: No route to host"));
    assert!(matches!(Commands::status(&host.node(), &host), Err(Error::NotRun(RunError::Failed(_)))));
}

#[test]
fn what_takes_too_long_is_told() {
    let host = host().set("timeout", "15").answer(STATUS, exit(0)).expect(STOP, exit(0));
    let error = Commands::stop(&host.node(), &host).unwrap_err();
    assert_eq!(
        error,
        Error::TimedOut("the exit code of `/opt/couchdb/control is-up` is 0 after 15 s".into())
    );
}

#[test]
fn exit_codes_are_read() {
    for (answer, state) in [
        (exit(0), State::Running),
        (exit(3), State::Stopped),
        (exit(1), State::Unknown),
        (exit(4), State::Unknown),
        (killed(), State::Unknown),
    ] {
        let host = host().expect(STATUS, answer);
        assert_eq!(Commands::status(&host.node(), &host).unwrap(), state);
    }
}

#[test]
fn a_program_that_does_not_exist_is_told() {
    let host = host().answer(STATUS, missing());
    assert!(matches!(Commands::stop(&host.node(), &host), Err(Error::NotRun(RunError::NotFound(_)))));
}

#[test]
fn wrong_settings_are_told() {
    for (name, value) in [
        ("stop", ""),
        ("stop", "# nothing"),
        ("stop", "couch 'down"),
        ("stop", "couch down && sleep 5"),
        ("stop", "couch down; sleep 5"),
        ("stop", "couch down > /dev/null"),
        ("stop", "FORCE=1 couch down"),
        ("status", "couch | grep up"),
        ("timeout", "long"),
    ] {
        let host = host().set(name, value);
        let Err(Error::InvalidSetting(wrong)) = Commands::stop(&host.node(), &host) else {
            panic!("{name}={value}")
        };
        assert_eq!(wrong.name, name, "{value}");
    }
    let host = ScriptedHost::for_service::<Commands>();
    assert!(matches!(Commands::start(&host.node(), &host), Err(Error::InvalidSetting(_))));
}

#[test]
fn a_shell_may_be_asked_for() {
    let host = ScriptedHost::for_service::<Commands>()
        .set("stop", "sh -c 'couch down && sleep 5'")
        .expect("sh -c 'couch down && sleep 5'", exit(0));
    Commands::stop(&host.node(), &host).unwrap();
}

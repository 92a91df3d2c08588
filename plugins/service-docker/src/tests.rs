use couchcopy_plugin::testing::{Answer, ScriptedHost, exit, missing, prints};
use couchcopy_plugin::{Error, RunError, Service, State};

use crate::Docker;

const ANY: &str = "docker container ls --all --quiet --filter 'name=^/?couchdb$'";
const UP: &str = "docker container ls --all --quiet --filter 'name=^/?couchdb$' --filter status=running";
const DOWN: &str = "docker container ls --all --quiet --filter 'name=^/?couchdb$' --filter status=exited --filter \
                    status=created";
const START: &str = "docker start couchdb";
const STOP: &str = "docker stop -t 120 couchdb";

fn yes() -> Answer {
    prints("3b1f8d6c0f2e\n")
}

fn no() -> Answer {
    exit(0)
}

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<Docker>()
}

#[test]
fn it_starts_what_is_stopped() {
    let host =
        host().expect(DOWN, yes()).expect(START, prints("couchdb\n")).expect(DOWN, no()).expect(UP, yes());
    Docker::start(&host.node(), &host).unwrap();
}

#[test]
fn it_starts_nothing_that_runs() {
    let host = host().expect(DOWN, no()).expect(UP, yes());
    Docker::start(&host.node(), &host).unwrap();
}

#[test]
fn a_start_that_fails_is_told() {
    let refused =
        exit(1).stderr("Error response from daemon: driver failed programming external connectivity\n");
    let host = host().expect(DOWN, yes()).expect(START, refused);
    let error = Docker::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("driver failed"), "{error}");
    let host = self::host().answer(DOWN, yes()).expect(START, prints("couchdb\n"));
    let error = Docker::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("`docker logs couchdb`"), "{error}");
}

#[test]
fn it_stops_what_runs_and_waits_for_it() {
    let name = "'name=^/?db-1.couchdb$'";
    let host = host()
        .set("container", "db-1.couchdb")
        .set("program", "/usr/local/bin/podman")
        .set("timeout", "300")
        .answer_each(
            &format!(
                "/usr/local/bin/podman container ls --all --quiet --filter {name} --filter status=exited --filter \
                 status=created"
            ),
            [no(), no(), no(), yes()],
        )
        .answer_each(
            &format!("/usr/local/bin/podman container ls --all --quiet --filter {name} --filter status=running"),
            [yes(), yes(), no()],
        )
        .answer(&format!("/usr/local/bin/podman container ls --all --quiet --filter {name}"), yes())
        .expect("/usr/local/bin/podman stop -t 300 db-1.couchdb", exit(0));
    Docker::stop(&host.node(), &host).unwrap();
    assert!(!host.slept().is_zero());
}

#[test]
fn it_stops_nothing_that_is_stopped() {
    let host = host().expect(DOWN, yes());
    Docker::stop(&host.node(), &host).unwrap();
}

#[test]
fn a_container_that_restarts_is_stopped() {
    let host = host()
        .answer_each(DOWN, [no(), no(), yes()])
        .answer(UP, no())
        .answer(ANY, yes())
        .expect(STOP, prints("couchdb\n"));
    assert_eq!(Docker::status(&host.node(), &host).unwrap(), State::Unknown);
    Docker::stop(&host.node(), &host).unwrap();
}

#[test]
fn a_stop_that_fails_or_takes_too_long_is_told() {
    let host = host().answer(DOWN, no()).answer(UP, yes()).expect(STOP, exit(1));
    assert!(matches!(Docker::stop(&host.node(), &host), Err(Error::CommandFailed(_))));
    let host = self::host().answer(DOWN, no()).answer(UP, yes()).expect(STOP, exit(0));
    let error = Docker::stop(&host.node(), &host).unwrap_err();
    assert_eq!(error, Error::TimedOut("the container `couchdb` runs after 120 s".into()));
}

#[test]
fn a_container_that_does_not_exist_is_told() {
    let host = host().answer(DOWN, no()).answer(UP, no()).answer(ANY, no());
    assert_eq!(Docker::status(&host.node(), &host).unwrap(), State::Unknown);
    for result in [Docker::start(&host.node(), &host), Docker::stop(&host.node(), &host)] {
        assert!(result.unwrap_err().to_string().contains("no container of the name `couchdb`"));
    }
}

#[test]
fn states_are_read() {
    for (down, up, any, state) in [
        (yes(), no(), yes(), State::Stopped),
        (no(), yes(), yes(), State::Running),
        (no(), no(), yes(), State::Unknown),
    ] {
        let host = host().answer(DOWN, down).answer(UP, up).answer(ANY, any);
        assert_eq!(Docker::status(&host.node(), &host).unwrap(), state);
    }
}

#[test]
fn a_machine_without_docker_is_told() {
    let host = host().answer(DOWN, missing());
    assert!(matches!(Docker::start(&host.node(), &host), Err(Error::NotRun(RunError::NotFound(_)))));
    let dead =
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n";
    let host = self::host().answer(DOWN, exit(1).stderr(dead));
    assert!(matches!(Docker::status(&host.node(), &host), Err(Error::CommandFailed(_))));
}

#[test]
fn wrong_settings_are_told() {
    for (name, value) in [
        ("container", "-a"),
        ("container", ""),
        ("container", "couch|other"),
        ("container", ".*"),
        ("program", "--help"),
        ("timeout", "-1"),
    ] {
        let host = host().set(name, value);
        let Err(Error::InvalidSetting(wrong)) = Docker::stop(&host.node(), &host) else {
            panic!("{name}={value}")
        };
        assert_eq!(wrong.name, name);
    }
    let host = host().answer(DOWN, prints("3b1f8d6c0f2e\n0a9f8d6c0f2e\n"));
    assert!(matches!(Docker::status(&host.node(), &host), Err(Error::InvalidSetting(_))));
}

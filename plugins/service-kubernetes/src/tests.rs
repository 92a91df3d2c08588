use couchcopy_plugin::testing::{Answer, ScriptedHost, exit, missing, prints};
use couchcopy_plugin::{Error, RunError, Service, State};

use crate::{Kubernetes, PODS, SET};

const UP: &str = "kubectl scale statefulset/couchdb --replicas=2";
const DOWN: &str = "kubectl scale statefulset/couchdb --replicas=0";

fn get_set() -> String {
    format!("kubectl get statefulset couchdb --no-headers '{SET}'")
}

fn get_pods() -> String {
    format!("kubectl get pods --no-headers '{PODS}'")
}

fn wants(number: u32) -> Answer {
    prints(&format!("{number}     Retain\n"))
}

/// Pods of others, and these of ours.
fn pods(ours: &[&str]) -> Answer {
    let mut text = String::from(
        "ReplicaSet    couchdb        <none>   Running   2026-11-22T20:00:00Z\n\
         <none>        <none>         <none>   Running   2026-11-22T20:00:00Z\n\
         StatefulSet   other          <none>   Running   2026-11-22T20:00:00Z\n",
    );
    for pod in ours {
        text.push_str("StatefulSet   couchdb   ");
        text.push_str(pod);
        text.push('\n');
    }
    prints(&text)
}

const RUNS: &str = "<none>   Running   2026-11-22T20:00:00Z,2026-11-22T20:00:00Z";
const ENDS: &str = "2026-11-22T20:10:00Z   Running   2026-11-22T20:00:00Z";
const CRASHES: &str = "<none>   Running   <none>";
const PENDS: &str = "<none>   Pending   <none>";

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<Kubernetes>().set("replicas", "2")
}

#[test]
fn it_starts_what_is_stopped() {
    let host = host()
        .answer_each(&get_set(), [wants(0), wants(2)])
        .answer_each(&get_pods(), [pods(&[]), pods(&[PENDS]), pods(&[RUNS, PENDS]), pods(&[RUNS, RUNS])])
        .expect(UP, prints("statefulset.apps/couchdb scaled\n"));
    Kubernetes::start(&host.node(), &host).unwrap();
}

#[test]
fn it_starts_nothing_that_runs() {
    let host = host().expect(&get_set(), wants(2)).expect(&get_pods(), pods(&[RUNS, RUNS]));
    Kubernetes::start(&host.node(), &host).unwrap();
}

#[test]
fn a_start_that_fails_is_told() {
    let host = host().answer(&get_set(), wants(0)).answer(&get_pods(), pods(&[])).expect(
        UP,
        exit(1).stderr("Error from server (Forbidden): statefulsets.apps \"couchdb\" is forbidden\n"),
    );
    let error = Kubernetes::start(&host.node(), &host).unwrap_err();
    assert!(error.to_string().contains("Forbidden"), "{error}");
    let host = self::host()
        .answer_each(&get_set(), [wants(0), wants(2)])
        .answer_each(&get_pods(), [pods(&[]), pods(&[CRASHES])])
        .expect(UP, exit(0));
    let error = Kubernetes::start(&host.node(), &host).unwrap_err();
    assert_eq!(
        error,
        Error::TimedOut("the set shall have 2 pods and has 1, of which 0 run after 120 s".into())
    );
}

#[test]
fn it_stops_what_runs_and_waits_for_it() {
    let all = "/opt/kubectl --context=prod --namespace=db";
    let host = ScriptedHost::for_service::<Kubernetes>()
        .set("replicas", "3")
        .set("statefulset", "a-couchdb")
        .set("program", "/opt/kubectl")
        .set("context", "prod")
        .set("namespace", "db")
        .answer_each(
            &format!("{all} get statefulset a-couchdb --no-headers '{SET}'"),
            [prints("3   <none>\n"), prints("0   <none>\n")],
        )
        .answer_each(
            &format!("{all} get pods --no-headers '{PODS}'"),
            [
                prints("StatefulSet   a-couchdb   <none>   Running   2026-11-22T20:00:00Z\n"),
                prints("StatefulSet   a-couchdb   2026-11-22T20:10:00Z   Running   2026-11-22T20:00:00Z\n"),
                exit(0).stderr("No resources found in db namespace.\n"),
            ],
        )
        .expect(&format!("{all} scale statefulset/a-couchdb --replicas=0"), exit(0));
    Kubernetes::stop(&host.node(), &host).unwrap();
    assert!(!host.slept().is_zero());
}

#[test]
fn it_stops_nothing_that_is_stopped() {
    let host = host().expect(&get_set(), wants(0)).expect(&get_pods(), pods(&[]));
    Kubernetes::stop(&host.node(), &host).unwrap();
}

#[test]
fn a_set_that_could_not_be_put_back_is_not_stopped() {
    let host = host().answer(&get_set(), wants(3)).answer(&get_pods(), pods(&[RUNS, RUNS, RUNS]));
    let error = Kubernetes::stop(&host.node(), &host).unwrap_err();
    assert!(matches!(&error, Error::InvalidSetting(wrong) if wrong.name == "replicas"), "{error}");
}

#[test]
fn a_set_that_would_lose_its_volumes_is_not_stopped() {
    let host = host().answer(&get_set(), prints("2   Delete\n")).answer(&get_pods(), pods(&[RUNS, RUNS]));
    assert!(matches!(Kubernetes::stop(&host.node(), &host), Err(Error::Unsupported(_))));
}

#[test]
fn a_stop_that_takes_too_long_is_told() {
    let host = host()
        .set("timeout", "60")
        .answer_each(&get_set(), [wants(2), wants(0)])
        .answer_each(&get_pods(), [pods(&[RUNS, RUNS]), pods(&[ENDS])])
        .expect(DOWN, exit(0));
    let error = Kubernetes::stop(&host.node(), &host).unwrap_err();
    assert_eq!(
        error,
        Error::TimedOut("the set shall have 0 pods and has 1, of which 0 run after 60 s".into())
    );
}

#[test]
fn a_set_that_does_not_exist_is_told() {
    let host = host().answer(
        &get_set(),
        exit(1).stderr("Error from server (NotFound): statefulsets.apps \"couchdb\" not found\n"),
    );
    assert_eq!(Kubernetes::status(&host.node(), &host).unwrap(), State::Unknown);
    for result in [Kubernetes::start(&host.node(), &host), Kubernetes::stop(&host.node(), &host)] {
        assert!(result.unwrap_err().to_string().contains("\"couchdb\" not found"));
    }
}

#[test]
fn states_are_read() {
    for (set, pods, state) in [
        (wants(2), pods(&[RUNS, RUNS]), State::Running),
        (wants(0), pods(&[]), State::Stopped),
        (wants(0), pods(&[ENDS]), State::Unknown),
        (wants(2), pods(&[RUNS]), State::Unknown),
        (wants(2), pods(&[RUNS, CRASHES]), State::Unknown),
        (wants(2), pods(&[RUNS, RUNS, ENDS]), State::Unknown),
        (wants(2), pods(&[]), State::Unknown),
    ] {
        let host = host().expect(&get_set(), set).expect(&get_pods(), pods);
        assert_eq!(Kubernetes::status(&host.node(), &host).unwrap(), state);
    }
}

#[test]
fn a_machine_without_kubectl_or_without_a_cluster_is_told() {
    let host = host().answer(&get_set(), missing());
    assert!(matches!(Kubernetes::stop(&host.node(), &host), Err(Error::NotRun(RunError::NotFound(_)))));
    let host = self::host()
        .answer(&get_set(), exit(1).stderr("The connection to the server localhost:8080 was refused\n"));
    assert!(matches!(Kubernetes::status(&host.node(), &host), Err(Error::CommandFailed(_))));
}

#[test]
fn wrong_settings_are_told() {
    for (name, value) in
        [("replicas", "0"), ("replicas", "all"), ("statefulset", "--all"), ("program", ""), ("timeout", "2m")]
    {
        let host = host().set(name, value);
        let Err(Error::InvalidSetting(wrong)) = Kubernetes::stop(&host.node(), &host) else {
            panic!("{name}={value}")
        };
        assert_eq!(wrong.name, name);
    }
}

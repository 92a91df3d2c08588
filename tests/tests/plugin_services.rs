//! What every service plugin has to do, tried on all of them with real managers and a real process.
//!
//! A manager that is not installed, or that this system does not let us have to ourselves, is told as skipped.

use std::thread::sleep;
use std::time::{Duration, Instant};

use couchcopy_tests::Result;
use couchcopy_tests::lab::Ended;
use couchcopy_tests::managers::{self, Managed, is_understood};
use serde_json::{Value, from_str};

/// The suite, run with each manager.
macro_rules! suite {
    ($($manager:ident),* $(,)?) => {
        $(mod $manager {
            use super::*;

            #[test]
            fn starts_stops_and_tells() -> Result<()> {
                managers::$manager()?.map_or(Ok(()), |service| super::starts_stops_and_tells(&service))
            }

            #[test]
            fn stopping_takes_as_long_as_the_process_does() -> Result<()> {
                managers::$manager()?.map_or(Ok(()), |service| super::stopping_takes_as_long_as_the_process_does(&service))
            }

            #[test]
            fn a_process_that_dies_at_once_has_not_been_started() -> Result<()> {
                managers::$manager()?
                    .map_or(Ok(()), |service| super::a_process_that_dies_at_once_has_not_been_started(&service))
            }

            #[test]
            fn another_service_is_unknown() -> Result<()> {
                managers::$manager()?.map_or(Ok(()), |service| super::another_service_is_unknown(&service))
            }
        })*
    };
}

suite!(command, docker, kubernetes, openrc, runit, s6, supervisor, systemd, systemd_user, sysv);

/// A plugin failed. See docs.
const PLUGIN_FAILED: Option<i32> = Some(8);
/// Far more than a manager takes to start again what has ended.
const RESTART: Duration = Duration::from_millis(1500);

fn starts_stops_and_tells(service: &Managed) -> Result<()> {
    is_in_state(service, "stopped")?;
    assert_eq!(service.daemon.starts(), 0, "asking for the status has started it");
    // Stopping what never ran.
    assert_eq!(done(service, "stop")?, "stopped");

    assert_eq!(done(service, "start")?, "running");
    service.daemon.wait_until_alive()?;
    is_in_state(service, "running")?;
    // It runs already.
    assert_eq!(done(service, "start")?, "running");
    is_in_state(service, "running")?;
    assert!(service.daemon.is_alive()?);
    assert_eq!(service.daemon.starts(), 1);

    assert_eq!(done(service, "stop")?, "stopped");
    assert!(!service.daemon.is_alive()?, "stop has returned, and it still runs");
    is_in_state(service, "stopped")?;
    // It was stopped already.
    assert_eq!(done(service, "stop")?, "stopped");
    stays_down(service)?;
    is_in_state(service, "stopped")?;

    // And once more, for a machine.
    for (action, state) in
        [("start", "running"), ("status", "running"), ("stop", "stopped"), ("status", "stopped")]
    {
        let told: Value = from_str(&service.run([action, "--json"])?.success()?)?;
        assert_eq!(told["state"], state, "{action}: {told}");
        let plugin = told["plugin"].as_str().and_then(|plugin| plugin.split(' ').next());
        assert_eq!(plugin, Some(service.plugin), "{action}: {told}");
        assert!(told["node"].is_string(), "{action}: {told}");
        if action == "start" {
            service.daemon.wait_until_alive()?;
        }
    }
    assert!(!service.daemon.is_alive()?);
    assert_eq!(service.daemon.starts(), 2);
    Ok(())
}

fn stopping_takes_as_long_as_the_process_does(service: &Managed) -> Result<()> {
    service.daemon.be_slow()?;
    done(service, "start")?;
    service.daemon.wait_until_alive()?;
    let begun = Instant::now();
    done(service, "stop")?;
    assert!(!service.daemon.is_alive()?, "stop has returned, and it still runs");
    assert!(begun.elapsed() >= Duration::from_millis(1900), "it was killed: {:?}", begun.elapsed());
    is_in_state(service, "stopped")?;
    stays_down(service)
}

fn a_process_that_dies_at_once_has_not_been_started(service: &Managed) -> Result<()> {
    service.daemon.be_broken()?;
    let failed = service.run_with(&[("timeout", "4")], ["start", "--deadline", "20"])?;
    assert_eq!(failed.code, PLUGIN_FAILED, "{failed:?}");
    has_told(&failed, service);
    assert!(service.daemon.starts() > 0, "it was never started: {failed:?}");
    // Some managers try again for ever.
    done(service, "stop")?;
    stays_down(service)?;
    is_in_state(service, "stopped")
}

fn another_service_is_unknown(service: &Managed) -> Result<()> {
    // Some managers can tell it from one that is stopped, some cannot even be asked.
    let status = service.run_for_unknown(["status"])?;
    match status.code {
        Some(0) => assert_eq!(status.stdout, "unknown\n"),
        _ => has_told(&status, service),
    }
    for action in ["start", "stop"] {
        let failed = service.run_for_unknown([action, "--deadline", "20"])?;
        has_told(&failed, service);
        assert_eq!(failed.stdout, "", "{failed:?}");
    }
    let failed = service.run_for_unknown(["start", "--deadline", "20", "--json"])?;
    assert_eq!(failed.code, PLUGIN_FAILED, "{failed:?}");
    assert_eq!(service.daemon.starts(), 0);
    Ok(())
}

/// Starts or stops it; what was told.
fn done(service: &Managed, action: &str) -> Result<String> {
    let told =
        service.run([action])?.success().map_err(|e| format!("{action}: {e}{}", service.machine.log()))?;
    Ok(told.trim().to_owned())
}

fn is_in_state(service: &Managed, state: &str) -> Result<()> {
    assert_eq!(service.run(["status"])?.success()?, format!("{state}\n"));
    Ok(())
}

/// Waits for long enough to see it being started again.
fn stays_down(service: &Managed) -> Result<()> {
    let starts = service.daemon.starts();
    let begun = Instant::now();
    while begun.elapsed() < RESTART {
        assert!(!service.daemon.is_alive()?, "its manager has started it again");
        sleep(Duration::from_millis(50));
    }
    assert_eq!(service.daemon.starts(), starts, "its manager has started it again");
    Ok(())
}

/// An error that helps names the plugin, what it was asked for and the service.
fn has_told(failed: &Ended, service: &Managed) {
    assert_eq!(failed.code, PLUGIN_FAILED, "{failed:?}");
    assert!(failed.stderr.contains(service.plugin), "{failed:?}");
    let is_panic = failed.stderr.contains("panicked");
    assert!(!is_panic && failed.stderr.len() > 40, "{failed:?}");
}

#[test]
fn docker_is_called_as_its_manual_says() -> Result<()> {
    let Some(service) = managers::docker()? else { return Ok(()) };
    let list = ["container", "ls", "--all", "--quiet", "--filter", "name=^/?couch-1$"];
    let (running, stopped) =
        (["--filter", "status=running"], ["--filter", "status=exited", "--filter", "status=created"]);
    let seen = calls(&service, "status")?;
    assert_eq!(seen, [words(&[&list, &stopped])]);
    let start = calls(&service, "start")?;
    let is_up = [words(&[&list, &stopped]), words(&[&list, &running])];
    assert_eq!(start[1], words(&[&["start", "couch-1"]]));
    assert_eq!(start[2..], is_up);
    let stop = calls(&service, "stop")?;
    assert_eq!(stop[2], words(&[&["stop", "-t", "120", "couch-1"]]));
    is_understood("docker", &["--host=unix:///nonexistent/couchcopy-test"], &[start, stop].concat())
}

#[test]
fn kubectl_is_called_as_its_manual_says() -> Result<()> {
    let Some(service) = managers::kubernetes()? else { return Ok(()) };
    let start = calls(&service, "start")?;
    assert!(start.contains(&words(&[&["scale", "statefulset/couch", "--replicas=1"]])), "{start:?}");
    let seen = calls(&service, "status")?;
    assert!(
        seen.iter().all(|call| call[0] == "get" && call.contains(&"--no-headers".to_owned())),
        "{seen:?}"
    );
    let stop = calls(&service, "stop")?;
    assert!(stop.contains(&words(&[&["scale", "statefulset/couch", "--replicas=0"]])), "{stop:?}");
    is_understood(
        "kubectl",
        &["--kubeconfig=/dev/null", "--server=http://127.0.0.1:1"],
        &[start, seen, stop].concat(),
    )
}

/// The calls of the manager's program that an action takes.
fn calls(service: &Managed, action: &str) -> Result<Vec<Vec<String>>> {
    let fake = service.fake.as_ref().ok_or("no fake")?;
    fake.calls()?;
    done(service, action)?;
    fake.calls()
}

fn words(parts: &[&[&str]]) -> Vec<String> {
    parts.concat().into_iter().map(str::to_owned).collect()
}

//! Commands of a site's own: a script that starts and stops the process by itself.

use std::path::PathBuf;

use super::daemon::write_program;
use super::{Daemon, Machine, Managed};
use crate::Result;

/// Exit codes are those of init scripts.
const SITE: &str = r#"#!/bin/sh
daemon=${0%/*}/daemon
alive() { ! flock --nonblock "$daemon/alive" true; }
[ "$2" = "the service" ] || { echo "no service '$2'" >&2; exit 4; }
case "$1" in
start)
  alive && exit 0
  starts=$(cat "$daemon/starts")
  setsid "$daemon/couchcopy-test-daemon" </dev/null >/dev/null 2>&1 &
  until [ "$(cat "$daemon/starts")" != "$starts" ]; do sleep 0.01; done
  sleep 0.1
  alive || { echo "it died at once" >&2; exit 1; }
  ;;
stop)
  alive || exit 0
  kill -TERM "$(tail -n 1 "$daemon/starts")"
  while alive; do sleep 0.01; done
  ;;
status) alive || exit 3 ;;
*) exit 2 ;;
esac
"#;

/// The service, which is down at first.
pub fn start() -> Result<Option<Managed>> {
    let machine = Machine::new()?;
    let daemon = Daemon::new(&machine.path(""))?;
    let script = site(&machine)?;
    let command = |action: &str, service: &str| format!("{} {action} '{service}'", script.display());
    let settings = ["start", "stop", "status"].map(|action| (action.to_owned(), command(action, SERVICE)));
    Ok(Some(Managed {
        daemon,
        plugin: "command",
        settings: settings.into(),
        unknown: ["start", "stop", "status"]
            .map(|action| (action.to_owned(), command(action, "nobody")))
            .into(),
        environment: Vec::new(),
        fake: None,
        machine,
    }))
}

/// The name that the script wants.
const SERVICE: &str = "the service";

/// Writes the script that starts, stops and tells.
pub(super) fn site(machine: &Machine) -> Result<PathBuf> {
    let script = machine.path("site");
    write_program(&script, SITE)?;
    Ok(script)
}

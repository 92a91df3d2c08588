//! System V init scripts: `service` and a script in an `/etc/init.d` of our own.

use super::{Machine, Managed, find_program, init_d};
use crate::Result;

/// No services but ours.
const SCRIPTS: &str = r#"mkdir "$folder/init.d"
mount --bind "$folder/init.d" /etc/init.d"#;

/// As scripts in Debian are, but that it looks whether the process is still there a moment after it was started.
const SCRIPT: &str = r#"#!/bin/sh
### BEGIN INIT INFO
# Provides: @NAME@
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: a test of couchcopy
### END INIT INFO
. /lib/lsb/init-functions
case "$1" in
start)
  start-stop-daemon --start --quiet --oknodo --background --make-pidfile --pidfile @PID@ --startas @PROGRAM@
  sleep 0.2
  start-stop-daemon --status --pidfile @PID@ || { log_failure_msg "@NAME@ died at once"; exit 1; }
  ;;
stop) start-stop-daemon --stop --quiet --oknodo --remove-pidfile --retry TERM/20/KILL/5 --pidfile @PID@ ;;
status) status_of_proc -p @PID@ @PROGRAM@ @NAME@ ;;
*) exit 3 ;;
esac
"#;

/// The service, which is down at first.
pub fn start() -> Result<Option<Managed>> {
    for (program, package) in [("service", "init-system-helpers"), ("start-stop-daemon", "dpkg")] {
        if find_program(program, package).is_none() {
            return Ok(None);
        }
    }
    let Some(machine) = Machine::apart(SCRIPTS)? else { return Ok(None) };
    init_d::start(machine, "sysv", SCRIPT).map(Some)
}

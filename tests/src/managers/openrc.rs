//! OpenRC, on a machine that it believes to have booted.

use super::{Machine, Managed, find_program, init_d};
use crate::Result;

/// No services but ours, and the state that OpenRC keeps of a machine that it has booted.
const BOOTED: &str = r#"mkdir "$folder/init.d"
mount --bind "$folder/init.d" /etc/init.d
mount -t tmpfs none /etc/runlevels
for level in sysinit boot default shutdown; do mkdir -p "/etc/runlevels/$level"; done
for state in daemons exclusive failed hotplugged inactive options scheduled started starting stopping tmp wasinactive; do
  mkdir -p "/run/openrc/$state"
done
echo default >/run/openrc/softlevel
"#;

/// Debian's `start-stop-daemon` looks at the program that runs, which is the shell for a script.
const SCRIPT: &str = r#"#!/sbin/openrc-run
command=/bin/sh
command_args=@PROGRAM@
command_background=true
pidfile=@PID@
retry=TERM/20/KILL/5
start_post() {
  sleep 0.2
  kill -0 "$(cat "$pidfile")" 2>/dev/null || { eerror "@NAME@ died at once"; return 1; }
}
"#;

/// The service, which is down at first.
pub fn start() -> Result<Option<Managed>> {
    if find_program("rc-service", "openrc").is_none() {
        return Ok(None);
    }
    let Some(machine) = Machine::apart(BOOTED)? else { return Ok(None) };
    init_d::start(machine, "openrc", SCRIPT).map(Some)
}

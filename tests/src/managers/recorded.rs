//! Programs in the place of docker and kubectl: they write their calls down, and manage the process as an engine would, as
//! far as couchcopy can tell.

use super::command::site;
use super::managed::setting;
use super::{Daemon, Fake, Machine, Managed};
use crate::Result;

/// A container of the name couch-1.
const DOCKER: &str = r#"site() { "$machine/site" "$1" "the service" 2>/dev/null; }
known() { [ "$1" = couch-1 ] || { echo "Error response from daemon: No such container: $1" >&2; exit 1; }; }
case "$1 $2" in
"container ls")
  site status && state=running || state=exited
  name= states=
  for word; do
    case $word in
    name=*) name=${word#name=} ;;
    status=*) states="$states ${word#status=}" ;;
    esac
  done
  echo /couch-1 | grep -qE -- "$name" || exit 0
  case "${states:-$state} " in *"$state "*) echo 0123456789ab ;; esac
  ;;
"start "*)
  known "$2"
  # The container of a program that dies at once was started all the same.
  site start
  echo "$2"
  ;;
"stop -t")
  known "$4"
  site stop
  echo "$4"
  ;;
*) echo "docker: '$1' is not a docker command." >&2; exit 1 ;;
esac
"#;

/// A stateful set of the name couch, with one pod at most. It is scaled in the background, as by the real one.
const KUBECTL: &str = r#"site() { "$machine/site" "$1" "the service" 2>/dev/null; }
unknown() { echo "Error from server (NotFound): statefulsets.apps \"$1\" not found" >&2; exit 1; }
replicas=$(cat "$machine/replicas" 2>/dev/null || echo 0)
case "$1 $2" in
"get statefulset")
  [ "$3" = couch ] || unknown "$3"
  echo "$replicas   <none>"
  ;;
"get pods")
  echo "ReplicaSet    other   <none>   Running   2026-01-01T00:00:00Z"
  deleted="<none>" started="2026-01-01T00:00:00Z"
  if site status; then
    [ "$replicas" = 1 ] || deleted="2026-01-02T00:00:00Z"
  else
    [ "$replicas" = 1 ] || exit 0
    started="<none>"
  fi
  echo "StatefulSet   couch   $deleted   Running   $started"
  ;;
"scale statefulset/"*)
  [ "$2" = statefulset/couch ] || unknown "${2#*/}"
  replicas=${3#--replicas=}
  echo "$replicas" >"$machine/replicas"
  if [ "$replicas" = 0 ]; then site stop >/dev/null & else site start >/dev/null & fi
  echo "statefulset.apps/couch scaled"
  ;;
*) echo "error: unknown command \"$1\" for \"kubectl\"" >&2; exit 1 ;;
esac
"#;

/// A container, which is stopped at first.
pub fn docker() -> Result<Option<Managed>> {
    start(
        "docker",
        "docker",
        DOCKER,
        setting("container", "couch-1"),
        setting("container", "couchcopy-test-nobody"),
    )
}

/// A stateful set, which has no pods at first.
pub fn kubernetes() -> Result<Option<Managed>> {
    let mut settings = setting("statefulset", "couch");
    settings.extend(setting("replicas", "1"));
    start("kubernetes", "kubectl", KUBECTL, settings, setting("statefulset", "couchcopy-test-nobody"))
}

fn start(
    plugin: &'static str,
    program: &str,
    does: &str,
    settings: Vec<(String, String)>,
    unknown: Vec<(String, String)>,
) -> Result<Option<Managed>> {
    let machine = Machine::new()?;
    let daemon = Daemon::new(&machine.path(""))?;
    site(&machine)?;
    let fake = Fake::new(&machine, program, does)?;
    let environment = vec![("PATH".to_owned(), fake.search_path())];
    Ok(Some(Managed { daemon, machine, plugin, settings, unknown, environment, fake: Some(fake) }))
}

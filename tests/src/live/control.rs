//! What starts and stops one node.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::hostile::{self, Guest, Pattern, Step};
use crate::lab::{Node, run};
use crate::managers::{reference, write_program};

/// Exit codes are those of init scripts. Starting does not wait for HTTP, as no service manager does.
const CONTROL: &str = r#"
here=${0%/*}
# One after the other, as with any service manager: who stops a service that is being started stops it.
case "$1" in start|stop) exec 9>"$here/lock"; flock 9 ;; esac
pid=$(cat "$here/pid" 2>/dev/null)
# A zombie has no program any more.
alive() { [ -n "$pid" ] && [ -e "/proc/$pid/exe" ]; }
echo "$1" >>"$here/calls"
if [ -e "$here/fail-$1" ]; then
  times=$(cat "$here/fail-$1")
  if [ "$times" -gt 1 ]; then echo $((times - 1)) >"$here/fail-$1"; else rm "$here/fail-$1"; fi
  echo "told to fail at $1" >&2
  exit 1
fi
if [ -e "$here/lie" ]; then
  case "$1" in
  stop) : >"$here/lied"; exit 0 ;;
  status) [ ! -e "$here/lied" ] || exit 3 ;;
  start) rm -f "$here/lied" ;;
  esac
fi
case "$1" in
start)
  alive && exit 0
  [ ! -e "$here/pretend" ] || exit 0
  rm -f "$here/pid"
  if [ -e "$here/freeze" ]; then
    rm -rf "$here/frozen" "$here/links"
    cp -a "$here/data" "$here/frozen"
    cp -al "$here/data" "$here/links"
    wc -c <"$here/log" >"$here/log-length"
    rm "$here/freeze"
  fi
  if [ -e "$here/hang" ]; then
    mv "$here/hang" "$here/hangs"
    program=$here/hangs
  fi
  user=
  [ ! -e "$here/user" ] || user=$(cat "$here/user")
  setsid sh -c 'echo $$ >"$0.part"; mv "$0.part" "$0"; exec "$@"' "$here/pid" \
    ${user:+setpriv --reuid="$user" --regid="$user" --clear-groups} "$program" </dev/null >>"$here/log" 2>&1 9>&- &
  until [ -e "$here/pid" ]; do sleep 0.01; done
  ;;
stop)
  alive || exit 0
  kill "$pid"
  tries=0
  while alive; do
    tries=$((tries + 1))
    [ "$tries" -lt 1000 ] || kill -KILL "$pid"
    sleep 0.02
  done
  if [ -e "$here/watchdog" ]; then
    setsid sh -c 'sleep 0.1; exec "$0" start' "$0" </dev/null >/dev/null 2>&1 9>&- &
  fi
  if [ -e "$here/usurper/start" ]; then
    setsid "$here/usurper/start" </dev/null >/dev/null 2>&1 9>&- &
    until grep -q "has started on" "$here/usurper/log" 2>/dev/null; do sleep 0.05; done
  fi
  ;;
status) alive || exit 3 ;;
depose)
  rm "$here/usurper/start"
  pid=$(cat "$here/usurper/pid")
  kill -KILL "$pid"
  while alive; do sleep 0.05; done
  ;;
*) exit 2 ;;
esac
"#;

/// The script of one node, in the node's folder.
#[derive(Debug)]
pub struct Control {
    folder: PathBuf,
}

impl Control {
    /// Writes it into the folder of a node.
    pub(super) fn write(node: &Node, folder: &Path) -> Result<Self> {
        let (program, environment) = node.command_line();
        let mut text = "#!/bin/sh\n".to_owned();
        for (name, value) in environment {
            let _ = writeln!(text, "export {name}='{value}'");
        }
        let _ = writeln!(text, "program='{}'", program.display());
        text.push_str(CONTROL);
        let control = Self { folder: folder.to_owned() };
        write_program(&control.script(), &text)?;
        fs::write(folder.join("log"), "")?;
        Ok(control)
    }

    /// The script: `start`, `stop` or `status` is its only argument.
    pub fn script(&self) -> PathBuf {
        self.folder.join("ctl")
    }

    /// How often an action was asked for.
    pub fn calls(&self, action: &str) -> usize {
        let calls = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        calls.lines().filter(|line| *line == action).count()
    }

    /// Lets an action fail so many times from now on; 0: no more.
    pub fn fail(&self, action: &str, times: u32) -> Result<()> {
        let file = self.folder.join(format!("fail-{action}"));
        if times > 0 {
            return Ok(fs::write(file, times.to_string())?);
        }
        if file.exists() {
            fs::remove_file(file)?;
        }
        Ok(())
    }

    /// Gives the node to that user and group, from its next start on.
    pub fn give_to(&self, user: u32) -> Result<()> {
        run(Command::new("chown").arg("-R").arg(format!("{user}:{user}")).arg(&self.folder))?.success()?;
        for folder in self.folder.ancestors().skip(1).take(2) {
            run(Command::new("chmod").arg("a+x").arg(folder))?.success()?;
        }
        Ok(fs::write(self.folder.join("user"), user.to_string())?)
    }

    /// Has the next start run something that never answers.
    pub fn hang_once(&self) -> Result<()> {
        write_program(&self.folder.join("hang"), "#!/bin/sh\nexec sleep 600\n")
    }

    /// Whether to say that CouchDB was started, and not to start it.
    pub fn pretend(&self, pretend: bool) -> Result<()> {
        let file = self.folder.join("pretend");
        Ok(if pretend { fs::write(file, "") } else { fs::remove_file(file) }?)
    }

    /// Whether to say that CouchDB was stopped, and that it has stopped, and to let it run on.
    pub fn lie(&self, lie: bool) -> Result<()> {
        if !lie {
            fs::remove_file(self.lied()).or_else(|e| if self.lied().exists() { Err(e) } else { Ok(()) })?;
        }
        let file = self.folder.join("lie");
        Ok(if lie { fs::write(file, "") } else { fs::remove_file(file) }?)
    }

    /// A file that is there while it was said that CouchDB has stopped, though it runs.
    pub fn lied(&self) -> PathBuf {
        self.folder.join("lied")
    }

    /// Whether something else starts CouchDB again whenever it was stopped.
    pub fn watchdog(&self, watchdog: bool) -> Result<()> {
        let file = self.folder.join("watchdog");
        Ok(if watchdog { fs::write(file, "") } else { fs::remove_file(file) }?)
    }

    /// Has the next stop start this node in place of the one that was stopped. Its folder is `usurper` in the node's own. `ctl
    /// depose` ends it.
    pub fn usurp(&self, other: &Node) -> Result<()> {
        let (program, environment) = other.command_line();
        let mut text = "#!/bin/sh\nhere=${0%/*}\n".to_owned();
        for (name, value) in environment {
            let _ = writeln!(text, "export {name}='{value}'");
        }
        let _ = writeln!(text, "echo $$ >\"$here/pid\"; exec '{}' >>\"$here/log\" 2>&1", program.display());
        fs::create_dir_all(&other.data)?;
        write_program(&self.folder.join("usurper/start"), &text)
    }

    /// The node's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has the next start keep what the node is started on.
    pub(super) fn freeze(&self) -> Result<()> {
        Ok(fs::write(self.folder.join("freeze"), "")?)
    }

    /// As the plugin `command` wants it.
    pub(super) fn as_commands(&self) -> String {
        let words = |action: &str| format!("{} {action}", self.script().display());
        let settings = ["start", "stop", "status"].map(|action| (action, words(action)));
        reference("command", &settings.each_ref().map(|(name, value)| (*name, value.as_str())))
    }

    /// Writes a service plugin of this node's own; gives its path.
    pub(super) fn write_plugin(&self) -> Result<PathBuf> {
        let script = self.script();
        let script = script.to_str().ok_or("a path that is no text")?;
        let mut guest = Guest::service("lab-control");
        guest.description.settings = Vec::new().into();
        guest.description.commands =
            ["start", "stop", "status"].map(|action| Pattern::new(&[script, action])).to_vec().into();
        let command = |action: &str| hostile::Command::new(&[script, action]);
        guest.start.steps = vec![Step::Succeed(command("start"))];
        guest.stop.steps = vec![Step::Succeed(command("stop"))];
        guest.status.steps = vec![Step::AnswerState(command("status"))];
        let file = self.folder.join("lab-control.wasm");
        fs::write(&file, guest.build()?)?;
        Ok(file)
    }
}

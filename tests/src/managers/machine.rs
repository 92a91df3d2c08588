//! A place for programs that manage others.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::Result;
use crate::lab::{dying_with_us, run, skipped, wait_at_most, wait_for};

/// How long what ends such a place is waited for.
const LIMIT: Duration = Duration::from_secs(20);

/// First process of a place of its own: gives itself the mounts, then becomes `$init`.
const HOLDER: &str = r#"set -eu
# Its number out there: this /proc is still the one of out there.
read -r pid rest </proc/self/stat
mount --make-rprivate /
mount --bind "$folder" "$folder"
mount -t proc none /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t tmpfs none /run
if mountpoint --quiet /dev; then mount -o remount,bind,ro /dev; fi
mount -o remount,bind,ro /
# What systemd and OpenRC make of control groups stays below this one, and nothing of the system's own is in sight.
if [ -d /sys/fs/cgroup ]; then
  mkdir /run/cgroup
  if mount -t cgroup2 none /run/cgroup; then
    mkdir "/run/cgroup/$name"
    echo "$$" >"/run/cgroup/$name/cgroup.procs"
    umount /run/cgroup
  fi
  mount -t tmpfs none /sys/fs/cgroup
fi
cd /
eval "$preparation"
echo "$pid" >"$folder/ready.part"
mv "$folder/ready.part" "$folder/ready"
eval "$init"
"#;

/// The first process of a process namespace inherits all orphans: it must see them off.
const IDLE: &str = "while :; do sleep 1000 & wait; done";

/// A folder, and where possible namespaces of its own for processes, mounts and names, where all but that folder cannot be
/// written. All that runs there ends with this value.
#[derive(Debug)]
pub struct Machine {
    folder: TempDir,
    name: String,
    inside: Option<Inside>,
    beside: Vec<(Child, Signal)>,
}

#[derive(Debug)]
struct Inside {
    holder: Child,
    /// Number of the first process.
    init: String,
}

impl Machine {
    /// A place with namespaces, or a mere folder where the system does not let us have them.
    pub fn new() -> Result<Self> {
        let mut machine = Self::folder_only()?;
        // Why not makes no difference to what is tested.
        let _ = machine.enter("", IDLE);
        Ok(machine)
    }

    /// A place with namespaces, where these lines for a shell were run at first. Where the system does not let us have
    /// one, says so on standard error.
    pub fn apart(preparation: &str) -> Result<Option<Self>> {
        Self::apart_with(preparation, IDLE)
    }

    /// The same with another first process.
    pub fn apart_with(preparation: &str, init: &str) -> Result<Option<Self>> {
        if !getuid().is_root() {
            skipped("it takes root to give a manager namespaces of its own");
            return Ok(None);
        }
        if !may_unshare()? {
            skipped("this system does not let us have namespaces of our own");
            return Ok(None);
        }
        let mut machine = Self::folder_only()?;
        machine.enter(preparation, init)?;
        Ok(Some(machine))
    }

    fn folder_only() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("couchcopy-test-").tempdir()?;
        let name = folder
            .path()
            .file_name()
            .and_then(OsStr::to_str)
            .ok_or("a folder without a name")?
            .to_ascii_lowercase();
        for inner in ["home", "tmp"] {
            fs::create_dir(folder.path().join(inner))?;
        }
        Ok(Self { folder, name, inside: None, beside: Vec::new() })
    }

    fn enter(&mut self, preparation: &str, init: &str) -> Result<()> {
        let log = File::create(self.path("machine.log"))?;
        let mut holder = dying_with_us("unshare");
        holder
            .args(["--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--", "sh", "-c", HOLDER])
            .env("folder", self.folder.path())
            .env("name", &self.name)
            .env("preparation", preparation)
            .env("init", init)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut holder = holder.spawn()?;
        let ready = self.path("ready");
        let init = wait_for("namespaces", || {
            if let Ok(pid) = fs::read_to_string(&ready) {
                return Ok(Some(Ok(pid.trim().to_owned())));
            }
            Ok(holder.try_wait()?.map(Err))
        });
        let told = |why: String| format!("{why}:\n{}", self.log());
        match init {
            Ok(Ok(init)) => {
                self.inside = Some(Inside { holder, init });
                Ok(())
            }
            Ok(Err(status)) => Err(told(format!("no namespaces: {status}")).into()),
            Err(e) => {
                let _ = holder.kill();
                let _ = holder.wait();
                Err(told(e.to_string()).into())
            }
        }
    }

    /// A name for a service or the like that nobody else uses.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where a file or folder is, both inside and outside.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// What was said while the place was made.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("machine.log")).unwrap_or_default()
    }

    /// A program to be run in this place, with a home of its own.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match &self.inside {
            Some(inside) => {
                let mut command = Command::new("nsenter");
                command.args([
                    "--target",
                    &inside.init,
                    "--mount",
                    "--pid",
                    "--uts",
                    "--ipc",
                    "--cgroup",
                    "--",
                ]);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        let home = self.path("home");
        command
            .env("PATH", search_path())
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("HOME", home)
            .env_remove("XDG_RUNTIME_DIR");
        command
    }

    /// Starts a program that runs until this value ends. Then it gets that signal.
    pub fn spawn(&mut self, command: &Command, end: Signal) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.path("machine.log"))?;
        let mut started = dying_with_us(command.get_program());
        started.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => started.env(name, value),
                None => started.env_remove(name),
            };
        }
        let child = started.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.beside.push((child, end));
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(Inside { holder, .. }) = &mut self.inside {
            // The first process goes with it, and all others with the first.
            let _ = holder.kill();
            let _ = holder.wait();
        }
        for (child, signal) in &mut self.beside {
            // Nothing to ask of those inside: they are dead.
            if self.inside.is_none()
                && let Some(pid) = Pid::from_raw(child.id().cast_signed())
            {
                let _ = kill_process(pid, *signal);
                let _ = wait_at_most(LIMIT, "a manager's end", || Ok(child.try_wait()?));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        if self.inside.is_some() {
            let _ = remove_control_group(&self.name);
        }
    }
}

/// Whether namespaces can be had.
fn may_unshare() -> Result<bool> {
    let tried = run(Command::new("unshare").args(["--mount", "--pid", "--uts", "--ipc", "--fork", "true"]));
    Ok(tried?.code == Some(0))
}

/// Removes the empty control groups that were made there. They may be busy for a moment yet.
fn remove_control_group(name: &str) -> Result<()> {
    let script = r#"mount -t cgroup2 none /mnt && { [ ! -d "/mnt/$1" ] || find "/mnt/$1" -depth -type d -exec rmdir {} +; }"#;
    wait_at_most(LIMIT, "a control group's end", || {
        let removed = run(Command::new("unshare").args(["--mount", "sh", "-c", script, "sh", name]))?;
        Ok((removed.code == Some(0)).then_some(()))
    })
}

/// `PATH` with the folders that only root has in it.
pub(super) fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin:/usr/local/sbin")
}

/// Finds a program. Where there is none, says on standard error that it is missing, and in which of Debian's packages it is.
pub fn find_program(program: &str, package: &str) -> Option<PathBuf> {
    let found =
        search_path().split(':').map(|folder| Path::new(folder).join(program)).find(|file| file.is_file());
    if found.is_none() {
        skipped(&format!("no {program} (Debian's package {package})"));
    }
    found
}

//! What runs containers.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::Result;
use crate::lab::{Ended, Installation, dying_with_us, on_path, run, skipped, wait_at_most, wait_for};

/// How long the daemon may take to stop.
const DAEMON: Duration = Duration::from_secs(60);

/// Podman as it runs where it may not raise limits, and where its default runtime does not know the control groups.
const PODMAN: &str = r#"[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "none"
"#;

/// Makes the folder of an image: an installation of CouchDB, what couchcopy runs on a node, the libraries of both, and a user.
const IMAGE: &str = r#"set -e
home=$1 root=$2
mkdir -p "$root/etc" "$root/tmp" "$root/opt" "$root/proc" "$root/sys" "$root/dev" "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64"
chmod 1777 "$root/tmp"
ln -s usr/bin "$root/bin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
cp -a "$home" "$root/opt/couchdb"
for program in sh env cat tar find stat df mkdir mv rm sync ls cp cut sed grep id sleep timeout dirname basename readlink uname head tail; do
  cp -L "$(command -v "$program")" "$root/usr/bin/"
done
{
  ldd "$root"/usr/bin/*
  find "$home" -type f \( -name '*.so' -o -perm -u+x \) -exec ldd {} +
} 2>/dev/null | grep -o '/[^ :()]*' | grep -v "^$root\|^$home" | sort -u | while read -r library; do
  [ -f "$library" ] || continue
  mkdir -p "$root/${library%/*}"
  [ -e "$root/$library" ] || cp -L "$library" "$root/$library"
done
printf 'root:x:0:0::/:/bin/sh\ncouchdb:x:%s:%s::/opt/couchdb:/bin/sh\n' "$3" "$3" >"$root/etc/passwd"
printf 'root:x:0:\ncouchdb:x:%s:\n' "$3" >"$root/etc/group"
mkdir -p "$root/opt/couchdb/data"
chown -R "$3:$3" "$root/opt/couchdb/data"
"#;

/// Docker or podman.
#[derive(Debug)]
pub struct Engine {
    /// `docker` or `podman`.
    pub program: &'static str,
    /// What it wants in its environment.
    pub environment: Vec<(&'static str, String)>,
    daemon: Option<Child>,
    dir: TempDir,
}

impl Engine {
    /// The docker of this machine, or one whose daemon is started here. Where that cannot be had, says so.
    pub fn docker() -> Result<Option<Self>> {
        let mut engine =
            Self { program: "docker", environment: Vec::new(), daemon: None, dir: tempfile::tempdir()? };
        if on_path("docker").is_none() {
            skipped("no docker, which Debian's package docker.io has");
            return Ok(None);
        }
        if engine.works() {
            return Ok(Some(engine));
        }
        if !getuid().is_root() {
            skipped("no docker daemon runs, and it takes root to start one");
            return Ok(None);
        }
        let Some(program) = on_path("dockerd") else {
            skipped("no docker daemon runs, and there is no dockerd, which Debian's package docker.io has");
            return Ok(None);
        };
        let place = |name: &str| engine.dir.path().join(name).display().to_string();
        let socket = format!("unix://{}", place("socket"));
        let log = File::create(place("log"))?;
        let mut command = dying_with_us(&program);
        command
            .args(["--bridge=none", "--iptables=false", "--ip-masq=false", "--host", &socket])
            .args(["--data-root", &place("data"), "--exec-root", &place("exec"), "--pidfile", &place("pid")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let log = place("log");
        engine.daemon = Some(command.spawn()?);
        engine.environment.push(("DOCKER_HOST", socket));
        let started = wait_for("the docker daemon", || {
            if let Some(daemon) = &mut engine.daemon
                && let Some(status) = daemon.try_wait()?
            {
                return Ok(Some(Err(status)));
            }
            let answered = run(engine.command().arg("info"))?;
            Ok((answered.code == Some(0)).then_some(Ok(())))
        });
        if !matches!(started, Ok(Ok(()))) {
            let log = fs::read_to_string(log)?;
            let end: Vec<&str> = log.lines().rev().take(5).collect();
            skipped(&format!("a docker daemon cannot be run here: {started:?}: {}", end.join(" / ")));
            return Ok(None);
        }
        Ok(Some(engine))
    }

    /// Podman, with storage of its own. Where that cannot be had, says so.
    pub fn podman() -> Result<Option<Self>> {
        if on_path("podman").is_none() || on_path("runc").is_none() {
            skipped("no podman with runc, which Debian's packages of these names have");
            return Ok(None);
        }
        if !getuid().is_root() {
            skipped("podman is run as root here");
            return Ok(None);
        }
        let dir = tempfile::tempdir()?;
        let place = |name: &str| dir.path().join(name).display().to_string();
        fs::write(place("containers.conf"), PODMAN)?;
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            place("graph"),
            place("run")
        );
        fs::write(place("storage.conf"), storage)?;
        let environment = vec![
            ("CONTAINERS_CONF", place("containers.conf")),
            ("CONTAINERS_STORAGE_CONF", place("storage.conf")),
        ];
        let engine = Self { program: "podman", environment, daemon: None, dir };
        let seen = run(engine.command().arg("info"))?;
        if seen.code != Some(0) {
            skipped(&format!("podman does not work here: {}", seen.stderr));
            return Ok(None);
        }
        Ok(Some(engine))
    }

    fn works(&self) -> bool {
        run(self.command().arg("info")).is_ok_and(|ended| ended.code == Some(0))
    }

    /// Its program, to be run with arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it.
    pub fn run(&self, arguments: &[&str]) -> Result<Ended> {
        run(self.command().args(arguments))
    }

    /// An image with this CouchDB in `/opt/couchdb`, whose commands run as this user; gives its name.
    pub fn image(&self, couchdb: &Installation, user: u32) -> Result<String> {
        let root = self.dir.path().join("image");
        let user = user.to_string();
        run(Command::new("sh").args(["-c", IMAGE, "sh"]).arg(&couchdb.home).arg(&root).arg(&user))?
            .success()?;
        let archive = self.dir.path().join("image.tar");
        run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."))?.success()?;
        let name = format!("localhost/couchcopy-test:{}", couchdb.version()?);
        let set_user = format!("USER {user}:{user}");
        let mut import = self.command();
        import.args(["import", "--change", &set_user, "--change", "WORKDIR /opt/couchdb"]);
        run(import.arg(&archive).arg(&name))?.success()?;
        fs::remove_dir_all(&root)?;
        fs::remove_file(&archive)?;
        Ok(name)
    }

    /// A folder that goes away with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.program == "podman" {
            // Its overlays are mounted.
            let _ = self.run(&["system", "reset", "--force"]);
        }
        let Some(mut daemon) = self.daemon.take() else { return };
        if let Some(pid) = Pid::from_raw(daemon.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if wait_at_most(DAEMON, "the docker daemon to end", || Ok(daemon.try_wait()?)).is_err() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

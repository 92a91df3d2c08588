//! Access chains, each with what stands in for the programs that it runs.

use std::fs::{self, File};
use std::process::Command;

use couchcopy_tests::Result;
use couchcopy_tests::lab::{binary, run, skipped};
use couchcopy_tests::managers::{Fake, Machine, Sshd, find_program, reference};

/// A way to a node.
pub(super) struct Way {
    /// What stands between `couchcopy plugin run` and `--`: plugin, action, further plugins, node last.
    pub(super) words: Vec<String>,
    place: Place,
    fake: Option<Fake>,
}

/// Where couchcopy is run.
enum Place {
    Here(Machine),
    BesideSshd(Sshd),
}

/// What came back of a command.
pub(super) struct Came {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// No room for a whole `/etc`, but for what a program needs to tell who somebody is.
const DOAS: &str = r#"mkdir /run/etc
for name in passwd group shadow nsswitch.conf pam.d security login.defs ld.so.cache ld.so.conf ld.so.conf.d alternatives; do
  [ ! -e "/etc/$name" ] || cp -a "/etc/$name" /run/etc/
done
echo 'permit nopass root' >/run/etc/doas.conf
chmod 600 /run/etc/doas.conf
mount --bind /run/etc /etc"#;

impl Way {
    pub(super) fn ssh() -> Result<Option<Self>> {
        let Some(sshd) = Sshd::start()? else { return Ok(None) };
        let words = vec![sshd.reference.clone(), "exec".to_owned(), sshd.host.clone()];
        Ok(Some(Self { words, place: Place::BesideSshd(sshd), fake: None }))
    }

    pub(super) fn sudo() -> Result<Option<Self>> {
        Ok(sudo_works()?.then_some(Self::here("sudo", Machine::new()?)))
    }

    pub(super) fn doas() -> Result<Option<Self>> {
        if find_program("doas", "opendoas").is_none() {
            return Ok(None);
        }
        let plugin = reference("sudo", &[("program", "doas")]);
        Ok(Machine::apart(DOAS)?.map(|machine| Self::here(&plugin, machine)))
    }

    pub(super) fn docker() -> Result<Option<Self>> {
        let machine = Machine::new()?;
        let fake = Fake::new(&machine, "docker", DOCKER)?;
        let way = Self::here(&reference("docker", &[("container", "couch-1")]), machine);
        Ok(Some(Self { fake: Some(fake), ..way }))
    }

    pub(super) fn kubernetes() -> Result<Option<Self>> {
        let machine = Machine::new()?;
        let fake = Fake::new(&machine, "kubectl", KUBECTL)?;
        let way = Self::here(&reference("kubernetes", &[("pod", "couch-0")]), machine);
        Ok(Some(Self { fake: Some(fake), ..way }))
    }

    pub(super) fn ssh_then_sudo() -> Result<Option<Self>> {
        if !sudo_works()? {
            return Ok(None);
        }
        Ok(Self::ssh()?.map(|way| way.and_then("sudo")))
    }

    pub(super) fn ssh_then_docker() -> Result<Option<Self>> {
        let Some(way) = Self::ssh()? else { return Ok(None) };
        let fake = Fake::new(way.machine(), "docker", DOCKER)?;
        let way = way.and_then(&reference("docker", &[("container", "couch-1")]));
        Ok(Some(Self { fake: Some(fake), ..way }))
    }

    /// One more plugin behind those that lead away from here.
    pub(super) fn and_then(mut self, plugin: &str) -> Self {
        let first = std::mem::replace(&mut self.words[0], plugin.to_owned());
        let node = self.words.len() - 1;
        self.words.splice(node..node, ["--via".to_owned(), first]);
        self
    }

    fn here(plugin: &str, machine: Machine) -> Self {
        let words = [plugin, "exec", "localhost"].map(str::to_owned).into();
        Self { words, place: Place::Here(machine), fake: None }
    }

    pub(super) fn machine(&self) -> &Machine {
        match &self.place {
            Place::Here(machine) => machine,
            Place::BesideSshd(sshd) => &sshd.machine,
        }
    }

    /// All calls of the fake since this was asked last.
    pub(super) fn calls(&self) -> Result<Vec<Vec<String>>> {
        self.fake.as_ref().ok_or("no fake")?.calls()
    }

    pub(super) fn run(&self, command: &[&str], stdin: &[u8]) -> Result<Came> {
        let machine = self.machine();
        let [input, output, errors] = ["stdin", "stdout", "stderr"].map(|stream| machine.path(stream));
        fs::write(&input, stdin)?;
        // Whatever hangs, hangs not for ever.
        let mut couchcopy = machine.command("timeout");
        couchcopy.arg("60").arg(binary()?).args(["plugin", "run"]).args(&self.words).arg("--").args(command);
        if let Some(fake) = &self.fake {
            couchcopy.env("PATH", fake.search_path());
        }
        let ended = couchcopy
            .stdin(File::open(input)?)
            .stdout(File::create(&output)?)
            .stderr(File::create(&errors)?)
            .status()?;
        let stderr = String::from_utf8_lossy(&fs::read(errors)?).into_owned();
        Ok(Came { code: ended.code(), stdout: fs::read(output)?, stderr })
    }
}

/// Enters a container that is this machine.
const DOCKER: &str = r#"while [ "$1" != -- ]; do shift; done
shift 2
exec "$@"
"#;
const KUBECTL: &str = r#"while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"#;

/// Whether sudo is there and asks for no password.
fn sudo_works() -> Result<bool> {
    let Some(sudo) = find_program("sudo", "sudo") else { return Ok(false) };
    let works = run(Command::new(sudo).args(["-n", "--", "true"]))?.code == Some(0);
    if !works {
        skipped("sudo asks for a password here");
    }
    Ok(works)
}

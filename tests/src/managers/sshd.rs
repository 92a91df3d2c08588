//! A real sshd with keys of its own, and the settings that lead ssh there and keep it off the user's configuration.

use std::fs;
use std::net::TcpStream;
use std::process::Command;

use rustix::process::{Signal, getuid};

use super::fake::FAKES;
use super::machine::search_path;
use super::managed::{reference, text};
use super::{Machine, find_program};
use crate::Result;
use crate::lab::{AddressBlock, run, skipped, wait_for};

/// Any will do: the address is nobody else's.
const PORT: u16 = 2222;

/// An sshd that lets the user in who runs the tests.
#[derive(Debug)]
pub struct Sshd {
    /// Where it runs.
    pub machine: Machine,
    /// The address that it listens on.
    pub host: String,
    /// The plugin with the settings that lead there.
    pub reference: String,
    _address: AddressBlock,
}

impl Sshd {
    /// A folder whose programs go before all others for whoever comes by ssh.
    pub fn programs(&self) -> Result<std::path::PathBuf> {
        let folder = self.machine.path(FAKES);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Starts one. Where it is not installed, says so.
    pub fn start() -> Result<Option<Self>> {
        let Some(sshd) = find_program("sshd", "openssh-server") else { return Ok(None) };
        let Some(keygen) = find_program("ssh-keygen", "openssh-client") else { return Ok(None) };
        // Run by root, it wants this folder.
        let machine = if getuid().is_root() {
            Machine::apart("mkdir -p -m 755 /run/sshd")?
        } else {
            Some(Machine::new()?)
        };
        let Some(mut machine) = machine else { return Ok(None) };
        let address = AddressBlock::claim()?;
        let host = address.address(1).to_string();

        for key in ["host-key", "user-key"] {
            let mut make = Command::new(&keygen);
            run(make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(machine.path(key)))?.success()?;
        }
        let public = fs::read_to_string(machine.path("host-key.pub"))?;
        fs::write(machine.path("known-hosts"), format!("[{host}]:{PORT} {public}"))?;
        let at = machine.path("");
        let at = text(&at)?;
        fs::write(
            machine.path("sshd-config"),
            format!(
                "Port {PORT}\n\
                 ListenAddress {host}\n\
                 HostKey {at}host-key\n\
                 AuthorizedKeysFile {at}user-key.pub\n\
                 AuthenticationMethods publickey\n\
                 PermitRootLogin yes\n\
                 PermitUserRC no\n\
                 PidFile none\n\
                 StrictModes no\n\
                 UseDNS no\n\
                 UsePAM no\n\
                 SetEnv \"PATH={at}{FAKES}:{}\"\n",
                search_path()
            ),
        )?;
        fs::write(
            machine.path("ssh-config"),
            format!(
                "IdentitiesOnly yes\n\
                 StrictHostKeyChecking yes\n\
                 GlobalKnownHostsFile /dev/null\n\
                 UserKnownHostsFile {at}known-hosts\n"
            ),
        )?;
        let mut server = machine.command(sshd);
        server.args(["-D", "-e", "-f"]).arg(machine.path("sshd-config"));
        machine.spawn(&server, Signal::TERM)?;
        wait_for("sshd", || {
            TcpStream::connect((host.as_str(), PORT)).map_err(|e| format!("{e}: {}", machine.log()))?;
            Ok(Some(()))
        })?;
        // Users without a shell or with a locked account are let in by none; root is.
        if !getuid().is_root() {
            let mut login = machine.command("ssh");
            login.args([
                "-F",
                &format!("{at}ssh-config"),
                "-i",
                &format!("{at}user-key"),
                "-p",
                &PORT.to_string(),
            ]);
            let came = run(login.args(["-o", "BatchMode=yes", "--", &host, "true"]))?;
            if came.code != Some(0) {
                skipped(&format!("sshd does not let this user in: {}", came.stderr.trim()));
                return Ok(None);
            }
        }
        let reference = reference(
            "ssh",
            &[
                ("port", &PORT.to_string()),
                ("identity", &format!("{at}user-key")),
                ("options", &format!("-F '{at}ssh-config' -o ConnectTimeout=20")),
            ],
        );
        Ok(Some(Self { machine, host, reference, _address: address }))
    }
}

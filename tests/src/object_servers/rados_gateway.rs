//! Ceph's S3 server, radosgw, with the smallest cluster that it runs on: one monitor and one OSD that keeps all in memory.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::S3;
use super::server::{Server, command, find};
use crate::Result;
use crate::lab::{on_path, skipped};

/// Names the program. The others of Ceph are taken from the path.
const VARIABLE: &str = "COUCHCOPY_RADOSGW";
const NAMES: [&str; 1] = ["radosgw"];
const PLACES: [&str; 1] = ["/usr/bin/radosgw"];
/// What else it takes. Debian has them in ceph-common, ceph-mon, ceph-osd, radosgw and util-linux.
const OTHERS: [&str; 7] =
    ["ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw-admin", "setpriv"];

const ADMIN: (&str, &str) = ("couchcopy-admin", "secret-of-the-admin");

/// Everything is kept once, in the memory of one OSD, and by few placement groups. All of it listens on the loopback address.
const SETTINGS: &str = "\
[global]
fsid = 6f1d1a52-6a0c-4a3b-9f0e-2f6f2d3a7c11
mon host = v2:127.0.0.1:MON_PORT
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
keyring = FOLDER/keyring
mon data = FOLDER/mon
osd data = FOLDER/osd
rgw data = FOLDER/rgw
run dir = FOLDER
crash dir = FOLDER
admin socket = FOLDER/$name.asok
log to file = false
mon cluster log to file = false
log to stderr = true
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
# A disk that is almost full would end the monitor.
mon data avail crit = 0
mon data avail warn = 0
# Each pool that the gateway makes takes some of these rounds, which else last a second.
paxos propose interval = 0.05
rgw frontends = beast endpoint=127.0.0.1:S3_PORT
rgw enable apis = s3
";

/// Makes the cluster and becomes the gateway. The others die with it.
const SCRIPT: &str = r#"set -e
conf=$PWD/ceph.conf
export CEPH_CONF="$conf"
key() { ceph-authtool -g keyring -n "$@" >/dev/null; }
: >keyring
key mon. --cap mon 'allow *'
key client.admin --cap mon 'allow *' --cap osd 'allow *'
key osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
mkdir mon osd rgw
monmaptool --create --addv a "[v2:127.0.0.1:$2]" --fsid 6f1d1a52-6a0c-4a3b-9f0e-2f6f2d3a7c11 monmap
ceph-mon --mkfs -i a --monmap monmap --keyring keyring
setpriv --pdeathsig KILL ceph-mon -i a -f &
osd=$(cat /proc/sys/kernel/random/uuid)
timeout 60 ceph osd new "$osd"
ceph-osd -i 0 --mkfs --osd-uuid "$osd"
setpriv --pdeathsig KILL ceph-osd -i 0 -f &
timeout 60 radosgw-admin -n client.admin user create --uid couchcopy --display-name couchcopy \
  --access-key "$3" --secret-key "$4"
exec "$1" -n client.admin -f
"#;

/// A running radosgw. It is killed when it goes out of scope, with its cluster.
#[derive(Debug)]
pub struct RadosGateway {
    server: Server,
    endpoint: String,
}

impl RadosGateway {
    /// Starts one and waits until it answers. Where it is not installed, says so and returns `None`.
    ///
    /// Panics where it is installed and does not start: a test must not pass then.
    pub fn start() -> Option<Self> {
        let missing = OTHERS.into_iter().find(|name| on_path(name).is_none());
        let Some(program) = find(VARIABLE, &NAMES, &PLACES).filter(|_| missing.is_none()) else {
            skipped(&format!(
                "no radosgw: no {} in the path ({VARIABLE} names another radosgw)",
                missing.unwrap_or(NAMES[0])
            ));
            return None;
        };
        match Self::run(&program) {
            Ok(started) => Some(started),
            Err(e) => panic!("{e}"),
        }
    }

    fn run(program: &Path) -> Result<Self> {
        let is_ready =
            |ports: [u16; 2]| Ok(user(&endpoint(ports)).request("GET", "/", &[], &[], b"")?.status == 200);
        let prepare = |folder: &Path, ports| arrange(program, folder, ports);
        let (server, ports) = Server::start("radosgw", prepare, |_| Vec::new(), is_ready)?;
        Ok(Self { server, endpoint: endpoint(ports) })
    }

    /// Where it answers: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// A client that may do all.
    pub fn s3(&self) -> S3 {
        user(&self.endpoint)
    }

    /// All that it and its cluster logged.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

fn user(endpoint: &str) -> S3 {
    S3 { endpoint: endpoint.to_owned(), access_key: ADMIN.0.to_owned(), secret_key: ADMIN.1.to_owned() }
}

fn endpoint([_, s3]: [u16; 2]) -> String {
    format!("http://127.0.0.1:{s3}")
}

fn arrange(program: &Path, folder: &Path, [mon, s3]: [u16; 2]) -> Result<Command> {
    let settings = SETTINGS
        .replace("FOLDER", &folder.display().to_string())
        .replace("MON_PORT", &mon.to_string())
        .replace("S3_PORT", &s3.to_string());
    fs::write(folder.join("ceph.conf"), settings)?;
    let mut command = command(Path::new("/bin/sh"));
    command.args(["-c", SCRIPT, "sh"]).arg(program).arg(mon.to_string()).args([ADMIN.0, ADMIN.1]);
    Ok(command)
}

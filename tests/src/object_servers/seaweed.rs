//! SeaweedFS: an S3 server that is one program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::S3;
use super::server::{Server, command, find};
use crate::Result;
use crate::lab::skipped;

/// Names the program.
const VARIABLE: &str = "COUCHCOPY_WEED";
const NAMES: [&str; 1] = ["weed"];
const PLACES: [&str; 3] = ["/opt/seaweedfs/bin/weed", "/opt/seaweedfs/weed", "/usr/local/bin/weed"];

/// Takes what a bucket needs to become writable.
const READY: &str = "ready-or-not";

/// Users and secrets.
const ADMIN: (&str, &str) = ("couchcopy-admin", "secret-of-the-admin");
const KEEPER: (&str, &str) = ("couchcopy-keeper", "secret-of-the-keeper");
const READER: (&str, &str) = ("couchcopy-reader", "secret-of-the-reader");

/// The admin may do all. The keeper may read and write, but neither list nor delete. The reader may only read, and not list.
const USERS: &str = r#"{
  "identities": [
    {"name": "admin", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
     "credentials": [{"accessKey": "couchcopy-admin", "secretKey": "secret-of-the-admin"}]},
    {"name": "keeper", "policyNames": ["keep"],
     "credentials": [{"accessKey": "couchcopy-keeper", "secretKey": "secret-of-the-keeper"}]},
    {"name": "reader", "actions": ["Read"],
     "credentials": [{"accessKey": "couchcopy-reader", "secretKey": "secret-of-the-reader"}]}
  ],
  "policies": [
    {"name": "keep", "content": "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": [\"s3:GetObject\", \"s3:PutObject\"], \"Resource\": [\"arn:aws:s3:::*\"]}]}"}
  ]
}
"#;

/// One volume for each bucket instead of seven: tests have many buckets, all of them small.
const GROWTH: &str = "[master.volume_growth]\ncopy_1 = 1\ncopy_2 = 1\ncopy_3 = 1\ncopy_other = 1\n";

/// A running SeaweedFS with its S3 interface. It is killed when it goes out of scope.
#[derive(Debug)]
pub struct SeaweedFs {
    server: Server,
    endpoint: String,
}

impl SeaweedFs {
    /// Starts one and waits until it takes objects. Where it is not installed, says so and returns `None`.
    ///
    /// Panics where it is installed and does not start: a test must not pass then.
    pub fn start() -> Option<Self> {
        let Some(program) = find(VARIABLE, &NAMES, &PLACES) else {
            skipped(&format!(
                "no SeaweedFS: no weed in the path or in /opt/seaweedfs/bin ({VARIABLE} names another)"
            ));
            return None;
        };
        match Self::run(&program) {
            Ok(started) => Some(started),
            Err(e) => panic!("{e}"),
        }
    }

    fn run(program: &Path) -> Result<Self> {
        let is_ready = |ports: [u16; 8]| {
            let s3 = user(ADMIN, &endpoint(ports));
            // The bucket is there before anything can be written.
            s3.create_bucket(READY).or_else(|e| if s3.list(READY, "").is_ok() { Ok(()) } else { Err(e) })?;
            s3.put(READY, "object", b"ready")?;
            s3.request("DELETE", &format!("/{READY}/object"), &[], &[], b"")?.success()?;
            s3.request("DELETE", &format!("/{READY}"), &[], &[], b"")?.success()?;
            Ok(true)
        };
        let prepare = |folder: &Path, ports| arrange(program, folder, ports);
        let (server, ports) = Server::start("SeaweedFS", prepare, sockets, is_ready)?;
        Ok(Self { server, endpoint: endpoint(ports) })
    }

    /// Where it answers: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// The name of the user that may do all.
    pub fn access_key(&self) -> String {
        ADMIN.0.to_owned()
    }

    /// The secret of the user that may do all.
    pub fn secret_key(&self) -> String {
        ADMIN.1.to_owned()
    }

    /// A client that may do all.
    pub fn s3(&self) -> S3 {
        user(ADMIN, &self.endpoint)
    }

    /// A client that may read and write objects, but neither list nor delete them.
    pub fn keeper(&self) -> S3 {
        user(KEEPER, &self.endpoint)
    }

    /// A client that may only read objects whose keys it knows.
    pub fn reader(&self) -> S3 {
        user(READER, &self.endpoint)
    }

    /// What the command wants in its environment to do all. For another user or a proxy see [`S3::environment`] and [`S3::at`].
    pub fn environment(&self) -> Vec<(String, String)> {
        self.s3().environment()
    }

    /// Makes a bucket. Its name has at least three characters.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        self.s3().create_bucket(name)
    }

    /// All that it logged.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The number of its process.
    pub fn pid(&self) -> i32 {
        self.server.pid()
    }
}

fn user((access_key, secret_key): (&str, &str), endpoint: &str) -> S3 {
    S3 { endpoint: endpoint.to_owned(), access_key: access_key.to_owned(), secret_key: secret_key.to_owned() }
}

fn endpoint(ports: [u16; 8]) -> String {
    format!("http://127.0.0.1:{}", ports[6])
}

/// It makes these there, whatever it is told of temporary files.
fn sockets(ports: [u16; 8]) -> Vec<PathBuf> {
    [("master", 1), ("volume", 3), ("filer", 5), ("s3", 7)]
        .map(|(name, i)| PathBuf::from(format!("/tmp/seaweedfs-{name}-grpc-{}.sock", ports[i])))
        .into()
}

/// Writes its settings and says how it is run. The ports come in pairs: for HTTP, and for gRPC, which would else be 10000 more.
fn arrange(program: &Path, folder: &Path, ports: [u16; 8]) -> Result<Command> {
    let data = folder.join("data");
    fs::create_dir(&data)?;
    fs::write(folder.join("users.json"), USERS)?;
    fs::write(folder.join("master.toml"), GROWTH)?;
    let at = |name: &str| folder.join(name).display().to_string();
    let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = ports;
    let mut command = command(program);
    command.args(["-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
    command.arg(format!("-dir={}", data.display()));
    for (name, port) in [
        ("master.port", master),
        ("master.port.grpc", master_grpc),
        ("volume.port", volume),
        ("volume.port.grpc", volume_grpc),
        ("filer.port", filer),
        ("filer.port.grpc", filer_grpc),
        ("s3.port", s3),
        ("s3.port.grpc", s3_grpc),
        // None of these.
        ("s3.port.iceberg", 0),
        ("s3.port.lance", 0),
    ] {
        command.arg(format!("-{name}={port}"));
    }
    command.args([
        // Nothing leaves this machine.
        "-master.telemetry=false",
        // Files grow as they are written, up to this.
        "-master.volumeSizeLimitMB=64",
        "-volume.max=500",
        // A disk that is almost full would make all volumes read-only.
        "-volume.minFreeSpace=1MiB",
        // As with Amazon, a bucket must be made first.
        "-s3.autoCreateBucket=false",
    ]);
    command.arg(format!("-filer.localSocket={}", at("filer.sock")));
    command.arg(format!("-s3.localSocket={}", at("s3.sock")));
    command.arg(format!("-s3.config={}", at("users.json")));
    Ok(command)
}

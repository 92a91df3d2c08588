//! Azurite: an emulator of Azure's blob storage, written for Node.js.

use std::path::Path;

use super::Object;
use super::http::{Answer, request};
use super::server::{Server, command, find};
use super::signature::{azure, encode, encode_query};
use super::xml::{elements, value};
use crate::Result;
use crate::lab::skipped;

/// Names the program: `azurite-blob`, or `azurite`, which takes the same options.
const VARIABLE: &str = "COUCHCOPY_AZURITE";
const NAMES: [&str; 2] = ["azurite-blob", "azurite"];
const PLACES: [&str; 2] = ["/opt/azurite/node_modules/.bin/azurite-blob", "/opt/azurite/bin/azurite-blob"];

/// The emulator's only account, which everybody knows.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running Azurite. It is killed when it goes out of scope.
#[derive(Debug)]
pub struct Azurite {
    server: Server,
    endpoint: String,
}

impl Azurite {
    /// Starts one and waits until it answers. Where it is not installed, says so and returns `None`.
    ///
    /// Panics where it is installed and does not start: a test must not pass then.
    pub fn start() -> Option<Self> {
        let Some(program) = find(VARIABLE, &NAMES, &PLACES) else {
            skipped(&format!(
                "no Azurite: no azurite-blob in the path or in /opt/azurite ({VARIABLE} names another)"
            ));
            return None;
        };
        match Self::run(&program) {
            Ok(started) => Some(started),
            Err(e) => panic!("{e}"),
        }
    }

    fn run(program: &Path) -> Result<Self> {
        let endpoint = |port: u16| format!("http://127.0.0.1:{port}");
        let is_all = program.file_name().is_some_and(|name| name == "azurite");
        // The other services would else take their usual ports.
        let services = if is_all { 3 } else { 1 };
        let prepare = |folder: &Path, ports: [u16; 3]| {
            let mut command = command(program);
            for (name, port) in ["blob", "queue", "table"].iter().zip(ports).take(services) {
                command.args([format!("--{name}Host"), "127.0.0.1".to_owned()]);
                command.args([format!("--{name}Port"), port.to_string()]);
            }
            command.arg("--location").arg(folder);
            // Nothing leaves this machine, and a newer client is no reason to refuse it.
            command.args(["--disableTelemetry", "--skipApiVersionCheck"]);
            Ok(command)
        };
        let is_ready = |ports: [u16; 3]| {
            Ok(ask(&endpoint(ports[0]), "GET", "", &[("comp", "list")], &[], b"")?.status == 200)
        };
        let (server, ports) = Server::start("Azurite", prepare, |_| Vec::new(), is_ready)?;
        Ok(Self { server, endpoint: endpoint(ports[0]) })
    }

    /// Where it answers: `http://127.0.0.1:PORT`, without the account, which comes first in every path.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// The name of its account.
    pub fn account(&self) -> String {
        ACCOUNT.to_owned()
    }

    /// The key of its account.
    pub fn account_key(&self) -> String {
        KEY.to_owned()
    }

    /// What the command wants in its environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        Self::environment_at(&self.endpoint)
    }

    /// The same for a proxy in front of one.
    pub fn environment_at(endpoint: &str) -> Vec<(String, String)> {
        [
            ("AZURE_STORAGE_USE_EMULATOR", "true"),
            ("AZURITE_BLOB_STORAGE_URL", endpoint),
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
            ("AZURE_ALLOW_HTTP", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Sends a signed request, whatever comes of it. `path` is `/CONTAINER` or `/CONTAINER/BLOB`, not encoded. Headers may be
    /// `x-ms-…` alone: the signature knows no others.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        ask(&self.endpoint, method, path, query, headers, body)
    }

    /// Makes a container.
    pub fn create_container(&self, name: &str) -> Result<()> {
        let query = [("restype", "container")];
        self.request("PUT", &format!("/{name}"), &query, &[], b"")?.success()?;
        Ok(())
    }

    /// Writes a blob.
    pub fn put(&self, container: &str, key: &str, body: &[u8]) -> Result<()> {
        let kind = [("x-ms-blob-type", "BlockBlob")];
        self.request("PUT", &format!("/{container}/{key}"), &[], &kind, body)?.success()?;
        Ok(())
    }

    /// Reads a blob. `None` where there is none.
    pub fn get(&self, container: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let answer = self.request("GET", &format!("/{container}/{key}"), &[], &[], b"")?;
        if answer.status == 404 { Ok(None) } else { Ok(Some(answer.success()?.body)) }
    }

    /// Deletes a blob.
    pub fn delete(&self, container: &str, key: &str) -> Result<()> {
        self.request("DELETE", &format!("/{container}/{key}"), &[], &[], b"")?.success()?;
        Ok(())
    }

    /// All blobs whose names begin with a prefix, in the order of their names.
    pub fn list(&self, container: &str, prefix: &str) -> Result<Vec<Object>> {
        self.list_with(container, prefix, &[])
    }

    /// The same, and those of which only blocks were sent: Azure's unfinished uploads. They have the size 0.
    pub fn list_uncommitted(&self, container: &str, prefix: &str) -> Result<Vec<Object>> {
        self.list_with(container, prefix, &[("include", "uncommittedblobs")])
    }

    fn list_with(&self, container: &str, prefix: &str, more: &[(&str, &str)]) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        let mut marker = String::new();
        loop {
            let mut query = vec![("comp", "list"), ("prefix", prefix), ("restype", "container")];
            query.extend_from_slice(more);
            if !marker.is_empty() {
                query.push(("marker", &marker));
            }
            let text = self.request("GET", &format!("/{container}"), &query, &[], b"")?.success()?.text();
            for inner in elements(&text, "Blob") {
                let size = value(inner, "Content-Length").ok_or("a blob without a size")?.parse()?;
                objects.push(Object { key: value(inner, "Name").ok_or("a blob without a name")?, size });
            }
            marker = value(&text, "NextMarker").unwrap_or_default();
            if marker.is_empty() {
                objects.sort();
                return Ok(objects);
            }
        }
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

fn ask(
    endpoint: &str,
    method: &str,
    path: &str,
    query: &[(&str, &str)],
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let path = format!("/{ACCOUNT}{}", encode(path, true));
    let headers = azure((ACCOUNT, KEY), (method, &path, query), headers, body.len())?;
    let query = encode_query(query);
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    request(endpoint, method, &target, &headers, body)
}

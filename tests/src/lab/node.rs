//! One CouchDB node.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::http::{Http, PASSWORD, USER};
use super::install::{Installation, dying_with_us};
use super::wait::{wait_at_most, wait_for};
use super::{Size, addresses};
use crate::Result;

/// How long a node may take to end when asked to.
const STOP: Duration = Duration::from_secs(20);

/// Where a node lives.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its name, e.g. `couchdb21x1@127.0.21.1`.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Folder of its configuration, its log and its data.
    pub folder: PathBuf,
}

impl Place {
    /// A node on port 5984 of an address.
    pub fn new(name: String, address: Ipv4Addr, folder: PathBuf) -> Self {
        Self { name, address: (address, addresses::PORT).into(), folder }
    }
}

/// A node, running or not. It is killed when it goes out of scope.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its HTTP interface.
    pub http: Http,
    /// Its data folder; not there before it first starts, or somebody puts one there.
    pub data: PathBuf,
    place: Place,
    home: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// Writes a node's configuration. Its data folder is left as it is.
    pub fn configure(couchdb: &Installation, place: Place, size: Size) -> Result<Self> {
        let data = place.folder.join("data");
        let etc = place.folder.join("etc");
        fs::create_dir_all(etc.join("local.d"))?;
        fs::copy(couchdb.home.join("etc/default.ini"), etc.join("default.ini"))?;
        fs::write(etc.join("local.d/lab.ini"), settings(&place, &data, size))?;
        fs::write(etc.join("vm.args"), arguments(&couchdb.home, &place)?)?;
        Ok(Self {
            name: place.name.clone(),
            http: Http::new(place.address),
            data,
            place,
            home: couchdb.home.clone(),
            child: None,
        })
    }

    /// The command that runs this node in the foreground, and what it wants in its environment.
    pub fn command_line(&self) -> (PathBuf, Vec<(&'static str, String)>) {
        let etc = self.place.folder.join("etc");
        let environment = vec![
            ("COUCHDB_ARGS_FILE", etc.join("vm.args").display().to_string()),
            (
                "COUCHDB_INI_FILES",
                format!("{} {}", etc.join("default.ini").display(), etc.join("local.d").display()),
            ),
            // Erlang keeps a cookie there, CouchDB nothing.
            ("HOME", self.place.folder.display().to_string()),
        ];
        (self.home.join("bin/couchdb"), environment)
    }

    /// Adds to its configuration, as a file's text. A node that runs keeps the old one.
    pub fn add_settings(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.place.folder.join("etc/local.d/more.ini"), text)?)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.place.address)
    }

    /// Path of the node's log.
    pub fn log_path(&self) -> PathBuf {
        self.place.folder.join("log")
    }

    /// Starts the node, without waiting until it answers.
    pub fn start(&mut self) -> Result<()> {
        fs::create_dir_all(&self.data)?;
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let (program, environment) = self.command_line();
        let mut command = dying_with_us(&program);
        command.envs(environment).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        self.http = Http::new(self.place.address);
        Ok(())
    }

    /// Waits until the node answers.
    pub fn wait_until_up(&mut self) -> Result<()> {
        let what = format!("{} to start", self.name);
        let up = wait_for(&what, || {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                return Ok(Some(Err(status)));
            }
            Ok(self.http.ask("GET", "/_up", None)?.is_success().then_some(Ok(())))
        });
        let told = |why: String| {
            let log = self.log();
            let from = log.len().saturating_sub(4000);
            format!("{why}; end of its log:\n{}", log.get(from..).unwrap_or_default())
        };
        up.map_err(|e| told(e.to_string()))?.map_err(|status| told(format!("{what}: {status}")))?;
        Ok(())
    }

    /// Stops the node and waits until it has ended.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
            kill_process(pid, Signal::TERM)?;
        }
        let ended = wait_at_most(STOP, "a node to stop", || Ok(child.try_wait()?));
        if ended.is_err() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// All that the node logged.
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // CouchDB's files need no farewell, and nobody reads these any more.
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn settings(place: &Place, data: &Path, size: Size) -> String {
    let Size { q, n, .. } = size;
    let (data, ip, port) = (data.display(), place.address.ip(), place.address.port());
    let uuid = &place.name;
    format!(
        "[couchdb]\n\
         database_dir = {data}\n\
         view_index_dir = {data}\n\
         uuid = {uuid}\n\
         max_dbs_open = 5000\n\
         single_node = false\n\
         [chttpd]\n\
         bind_address = {ip}\n\
         port = {port}\n\
         [chttpd_auth]\n\
         secret = labsecret\n\
         ; A test logs in often, and has nothing to protect.\n\
         iterations = 10\n\
         upgrade_hash_on_auth = false\n\
         [cluster]\n\
         q = {q}\n\
         n = {n}\n\
         [log]\n\
         level = info\n\
         [native_query_servers]\n\
         enable_erlang_query_server = true\n\
         ; No compaction unless a test asks for one.\n\
         [smoosh]\n\
         db_channels = ,\n\
         view_channels = ,\n\
         [admins]\n\
         {USER} = {PASSWORD}\n"
    )
}

/// The installed `vm.args` with another name, address and cookie.
fn arguments(home: &Path, place: &Place) -> Result<String> {
    let ip = place.address.ip().to_string().replace('.', ",");
    let mut text = String::new();
    for line in fs::read_to_string(home.join("etc/vm.args"))?.lines() {
        let replaced =
            ["-name ", "-setcookie ", "-kernel inet_dist_use_interface "].iter().any(|s| line.starts_with(s));
        if !replaced {
            let _ = writeln!(text, "{line}");
        }
    }
    let name = &place.name;
    // Many nodes share few cores: they must not spin while they wait.
    let _ = writeln!(
        text,
        "-name {name}\n-kernel inet_dist_use_interface {{{ip}}}\n-setcookie couchcopy-lab\n\
         +sbwt none\n+sbwtdcpu none\n+sbwtdio none"
    );
    Ok(text)
}

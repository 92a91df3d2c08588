//! CouchDB in a container.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

use crate::Result;
use crate::lab::{AddressBlock, Ended, Http, Installation, PASSWORD, USER, binary, encode, run, wait_for};

use super::Engine;

/// The user that CouchDB runs as in its official image.
pub const USER_ID: u32 = 5984;
/// Its data folder in the container.
const DATA: &str = "/opt/couchdb/data";
/// After so many seconds it ends by itself.
const LONGEST: &str = "900";

/// A node that runs in a container, with its data on a volume. Both go away with it.
#[derive(Debug)]
pub struct CouchContainer {
    /// Its HTTP interface.
    pub http: Http,
    /// The container's name.
    pub name: String,
    /// The image that it was made of.
    pub image: String,
    address: String,
    volume: String,
    engine: Engine,
    block: AddressBlock,
}

impl CouchContainer {
    /// Starts one and waits until it answers. The engine goes away with it.
    pub fn start(engine: Engine, couchdb: &Installation) -> Result<Self> {
        // All nodes with the host's network share it, and it must not end with one of their containers.
        couchdb.start_port_mapper()?;
        let image = engine.image(couchdb, USER_ID)?;
        let block = AddressBlock::claim()?;
        let address = block.address(1);
        let name = format!("couchcopy-test-{}", block.number);
        let volume = format!("{name}-data");
        let config = engine.dir().join("config");
        fs::create_dir_all(config.join("local.d"))?;
        fs::write(config.join("local.d/lab.ini"), settings(&block))?;
        fs::write(config.join("vm.args"), arguments(couchdb, &block)?)?;
        for path in
            [config.clone(), config.join("local.d"), config.join("local.d/lab.ini"), config.join("vm.args")]
        {
            chown(path, Some(USER_ID), Some(USER_ID))?;
        }
        let couch = Self {
            http: Http::new((address, 5984).into()),
            address: format!("{address}:5984"),
            name,
            image,
            volume,
            engine,
            block,
        };
        let volumes = [format!("{}:{DATA}", couch.volume), format!("{}:/config", config.display())];
        let run = [
            "run",
            "-d",
            "--name",
            &couch.name,
            "--network=host",
            "-v",
            &volumes[0],
            "-v",
            &volumes[1],
            "-e",
            "COUCHDB_ARGS_FILE=/config/vm.args",
            "-e",
            "COUCHDB_INI_FILES=/opt/couchdb/etc/default.ini /config/local.d",
            "-e",
            "HOME=/tmp",
            &couch.image,
            "timeout",
            "-s",
            "KILL",
            LONGEST,
            "/opt/couchdb/bin/couchdb",
        ];
        couch.engine.run(&run)?.success()?;
        wait_for("the container to answer", || {
            Ok(couch.http.ask("GET", "/_up", None)?.is_success().then_some(()))
        })
        .map_err(|e| format!("{e}:\n{:?}", couch.engine.run(&["logs", "--tail", "30", &couch.name])))?;
        Ok(couch)
    }

    /// The node as the command line names it.
    pub fn node(&self) -> String {
        format!("{},{DATA}", self.address)
    }

    /// The name of the node.
    pub fn node_name(&self) -> String {
        self.block.node_name(1)
    }

    /// Runs `couchcopy` with these arguments: it goes through the plugins for docker, with the setting `image` or without.
    pub fn couchcopy(&self, helper: bool, arguments: &[&str]) -> Result<Ended> {
        let mut via = format!("docker:container={},program={}", self.name, self.engine.program);
        if helper {
            let _ = write!(via, ",image={}", self.image);
        }
        let service = format!("docker:container={},program={},timeout=60", self.name, self.engine.program);
        let mut command = Command::new(binary()?);
        command
            .args(arguments)
            .args(["--via", &via])
            .envs(self.engine.environment.iter().map(|(name, value)| (name, value)))
            .env("COUCHCOPY_PASSWORD", PASSWORD);
        if arguments.first() != Some(&"backup") {
            command.args(["--service", &service]);
        }
        Ok(run(&mut command)?.unwrapped())
    }

    /// Runs a program in the container.
    pub fn exec(&self, program: &[&str]) -> Result<String> {
        self.engine.run(&[&["exec", &self.name], program].concat())?.success()
    }

    /// Runs the engine's program.
    pub fn engine(&self, arguments: &[&str]) -> Result<Ended> {
        self.engine.run(arguments)
    }
}

impl Drop for CouchContainer {
    fn drop(&mut self) {
        let _ = self.engine.run(&["rm", "-f", &self.name]);
        let _ = self.engine.run(&["volume", "rm", "-f", &self.volume]);
    }
}

fn settings(block: &AddressBlock) -> String {
    let address = block.address(1);
    let uuid = encode(&block.node_name(1));
    format!(
        "[couchdb]\ndatabase_dir = {DATA}\nview_index_dir = {DATA}\nuuid = {uuid}\n\
         [chttpd]\nbind_address = {address}\nport = 5984\n\
         [chttpd_auth]\niterations = 10\nupgrade_hash_on_auth = false\n\
         [cluster]\nq = 2\nn = 1\n\
         [native_query_servers]\nenable_erlang_query_server = true\n\
         [admins]\n{USER} = {PASSWORD}\n"
    )
}

fn arguments(couchdb: &Installation, block: &AddressBlock) -> Result<String> {
    let ours = ["-name ", "-setcookie ", "-kernel inet_dist_use_interface "];
    let text = fs::read_to_string(couchdb.home.join("etc/vm.args"))?;
    let mut kept: String = text
        .lines()
        .filter(|line| !ours.iter().any(|o| line.starts_with(o)))
        .fold(String::new(), |all, line| all + line + "\n");
    let ip = block.address(1).to_string().replace('.', ",");
    let name = block.node_name(1);
    let _ = writeln!(
        kept,
        "-name {name}\n-kernel inet_dist_use_interface {{{ip}}}\n-setcookie couchcopy-lab\n\
         +sbwt none\n+sbwtdcpu none\n+sbwtdio none"
    );
    Ok(kept)
}

//! A cluster with what leads couchcopy to it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Control, Frozen};
use crate::Result;
use crate::compare::compare;
use crate::fixtures;
use crate::lab::{
    AddressBlock, Ended, Http, Installation, Node, PASSWORD, Place, Size, back_up, binary, join,
    read_over_http, run, wait_for, wait_until_settled,
};
use crate::managers::{Machine, Sshd};

/// How couchcopy gets to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It does not have to: they are on its own machine. The plugin `command` starts and stops them.
    Here,
    /// By ssh. A service plugin of the site's own starts and stops them.
    Ssh,
}

/// What cluster to make.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Its size.
    pub size: Size,
    /// How couchcopy gets there.
    pub reach: Reach,
}

/// A running cluster.
#[derive(Debug)]
pub struct Site {
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// What starts and stops each.
    pub controls: Vec<Control>,
    reach: Reach,
    place: Inside,
    watch: Child,
    _block: AddressBlock,
}

#[derive(Debug)]
enum Inside {
    Machine(Machine),
    BesideSshd(Sshd),
}

/// Ends all nodes when nobody holds its input any more.
const WATCH: &str = r#"cat >/dev/null
for file in "$1"/node*/pid "$1"/node*/usurper/pid; do
  [ ! -e "$file" ] || kill -KILL "$(cat "$file")"
done 2>/dev/null"#;

impl Site {
    /// An empty cluster, running. Where what it takes is missing, says so.
    pub fn start(plan: Plan) -> Result<Option<Self>> {
        let Some(couchdb) = Installation::find() else { return Ok(None) };
        Self::start_with(&couchdb, plan)
    }

    /// The same with this CouchDB.
    pub fn start_with(couchdb: &Installation, plan: Plan) -> Result<Option<Self>> {
        let Some(site) = Self::prepare_with(couchdb, plan)? else { return Ok(None) };
        site.start_nodes()?;
        join(&site.nodes)?;
        for db in ["_users", "_replicator"] {
            site.http().put(&format!("/{db}"), &Value::Null)?;
        }
        Ok(Some(site))
    }

    /// The same, with nodes that have not been started.
    pub fn prepare(plan: Plan) -> Result<Option<Self>> {
        let Some(couchdb) = Installation::find() else { return Ok(None) };
        Self::prepare_with(&couchdb, plan)
    }

    fn prepare_with(couchdb: &Installation, plan: Plan) -> Result<Option<Self>> {
        couchdb.start_port_mapper()?;
        let place = match plan.reach {
            Reach::Here => Inside::Machine(Machine::new()?),
            Reach::Ssh => match Sshd::start()? {
                Some(sshd) => {
                    share_connections(&sshd)?;
                    Inside::BesideSshd(sshd)
                }
                None => return Ok(None),
            },
        };
        let dir = place.machine().path("cluster");
        let mut watch = place.machine().command("setsid");
        let watch = watch.args(["sh", "-c", WATCH, "sh"]).arg(&dir).stdin(Stdio::piped()).spawn()?;
        let block = AddressBlock::claim()?;
        let (mut nodes, mut controls) = (Vec::new(), Vec::new());
        for i in 1..=plan.size.nodes {
            let folder = dir.join(format!("node{i}"));
            let at = Place::new(block.node_name(i), block.address(i), folder.clone());
            let node = Node::configure(couchdb, at, plan.size)?;
            fs::create_dir_all(&node.data)?;
            controls.push(Control::write(&node, &folder)?);
            nodes.push(node);
        }
        let mut site = Self { nodes, controls, reach: plan.reach, place, watch, _block: block };
        site.write_cluster_file()?;
        Ok(Some(site))
    }

    /// Starts all nodes and waits until they answer.
    pub fn start_nodes(&self) -> Result<()> {
        for control in &self.controls {
            run(self.machine().command(control.script()).arg("start"))?.success()?;
        }
        self.wait_until_up()
    }

    /// Waits until all nodes answer.
    pub fn wait_until_up(&self) -> Result<()> {
        for node in &self.nodes {
            wait_for(&format!("{} to start", node.name), || {
                Ok(node.http.ask("GET", "/_up", None)?.is_success().then_some(()))
            })
            .map_err(|e| format!("{e}:\n{}", node.log()))?;
        }
        Ok(())
    }

    /// Runs `ctl ACTION` of a node.
    pub fn control(&self, node: usize, action: &str) -> Result<Ended> {
        run(self.machine().command(self.controls[node].script()).arg(action))
    }

    /// The first node's HTTP interface.
    pub fn http(&self) -> &Http {
        &self.nodes[0].http
    }

    fn machine(&self) -> &Machine {
        self.place.machine()
    }

    /// A program to be run where the nodes are.
    pub fn beside(&self, program: &str) -> Command {
        self.machine().command(program)
    }

    /// A path that couchcopy can write to, and that goes away with the cluster.
    pub fn path(&self, name: &str) -> PathBuf {
        self.machine().path(name)
    }

    /// The nodes as a reader of their folders wants them.
    pub fn folders(&self) -> Vec<fixtures::Node> {
        let node = |node: &Node| fixtures::Node { name: node.name.clone(), data: node.data.clone() };
        self.nodes.iter().map(node).collect()
    }

    /// The file that names the nodes.
    pub fn cluster_file(&self) -> PathBuf {
        self.path("cluster.toml")
    }

    fn write_cluster_file(&mut self) -> Result<()> {
        let mut text = String::new();
        for (node, control) in self.nodes.iter().zip(&self.controls) {
            let (host, via, service) = match &self.place {
                Inside::Machine(_) => ("localhost", Vec::new(), control.as_commands()),
                Inside::BesideSshd(sshd) => {
                    let plugin = control.write_plugin()?.display().to_string();
                    (sshd.host.as_str(), vec![sshd.reference.clone()], plugin)
                }
            };
            let _ = write!(
                text,
                "[[node]]\nname = {:?}\nhost = {host:?}\ndata = {:?}\nurl = {:?}\nvia = {via:?}\nservice = {service:?}\n\n",
                node.name,
                node.data.display().to_string(),
                node.url(),
            );
        }
        Ok(fs::write(self.cluster_file(), text)?)
    }

    /// `couchcopy` with these arguments for this cluster, ready to be run.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.machine().command(binary()?);
        if self.reach == Reach::Ssh {
            // Signals reach it then; ssh leads into the place.
            let mut outside = Command::new(binary()?);
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => outside.env(name, value),
                    None => outside.env_remove(name),
                };
            }
            command = outside;
        }
        let [first, rest @ ..] = arguments else { return Err("no arguments".into()) };
        command.arg(first).arg("--cluster").arg(self.cluster_file());
        if self.reach == Reach::Ssh {
            command.args(["--grant", "lab-control"]);
        }
        command.args(rest).env("COUCHCOPY_PASSWORD", PASSWORD).env_remove("COUCHCOPY_TEST_KILL_AFTER_STEP");
        Ok(command)
    }

    /// Runs `couchcopy` with these arguments for this cluster.
    pub fn couchcopy(&self, arguments: &[&str]) -> Result<Ended> {
        Ok(run(&mut self.command(arguments)?)?.unwrapped())
    }

    /// Replaces the data by an archive's; more arguments may follow.
    pub fn restore(&self, archive: &Path, more: &[&str]) -> Result<Ended> {
        let archive = archive.to_str().ok_or("a path that is no text")?;
        self.couchcopy(&[&["restore", "-y", "-v", archive], more].concat())
    }

    /// Saves the cluster's folders, running or not.
    pub fn back_up(&self, archive: &Path) -> Result<()> {
        back_up(&self.folders(), archive)
    }

    /// Has the next start of each node keep what it is started on.
    pub fn freeze(&self) -> Result<()> {
        self.controls.iter().try_for_each(Control::freeze)
    }

    /// What the nodes were started on after [`Site::freeze`].
    pub fn frozen(&self) -> Result<Vec<Frozen>> {
        self.nodes
            .iter()
            .map(|node| Frozen::read(node.data.parent().ok_or("a data folder without a folder")?, &node.data))
            .collect()
    }

    /// Waits until nothing goes on any more; see [`wait_until_settled`].
    pub fn wait_until_settled(&self, query: impl Fn(&Http) -> Result<()>) -> Result<()> {
        wait_until_settled(&self.nodes, query)
    }

    /// Fails unless every node tells just that content, as soon as the nodes see each other.
    pub fn check_content(&self, expected: &Value) -> Result<()> {
        join(&self.nodes)?;
        for node in &self.nodes {
            wait_for(&format!("the content of {}", node.name), || {
                let wrong = compare(expected, &read_over_http(&node.http)?);
                if wrong.is_empty() { Ok(Some(())) } else { Err(wrong.join("\n").into()) }
            })?;
        }
        Ok(())
    }

    /// Situations of all nodes, as `couchcopy status` tells them.
    pub fn situations(&self) -> Result<Vec<String>> {
        let told = self.couchcopy(&["status", "--json"])?.success()?;
        let told: Value = serde_json::from_str(&told)?;
        let nodes = told.as_array().ok_or_else(|| format!("no list of nodes: {told}"))?;
        Ok(nodes.iter().map(|node| node["situation"].as_str().unwrap_or("nothing").to_owned()).collect())
    }

    /// Fails where a restore has left anything in a data folder.
    pub fn check_nothing_left(&self) -> Result<()> {
        for node in &self.nodes {
            for entry in fs::read_dir(&node.data)? {
                let name = entry?.file_name();
                if name.to_string_lossy().starts_with(".couchcopy") {
                    return Err(format!("{} is left on {}", name.display(), node.name).into());
                }
            }
        }
        Ok(())
    }
}

/// Commands go through one connection, as many people have it: what remains in the background then must not keep anybody
/// waiting.
fn share_connections(sshd: &Sshd) -> Result<()> {
    let folder = sshd.machine.path("");
    let mut file = File::options().append(true).open(sshd.machine.path("ssh-config"))?;
    writeln!(
        file,
        "KexAlgorithms curve25519-sha256\nControlMaster auto\nControlPath {}connection-%C\nControlPersist 60",
        folder.display()
    )?;
    Ok(())
}

impl Inside {
    fn machine(&self) -> &Machine {
        match self {
            Self::Machine(machine) => machine,
            Self::BesideSshd(sshd) => &sshd.machine,
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut input) = self.watch.stdin.take() {
            let _ = input.flush();
        }
        let _ = self.watch.wait();
    }
}

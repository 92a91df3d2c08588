//! CouchDB as a stateful set of Kubernetes, by kubectl.
//!
//! Settings:
//! - `replicas`: how many pods the set has when CouchDB runs. Has to be given: while the set is scaled down nothing else
//!   knows it;
//! - `statefulset`: the set's name, `couchdb` where none is given (the Helm chart calls it `RELEASE-couchdb`);
//! - `namespace` and `context`: where kubectl shall not take those of its configuration;
//! - `program`: `kubectl` (the default) or its path;
//! - `timeout`: how many seconds to wait until all pods run or are gone, 120 where none is given. A pod that needs longer
//!   than its own `terminationGracePeriodSeconds` to end is killed, after 30 seconds unless configured.
//!
//! What it runs, with `--context=…` and `--namespace=…` behind `kubectl` where they are given:
//! ```text
//! kubectl get statefulset couchdb --no-headers --output=custom-columns=…
//! kubectl get pods --no-headers --output=custom-columns=…
//! kubectl scale statefulset/couchdb --replicas=0
//! kubectl scale statefulset/couchdb --replicas=3
//! ```
//! These take the right to `get` the stateful set, to `list` pods, and to `patch` the set's scale (`statefulsets/scale`).
//! kubectl runs where the node's commands run, as a rule on this machine.
//!
//! **It stops and starts the whole set**, all nodes of the cluster that are pods of it, whichever of them is asked for. A
//! stateful set puts a pod that was deleted in its place again at once, so a single pod cannot be kept down; scaling is what
//! Kubernetes has for that, and leaves the volumes alone (unless the set says
//! `persistentVolumeClaimRetentionPolicy.whenScaled: Delete`: then it must not be used). A restore, which stops every node
//! anyway, wants just this. An operator or a tool that keeps the set as it is written down somewhere else would scale it up
//! again: pause it before.

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// How many pods the set shall have, and what becomes of its volumes when it is scaled down.
const SET: &str =
    "--output=custom-columns=R:.spec.replicas,P:.spec.persistentVolumeClaimRetentionPolicy.whenScaled";
/// Every pod's owner and how it is.
const PODS: &str = "--output=custom-columns=K:.metadata.ownerReferences[*].kind,O:.metadata.ownerReferences[*].name,\
                    D:.metadata.deletionTimestamp,P:.status.phase,S:.status.containerStatuses[*].state.running.startedAt";
/// What kubectl prints for what is not there.
const NONE: &str = "<none>";

/// CouchDB as a stateful set.
pub struct Kubernetes;

export_service!(Kubernetes);

impl Service for Kubernetes {
    fn describe() -> Description {
        let with_options =
            |rest: &str| format!("{{program}} [--context={{context}}] [--namespace={{namespace}}] {rest}");
        Description::new("kubernetes", env!("CARGO_PKG_VERSION"), "CouchDB as a stateful set of Kubernetes")
            .setting(Setting::required("replicas", "How many pods the set has when CouchDB runs"))
            .setting(Setting::with_default("statefulset", "couchdb", "The set's name"))
            .setting(Setting::optional("namespace", "The set's namespace"))
            .setting(Setting::optional("context", "The context of kubectl's configuration"))
            .setting(Setting::with_default("program", "kubectl", "`kubectl` or its path"))
            .setting(Setting::with_default("timeout", "120", "How many seconds to wait for the pods at most"))
            .command(
                &with_options(&format!("get statefulset {{statefulset}} --no-headers {SET}")),
                "see how many pods the set shall have",
            )
            .command(&with_options(&format!("get pods --no-headers {PODS}")), "see which pods there are")
            .command(
                &with_options("scale statefulset/{statefulset} --replicas={replicas}"),
                "start CouchDB, on all pods of the set",
            )
            .command(
                &with_options("scale statefulset/{statefulset} --replicas=0"),
                "stop CouchDB, on all pods of the set",
            )
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        let replicas = replicas(node)?;
        let before = Set::ask(node, host)?;
        if before.state() == State::Running && before.wanted == replicas {
            return Ok(());
        }
        host.succeed(&scale(node, node.required("replicas")?)?)?;
        wait_for(host, timeout, || {
            let set = Set::ask(node, host)?;
            let is_up = set.wanted == replicas && set.state() == State::Running;
            Ok(if is_up { Progress::Done } else { Progress::Waiting(set.told()) })
        })
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        let replicas = replicas(node)?;
        let before = Set::ask(node, host)?;
        if before.state() == State::Stopped {
            return Ok(());
        }
        if before.wanted != 0 && before.wanted != replicas {
            // Else nobody would know afterwards how it was.
            let has = before.wanted;
            return Err(Error::setting(
                "replicas",
                format!("the set has {has} now; it could not be started as it was"),
            ));
        }
        if before.loses_volumes {
            return Err(Error::Unsupported(
                "the set's persistentVolumeClaimRetentionPolicy is to delete the volumes, and so all data, when it is scaled \
                 down; set whenScaled to Retain"
                    .into(),
            ));
        }
        host.succeed(&scale(node, "0")?)?;
        wait_for(host, timeout, || {
            let set = Set::ask(node, host)?;
            Ok(if set.state() == State::Stopped { Progress::Done } else { Progress::Waiting(set.told()) })
        })
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        let set = match Set::ask(node, host) {
            Err(Error::CommandFailed(failed)) if failed.output.stderr.contains("(NotFound)") => {
                host.log(&Error::CommandFailed(failed).to_string());
                return Ok(State::Unknown);
            }
            other => other?,
        };
        let state = set.state();
        if state == State::Unknown {
            host.log(&set.told());
        }
        Ok(state)
    }
}

fn replicas(node: &Node) -> Result<u32, Error> {
    match node.number("replicas")? {
        0 => Err(Error::setting("replicas", "with 0 pods CouchDB would not run")),
        number => Ok(number),
    }
}

fn kubectl(node: &Node) -> Result<Command, Error> {
    let option = |name: &str| node.setting(name).map(|value| format!("--{name}={value}"));
    Ok(Command::new(node.name_of("program")?).maybe(option("context")).maybe(option("namespace")))
}

fn scale(node: &Node, replicas: &str) -> Result<Command, Error> {
    let set = node.name_of("statefulset")?;
    Ok(kubectl(node)?.arg("scale").arg(format!("statefulset/{set}")).arg(format!("--replicas={replicas}")))
}

/// What Kubernetes tells of the set.
struct Set {
    /// How many pods it shall have.
    wanted: u32,
    /// How many there are, in whichever state.
    pods: u32,
    /// How many of them run and are not being ended.
    running: u32,
    /// Whether scaling it down deletes volumes.
    loses_volumes: bool,
}

impl Set {
    fn ask(node: &Node, host: &dyn Host) -> Result<Self, Error> {
        let name = node.name_of("statefulset")?;
        let told = host.succeed(&kubectl(node)?.args(["get", "statefulset", name, "--no-headers", SET]))?;
        let mut columns = told.stdout.split_whitespace();
        let wanted = columns.next().and_then(|number| number.parse().ok()).ok_or_else(|| {
            Error::other(format!("kubectl does not tell how many pods the stateful set `{name}` shall have"))
        })?;
        let loses_volumes = columns.next() == Some("Delete");
        let told = host.succeed(&kubectl(node)?.args(["get", "pods", "--no-headers", PODS]))?;
        if told.truncated {
            return Err(Error::Unsupported("the namespace has too many pods to list them".into()));
        }
        let mut set = Self { wanted, pods: 0, running: 0, loses_volumes };
        for line in told.stdout.lines() {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [kind, owner, deleted, phase, started] = columns[..] else { continue };
            if kind == "StatefulSet" && owner == name {
                set.pods += 1;
                set.running += u32::from(deleted == NONE && phase == "Running" && started != NONE);
            }
        }
        Ok(set)
    }

    fn state(&self) -> State {
        if self.wanted == 0 && self.pods == 0 {
            State::Stopped
        } else if self.wanted > 0 && self.pods == self.wanted && self.running == self.wanted {
            State::Running
        } else {
            State::Unknown
        }
    }

    fn told(&self) -> String {
        format!(
            "the set shall have {} pods and has {}, of which {} run",
            self.wanted, self.pods, self.running
        )
    }
}

#[cfg(test)]
mod tests;

//! CouchDB as a container of docker, podman, or whatever else understands docker's commands.
//!
//! Settings:
//! - `container`: the container's name, `couchdb` where none is given. Its ID will not do;
//! - `program`: `docker` (the default), `podman`, or the program's path;
//! - `timeout`: how many seconds to wait until the container runs or has stopped, 120 where none is given. CouchDB is killed
//!   if it takes longer to stop: that is what `docker stop` does, after 10 seconds if it is not told.
//!
//! What it runs:
//! ```text
//! docker container ls --all --quiet --filter name=^/?couchdb$
//! docker container ls --all --quiet --filter name=^/?couchdb$ --filter status=running
//! docker container ls --all --quiet --filter name=^/?couchdb$ --filter status=exited --filter status=created
//! docker stop -t 120 couchdb
//! docker start couchdb
//! ```
//! That takes the right to use docker: be in its group, or add `--via sudo`.
//!
//! A container that `docker stop` has stopped is not started again by its restart policy, so the policy stays as it is. Only
//! with the policy `always` docker starts it when docker itself is started again. What else watches over the container would
//! have to be stopped instead: a systemd unit that runs it (then use the `systemd` plugin), Compose's or Swarm's services, or
//! Kubernetes.
//!
//! A container that is paused, or restarting because its policy says so, has the status unknown.

use couchcopy_plugin::{
    Command, Description, Error, Host, Node, Progress, Service, Setting, State, export_service, wait_for,
};

/// CouchDB as a container.
pub struct Docker;

export_service!(Docker);

impl Service for Docker {
    fn describe() -> Description {
        // Not `inspect --format`: its templates are written in braces, which a pattern cannot hold. Not a bare `inspect`
        // either: it would tell the passwords in the container's environment.
        Description::new("docker", env!("CARGO_PKG_VERSION"), "CouchDB as a container of docker or podman")
            .setting(Setting::with_default("container", "couchdb", "The container's name"))
            .setting(Setting::with_default("program", "docker", "`docker` or `podman`, or its path"))
            .setting(Setting::with_default("timeout", "120", "How many seconds to wait for the container at most"))
            .command(
                "{program} container ls --all --quiet --filter name=^/?{container}$",
                "see whether there is such a container",
            )
            .command(
                "{program} container ls --all --quiet --filter name=^/?{container}$ --filter status=running",
                "see whether CouchDB runs",
            )
            .command(
                "{program} container ls --all --quiet --filter name=^/?{container}$ --filter status=exited --filter \
                 status=created",
                "see whether CouchDB has stopped",
            )
            .command("{program} start {container}", "start CouchDB")
            .command("{program} stop -t {timeout} {container}", "stop CouchDB")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        let container = container(node)?;
        if Seen::known(node, host)? == Seen::Running {
            return Ok(());
        }
        host.succeed(&docker(node)?.arg("start").arg(container))?;
        wait_for(host, timeout, || {
            Ok(match Seen::known(node, host)? {
                Seen::Running => Progress::Done,
                Seen::Stopped => {
                    let program = node.required("program")?;
                    return Err(Error::other(format!(
                        "the container `{container}` was started and has ended; `{program} logs {container}` tells why"
                    )));
                }
                other => Progress::Waiting(other.told(node)?),
            })
        })
    }

    fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let timeout = node.seconds("timeout")?;
        if Seen::known(node, host)? == Seen::Stopped {
            return Ok(());
        }
        let stop = docker(node)?.args(["stop", "-t"]).arg(node.required("timeout")?).arg(container(node)?);
        host.succeed(&stop)?;
        wait_for(host, timeout, || {
            Ok(match Seen::known(node, host)? {
                Seen::Stopped => Progress::Done,
                other => Progress::Waiting(other.told(node)?),
            })
        })
    }

    fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
        let seen = Seen::ask(node, host)?;
        Ok(match seen {
            Seen::Running => State::Running,
            Seen::Stopped => State::Stopped,
            Seen::Between | Seen::Missing => {
                host.log(&seen.told(node)?);
                State::Unknown
            }
        })
    }
}

fn docker(node: &Node) -> Result<Command, Error> {
    Ok(Command::new(node.name_of("program")?))
}

/// The container's name: nothing that would mean something in the filter, but for the dot.
fn container(node: &Node) -> Result<&str, Error> {
    let name = node.required("container")?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if !is_name {
        return Err(Error::setting(
            "container",
            "a container's name has letters, digits, `_`, `.` and `-` in it",
        ));
    }
    Ok(name)
}

/// How the container is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Running,
    Stopped,
    /// Paused, restarting, being removed.
    Between,
    /// There is no such container.
    Missing,
}

impl Seen {
    fn ask(node: &Node, host: &dyn Host) -> Result<Self, Error> {
        Ok(if is_any(node, host, &["exited", "created"])? {
            Self::Stopped
        } else if is_any(node, host, &["running"])? {
            Self::Running
        } else if is_any(node, host, &[])? {
            Self::Between
        } else {
            Self::Missing
        })
    }

    /// Fails where there is no such container.
    fn known(node: &Node, host: &dyn Host) -> Result<Self, Error> {
        match Self::ask(node, host)? {
            Self::Missing => Err(Error::other(Self::Missing.told(node)?)),
            seen => Ok(seen),
        }
    }

    fn told(self, node: &Node) -> Result<String, Error> {
        let name = container(node)?;
        let program = node.required("program")?;
        Ok(match self {
            Self::Running => format!("the container `{name}` runs"),
            Self::Stopped => format!("the container `{name}` does not run"),
            Self::Between => format!(
                "the container `{name}` neither runs nor has it stopped; is it paused, or restarting?"
            ),
            Self::Missing => format!(
                "{program} has no container of the name `{name}`; `{program} container ls --all` lists what it has, and the \
                 setting `container` chooses one by its name"
            ),
        })
    }
}

/// Whether the container is in one of these states, in any where none is given.
fn is_any(node: &Node, host: &dyn Host, states: &[&str]) -> Result<bool, Error> {
    let name = container(node)?;
    let mut command = docker(node)?
        .args(["container", "ls", "--all", "--quiet", "--filter"])
        .arg(format!("name=^/?{name}$"));
    for state in states {
        command = command.arg("--filter").arg(format!("status={state}"));
    }
    let output = host.succeed(&command)?;
    match output.stdout.lines().filter(|line| !line.trim().is_empty()).count() {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::setting(
            "container",
            "several containers match it: a `.` in it stands for any character",
        )),
    }
}

#[cfg(test)]
mod tests;

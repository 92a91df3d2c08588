//! The way into a pod of Kubernetes.
//!
//! A pod is there only while CouchDB runs in it. Who stops CouchDB by taking its pod away, and wants its files then, needs
//! another pod that mounts the same volume.

use couchcopy_plugin::{Access, Command, Description, Error, Node, Setting, State};

/// A pod.
#[derive(Debug)]
pub struct Kubernetes;

impl Access for Kubernetes {
    fn describe() -> Description {
        let description = Description::new(
            "kubernetes",
            env!("CARGO_PKG_VERSION"),
            "Runs commands in the pod that CouchDB is in",
        )
        .setting(Setting::required("pod", "The pod's name"))
        .setting(Setting::optional(
            "container",
            "The container in the pod; its default one where it is not given",
        ))
        .setting(Setting::optional("namespace", "The namespace; the context's where it is not given"))
        .setting(Setting::optional(
            "context",
            "The context of kubectl's configuration; the current one likewise",
        ))
        .setting(Setting::optional(
            "stopped-pod",
            "A pod that mounts the same volume, to run commands in while CouchDB is stopped",
        ));
        description
            .command(
                "kubectl [--context={context}] [--namespace={namespace}] exec -i [--container={container}] {pod} -- \
                 {command...}",
                "run a command in CouchDB's pod",
            )
            .command(
                "kubectl [--context={context}] [--namespace={namespace}] exec -i {stopped-pod} -- {command...}",
                "run a command in the other pod, while CouchDB is stopped",
            )
    }

    fn wrap(node: &Node, command: Command, service: State) -> Result<Command, Error> {
        let option = |name: &str| match node.setting(name) {
            Some("") => Err(Error::setting(name, "it is empty; leave it out for the default")),
            value => Ok(value.map(|value| format!("--{name}={value}"))),
        };
        let kubectl = Command::new("kubectl")
            .maybe(option("context")?)
            .maybe(option("namespace")?)
            .args(["exec", "-i"]);
        let entered = if service == State::Stopped {
            if node.setting("stopped-pod").is_none() {
                return Err(Error::Unsupported(
                    "the pod of CouchDB is gone while it is stopped: give the setting `stopped-pod`, the name of a pod that \
                     mounts the same volume"
                        .into(),
                ));
            }
            kubectl.arg(pod(node, "stopped-pod")?)
        } else {
            kubectl.maybe(option("container")?).arg(pod(node, "pod")?)
        };
        Ok(entered.arg("--").arg(command.program).args(command.arguments))
    }
}

/// A pod's name. `pod/x` and `statefulset/x` are names for kubectl, too, and mean whichever pod it finds: not for us.
fn pod<'n>(node: &'n Node, setting: &str) -> Result<&'n str, Error> {
    let name = node.required(setting)?;
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if name.starts_with('-') || !name.bytes().all(fits) {
        return Err(Error::setting(
            setting,
            "that is no pod's name: lower-case letters, digits, `.` and `-`, beginning with a letter or a digit",
        ));
    }
    Ok(name)
}

couchcopy_plugin::export_access!(Kubernetes);

#[cfg(test)]
mod tests {
    use couchcopy_plugin::testing::AccessTest;

    use super::*;

    fn test() -> AccessTest<Kubernetes> {
        AccessTest::new().set("pod", "couchdb-0")
    }

    #[test]
    fn a_pod_is_entered() {
        assert_eq!(
            test().wrap("cat -n '/a b'").unwrap().to_string(),
            "kubectl exec -i couchdb-0 -- cat -n '/a b'"
        );
        let test = test().set("namespace", "db").set("context", "prod").set("container", "couchdb");
        assert_eq!(
            test.while_it_is(State::Unknown).wrap("id").unwrap().to_string(),
            "kubectl --context=prod --namespace=db exec -i --container=couchdb couchdb-0 -- id"
        );
    }

    #[test]
    fn another_pod_stands_in_for_one_that_is_gone() {
        let test = test().set("container", "couchdb").set("namespace", "db").while_it_is(State::Stopped);
        let refused = test.wrap("id").unwrap_err();
        assert!(matches!(&refused, Error::Unsupported(text) if text.contains("`stopped-pod`")), "{refused}");
        let wrapped = test.set("stopped-pod", "helper").wrap("tar -x").unwrap();
        assert_eq!(wrapped.to_string(), "kubectl --namespace=db exec -i helper -- tar -x");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (name, value) in [
            ("pod", ""),
            ("pod", "-it"),
            ("pod", "statefulset/couchdb"),
            ("pod", "a b"),
            ("namespace", ""),
            ("context", ""),
            ("container", ""),
        ] {
            match test().set(name, value).wrap("id") {
                Err(Error::InvalidSetting(wrong)) => assert_eq!(wrong.name, name),
                other => panic!("{name}={value}: {other:?}"),
            }
        }
        let stopped = test().while_it_is(State::Stopped).set("stopped-pod", "--x").wrap("id");
        assert!(matches!(stopped, Err(Error::InvalidSetting(_))), "{stopped:?}");
    }
}

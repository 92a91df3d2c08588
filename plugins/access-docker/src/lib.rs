//! The way into a container of docker or podman.
//!
//! While CouchDB runs, commands run in its container. Once it is stopped nobody can enter that: then a helper container runs
//! them, with the volumes of CouchDB's, without network, and gone when its command has ended. It comes from an image that is
//! there already. Data that is on no volume is out of reach for it.

use couchcopy_plugin::{Access, Command, Description, Error, Node, Setting, State};

/// A container.
#[derive(Debug)]
pub struct Docker;

impl Access for Docker {
    fn describe() -> Description {
        let description =
            Description::new("docker", env!("CARGO_PKG_VERSION"), "Runs commands in the container that CouchDB is in")
                .setting(Setting::with_default("container", "couchdb", "The container's name or id"))
                .setting(Setting::with_default("program", "docker", "`docker` or `podman`"))
                .setting(Setting::optional("user", "Whom to run commands as; the image's user where it is not given"))
                .setting(Setting::optional(
                    "image",
                    "An image for a container with the same volumes, to run commands in while CouchDB is stopped; best \
                     CouchDB's own",
                ));
        ["docker", "podman"].into_iter().fold(description, |description, program| {
            description
                .command(
                    &format!("{program} exec -i [--user={{user}}] -- {{container}} {{command...}}"),
                    "run a command in CouchDB's container",
                )
                // `--entrypoint` takes the program apart from its arguments, which `{command...}` does not: so `env` stands
                // between them.
                .command(
                    &format!(
                        "{program} run --rm -i --pull=never --network=none --volumes-from={{container}} [--user={{user}}] \
                         --entrypoint=env -- {{image}} -- {{command...}}"
                    ),
                    "run a command in a container with the same volumes, while CouchDB is stopped",
                )
        })
    }

    fn wrap(node: &Node, command: Command, service: State) -> Result<Command, Error> {
        let Some(program @ ("docker" | "podman")) = node.setting("program") else {
            return Err(Error::setting("program", "it has to be `docker` or `podman`"));
        };
        let container = node.required("container")?;
        if !is_container(container) {
            return Err(Error::setting(
                "container",
                "that is no container's name: letters, digits, `_`, `.` and `-`, beginning with a letter or a digit",
            ));
        }
        let user = match node.setting("user") {
            Some("") => return Err(Error::setting("user", "it is empty; leave it out for the image's user")),
            user => user.map(|user| format!("--user={user}")),
        };
        let docker = Command::new(program);
        let entered = if service == State::Stopped {
            let Some(image) = node.setting("image") else {
                return Err(Error::Unsupported(format!(
                    "the container {container} is stopped, and nothing can be run in it: give the setting `image` (best \
                     the image of {container}), for a container with the same volumes"
                )));
            };
            if image.is_empty() || image.starts_with('-') {
                return Err(Error::setting("image", "that is no image's name"));
            }
            docker
                .args(["run", "--rm", "-i", "--pull=never", "--network=none"])
                .arg(format!("--volumes-from={container}"))
                .maybe(user)
                .args(["--entrypoint=env", "--", image, "--"])
        } else {
            docker.args(["exec", "-i"]).maybe(user).args(["--", container])
        };
        Ok(entered.arg(command.program).args(command.arguments))
    }
}

/// What docker and podman take for a name. A `:` would begin an option of `--volumes-from`.
fn is_container(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

couchcopy_plugin::export_access!(Docker);

#[cfg(test)]
mod tests {
    use couchcopy_plugin::testing::AccessTest;

    use super::*;

    #[test]
    fn a_container_that_runs_is_entered() {
        let test = AccessTest::<Docker>::new();
        assert_eq!(
            test.wrap("cat -n '/a b'").unwrap().to_string(),
            "docker exec -i -- couchdb cat -n '/a b'"
        );
        let test = test.set("program", "podman").set("container", "db-1").set("user", "couchdb");
        for state in [State::Running, State::Unknown] {
            let wrapped = AccessTest::<Docker>::new().while_it_is(state).wrap("id").unwrap();
            assert_eq!(wrapped.to_string(), "docker exec -i -- couchdb id");
        }
        assert_eq!(test.wrap("id").unwrap().to_string(), "podman exec -i --user=couchdb -- db-1 id");
    }

    #[test]
    fn a_helper_stands_in_for_one_that_is_stopped() {
        let test = AccessTest::<Docker>::new().while_it_is(State::Stopped);
        let refused = test.wrap("id").unwrap_err();
        assert!(matches!(&refused, Error::Unsupported(text) if text.contains("`image`")), "{refused}");
        let wrapped = test.set("image", "couchdb:3.5").wrap("tar -x -C /opt/couchdb/data").unwrap();
        assert_eq!(
            wrapped.to_string(),
            "docker run --rm -i --pull=never --network=none --volumes-from=couchdb --entrypoint=env -- couchdb:3.5 -- tar -x \
             -C /opt/couchdb/data"
        );
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let cases = [
            ("container", ""),
            ("container", "-it"),
            ("container", "a b"),
            ("container", "couchdb:ro"),
            ("container", "../x"),
            ("program", "nerdctl"),
            ("user", ""),
            ("image", ""),
            ("image", "--privileged"),
        ];
        for (name, value) in cases {
            match AccessTest::<Docker>::new()
                .while_it_is(State::Stopped)
                .set("image", "x")
                .set(name, value)
                .wrap("id")
            {
                Err(Error::InvalidSetting(wrong)) => assert_eq!(wrong.name, name),
                other => panic!("{name}={value}: {other:?}"),
            }
        }
    }
}

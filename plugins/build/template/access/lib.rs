//! A node in an LXD container: commands reach it by `lxc exec`. A beginning: put your own way in its place.

use couchcopy_plugin::{Access, Command, Description, Error, Node, Setting, State, export_access};

/// The plugin.
pub struct Plugin;

export_access!(Plugin);

impl Access for Plugin {
    /// couchcopy refuses every command that no pattern here allows, and asks users to grant these.
    fn describe() -> Description {
        Description::new("@NAME@", env!("CARGO_PKG_VERSION"), "Runs commands in an LXD container")
            .setting(Setting::required("container", "The container's name"))
            .command("lxc exec -T {container} -- {command...}", "run a command in the container")
    }

    fn wrap(node: &Node, command: Command, _service: State) -> Result<Command, Error> {
        Ok(Command::new("lxc")
            .args(["exec", "-T", node.name_of("container")?, "--"])
            .arg(command.program)
            .args(command.arguments))
    }
}

#[cfg(test)]
mod tests {
    use couchcopy_plugin::testing::AccessTest;

    use super::*;

    #[test]
    fn commands_stay_as_they_are() {
        let wrapped = AccessTest::<Plugin>::new().set("container", "couch").wrap("cat '/a b' -- '$x'").unwrap();
        assert_eq!(
            wrapped,
            Command::new("lxc").args(["exec", "-T", "couch", "--", "cat", "/a b", "--", "$x"])
        );
    }

    #[test]
    fn a_container_is_no_option() {
        let wrapped = AccessTest::<Plugin>::new().set("container", "--help").wrap("id");
        assert!(matches!(wrapped, Err(Error::InvalidSetting(_))));
    }
}

//! The way to another user of the same machine: sudo or doas.
//!
//! Neither is allowed to ask for a password, and both are told where the command begins: sudo would take words like `A=b` in
//! front of it for variables.

use couchcopy_plugin::{Access, Command, Description, Error, Node, Setting, State};

/// Another user, by default root.
#[derive(Debug)]
pub struct Sudo;

impl Access for Sudo {
    fn describe() -> Description {
        Description::new(
            "sudo",
            env!("CARGO_PKG_VERSION"),
            "Runs commands as another user, with sudo or doas",
        )
        .setting(Setting::with_default("program", "sudo", "`sudo` or `doas`"))
        .setting(Setting::optional("user", "Whom to run commands as; root where it is not given"))
        .command("sudo -n [-u{user}] -- {command...}", "run a command as another user")
        .command("doas -n [-u{user}] -- {command...}", "the same with doas")
    }

    fn wrap(node: &Node, command: Command, _: State) -> Result<Command, Error> {
        let Some(program @ ("sudo" | "doas")) = node.setting("program") else {
            return Err(Error::setting("program", "it has to be `sudo` or `doas`"));
        };
        let user = match node.setting("user") {
            Some("") => return Err(Error::setting("user", "it is empty; leave it out for root")),
            user => user.map(|user| format!("-u{user}")),
        };
        Ok(Command::new(program).arg("-n").maybe(user).arg("--").arg(command.program).args(command.arguments))
    }
}

couchcopy_plugin::export_access!(Sudo);

#[cfg(test)]
mod tests {
    use couchcopy_plugin::testing::AccessTest;

    use super::*;

    #[test]
    fn commands_stay_as_they_are() {
        let wrapped = AccessTest::<Sudo>::new().wrap("cat '/a b' -- '$x' A=b").unwrap();
        assert_eq!(wrapped, Command::new("sudo").args(["-n", "--", "cat", "/a b", "--", "$x", "A=b"]));
    }

    #[test]
    fn doas_and_other_users() {
        let test = AccessTest::<Sudo>::new().set("program", "doas").set("user", "couchdb");
        assert_eq!(test.wrap("id").unwrap(), Command::new("doas").args(["-n", "-ucouchdb", "--", "id"]));
        // It is a part of the option's own word, so nothing of it can be taken for another one.
        let test = AccessTest::<Sudo>::new().set("user", "-s");
        assert_eq!(test.wrap("id").unwrap(), Command::new("sudo").args(["-n", "-u-s", "--", "id"]));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (name, value) in [("program", "su"), ("program", ""), ("program", "/tmp/sudo"), ("user", "")] {
            match AccessTest::<Sudo>::new().set(name, value).wrap("id") {
                Err(Error::InvalidSetting(wrong)) => assert_eq!(wrong.name, name),
                other => panic!("{name}={value}: {other:?}"),
            }
        }
    }
}

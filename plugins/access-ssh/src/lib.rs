//! The way to a node with the system's ssh and the user's configuration of it.
//!
//! ssh is not told how to do its work: addresses, keys, jump hosts and how the host's key is checked are what `~/.ssh/config`
//! says. The options that it gets stand first, where nothing overrides them, and see to it that it runs just one command:
//! it asks nobody for a password (`BatchMode`), makes no terminal (`-T`), and neither forwards anything nor runs another
//! command, whatever the configuration has for people who log in.

mod quoting;

use couchcopy_plugin::{Access, Command, Description, Error, Node, Setting, State};
use patterns::split;

use crate::quoting::quote;

/// A machine that ssh leads to.
#[derive(Debug)]
pub struct Ssh;

impl Access for Ssh {
    fn describe() -> Description {
        Description::new("ssh", env!("CARGO_PKG_VERSION"), "Reaches the node's machine with ssh")
            .setting(Setting::optional(
                "user",
                "Whom to log in as; what ssh's configuration says where it is not given",
            ))
            .setting(Setting::optional("port", "The port that sshd listens on, likewise"))
            .setting(Setting::optional("identity", "The file of the private key, likewise"))
            .setting(Setting::optional(
                "options",
                "More options of ssh, split like a shell splits them, e.g. `-J jump -o ConnectTimeout=5`",
            ))
            .command(
                "ssh -T -oBatchMode=yes -oClearAllForwardings=yes -oRemoteCommand=none [-l{user}] [-p{port}] \
                 [-i{identity}] {options...} -- {host} {command}",
                "run a command on the node's machine",
            )
    }

    fn wrap(node: &Node, command: Command, _: State) -> Result<Command, Error> {
        let host = match node.host.as_deref() {
            None | Some("") => {
                return Err(Error::other("the node has no host: give it as HOST,DATA_DIR, or leave out ssh"));
            }
            Some(host) if host.starts_with('-') => {
                return Err(Error::other(format!(
                    "{host:?} cannot be a host: it begins with `-`, so ssh would take it for an option"
                )));
            }
            Some(host) => host,
        };
        let mut ssh = Command::new("ssh").args([
            "-T",
            "-oBatchMode=yes",
            "-oClearAllForwardings=yes",
            "-oRemoteCommand=none",
        ]);
        for (name, option) in [("user", "-l"), ("port", "-p"), ("identity", "-i")] {
            if let Some(value) = node.setting(name) {
                check(name, value)?;
                ssh = ssh.arg(format!("{option}{value}"));
            }
        }
        if let Some(options) = node.setting("options") {
            let words = split(options).ok_or_else(|| {
                Error::setting("options", "a quote is left open, or a `\\` stands at its end")
            })?;
            ssh = ssh.args(words);
        }
        Ok(ssh.args(["--", host]).arg(quote(&command)?))
    }
}

fn check(name: &str, value: &str) -> Result<(), Error> {
    if value.is_empty() {
        return Err(Error::setting(name, "it is empty; leave it out to go by ssh's configuration"));
    }
    if name == "port" && !value.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(Error::setting(name, "it has to be a number from 1 to 65535"));
    }
    Ok(())
}

couchcopy_plugin::export_access!(Ssh);

#[cfg(test)]
mod tests {
    use couchcopy_plugin::testing::AccessTest;

    use super::*;

    const FIRST: &str = "ssh -T -oBatchMode=yes -oClearAllForwardings=yes -oRemoteCommand=none";

    fn line(command: &Command) -> String {
        let words: Vec<&str> =
            std::iter::once(&command.program).chain(&command.arguments).map(String::as_str).collect();
        words.join(" ")
    }

    #[test]
    fn the_shell_over_there_gets_one_quoted_line() {
        let wrapped = AccessTest::<Ssh>::new().on("db1").wrap("cat '/a b' '$(id)' ''").unwrap();
        assert_eq!(line(&wrapped), format!("{FIRST} -- db1 cat '/a b' '$(id)' ''"));
        assert_eq!(wrapped.arguments.len(), 7, "{wrapped:?}");
    }

    #[test]
    fn settings_become_options_before_the_host() {
        let test = AccessTest::<Ssh>::new()
            .on("10.0.0.1")
            .set("user", "couch")
            .set("port", "2222")
            .set("identity", "/keys/a b")
            .set("options", "-J jump -o 'ProxyCommand=nc -X 5 %h %p'");
        let wrapped = test.wrap("true").unwrap();
        let more = "-lcouch -p2222 -i/keys/a b -J jump -o ProxyCommand=nc -X 5 %h %p";
        assert_eq!(line(&wrapped), format!("{FIRST} {more} -- 10.0.0.1 true"));
    }

    #[test]
    fn a_user_that_looks_like_an_option_stays_a_user() {
        let wrapped =
            AccessTest::<Ssh>::new().on("db1").set("user", "-oProxyCommand=x").wrap("true").unwrap();
        assert_eq!(wrapped.arguments[4], "-l-oProxyCommand=x");
    }

    #[test]
    fn hosts_that_are_none_are_refused() {
        for host in ["-oProxyCommand=touch /tmp/x", "-", "--", ""] {
            let refused = AccessTest::<Ssh>::new().on(host).wrap("true");
            assert!(matches!(refused, Err(Error::Other(_))), "{host}: {refused:?}");
        }
        let refused = AccessTest::<Ssh>::new().wrap("true").unwrap_err().to_string();
        assert!(refused.contains("no host"), "{refused}");
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (name, value) in [
            ("port", "0"),
            ("port", "ssh"),
            ("port", "65536"),
            ("user", ""),
            ("identity", ""),
            ("options", "'a"),
        ] {
            match AccessTest::<Ssh>::new().on("db1").set(name, value).wrap("true") {
                Err(Error::InvalidSetting(wrong)) => assert_eq!(wrong.name, name),
                other => panic!("{name}={value}: {other:?}"),
            }
        }
    }

    #[test]
    fn whether_couchdb_runs_does_not_matter() {
        for state in [State::Running, State::Stopped, State::Unknown] {
            assert!(AccessTest::<Ssh>::new().on("db1").while_it_is(state).wrap("true").is_ok());
        }
    }

    #[test]
    fn nobody_can_hand_over_a_nul() {
        let refused = AccessTest::<Ssh>::new().on("db1").wrap_command(&Command::new("cat").arg("a\0b"));
        assert!(matches!(refused, Err(Error::Other(_))), "{refused:?}");
    }
}

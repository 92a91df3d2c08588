//! The way to a node with the system's ssh and the user's configuration of it.
//!
//! ssh is not told how to do its work: addresses, keys, jump hosts and how the host's key is checked are what `~/.ssh/config`
//! says. The options that it gets stand first, where nothing overrides them, and see to it that it runs just one command:
//! it asks nobody for a password (`BatchMode`), makes no terminal (`-T`), and neither forwards anything nor runs another
//! command, whatever the configuration has for people who log in.
//!
//! A port as seen from there is reached by ssh itself (`-W`), without any program at the other end. `ClearAllForwardings`
//! does not stand in the way: it is for what is listened on.

mod quoting;

use couchcopy_plugin::{Access, Command, Description, Error, Node, Setting, State, Tunnel};
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
            .command(
                "ssh -T -oBatchMode=yes -oClearAllForwardings=yes -oRemoteCommand=none [-l{user}] [-p{port}] \
                 [-i{identity}] {options...} -W * -- {host}",
                "reach a port, as HOST:PORT, from the node's machine",
            )
    }

    fn wrap(node: &Node, command: Command, _: State) -> Result<Command, Error> {
        let host = login(node)?;
        Ok(ssh(node)?.args(["--", host]).arg(quote(&command)?))
    }
}

impl Tunnel for Ssh {
    fn connect(node: &Node, host: &str, port: u16) -> Result<Command, Error> {
        let machine = login(node)?;
        Ok(ssh(node)?.args(["-W", &target(host, port)?, "--", machine]))
    }
}

/// The machine to log in to.
fn login(node: &Node) -> Result<&str, Error> {
    match node.host.as_deref() {
        None | Some("") => {
            Err(Error::other("the node has no host: give it as HOST,DATA_DIR, or leave out ssh"))
        }
        Some(host) if host.starts_with('-') => Err(Error::other(format!(
            "{host:?} cannot be a host: it begins with `-`, so ssh would take it for an option"
        ))),
        Some(host) => Ok(host),
    }
}

/// ssh with the options that all commands have, and those of the settings.
fn ssh(node: &Node) -> Result<Command, Error> {
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
        let words = split(options)
            .ok_or_else(|| Error::setting("options", "a quote is left open, or a `\\` stands at its end"))?;
        ssh = ssh.args(words);
    }
    Ok(ssh)
}

/// A port as `-W` wants it. ssh knows more ways to write one, sockets among them: only names and addresses come through.
fn target(host: &str, port: u16) -> Result<String, Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
    if host.is_empty() || host.starts_with('-') || !host.chars().all(is_plain) {
        return Err(Error::other(format!(
            "{host:?} cannot be the host of a port: it is no name and no address"
        )));
    }
    if port == 0 {
        return Err(Error::other("there is no port 0"));
    }
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
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

couchcopy_plugin::export_access_with_tunnel!(Ssh);

#[cfg(test)]
mod tests {
    use couchcopy_plugin::testing::AccessTest;

    use super::*;

    const FIRST: &str = "ssh -T -oBatchMode=yes -oClearAllForwardings=yes -oRemoteCommand=none";

    fn test() -> AccessTest<Ssh> {
        AccessTest::with_tunnel()
    }

    fn line(command: &Command) -> String {
        let words: Vec<&str> =
            std::iter::once(&command.program).chain(&command.arguments).map(String::as_str).collect();
        words.join(" ")
    }

    #[test]
    fn the_shell_over_there_gets_one_quoted_line() {
        let wrapped = test().on("db1").wrap("cat '/a b' '$(id)' ''").unwrap();
        assert_eq!(line(&wrapped), format!("{FIRST} -- db1 cat '/a b' '$(id)' ''"));
        assert_eq!(wrapped.arguments.len(), 7, "{wrapped:?}");
    }

    #[test]
    fn settings_become_options_before_the_host() {
        let test = test()
            .on("10.0.0.1")
            .set("user", "couch")
            .set("port", "2222")
            .set("identity", "/keys/a b")
            .set("options", "-J jump -o 'ProxyCommand=nc -X 5 %h %p'");
        let wrapped = test.wrap("true").unwrap();
        let more = "-lcouch -p2222 -i/keys/a b -J jump -o ProxyCommand=nc -X 5 %h %p";
        assert_eq!(line(&wrapped), format!("{FIRST} {more} -- 10.0.0.1 true"));
        let connected = test.connect("localhost", 5984).unwrap();
        assert_eq!(line(&connected), format!("{FIRST} {more} -W localhost:5984 -- 10.0.0.1"));
    }

    #[test]
    fn a_user_that_looks_like_an_option_stays_a_user() {
        let wrapped = test().on("db1").set("user", "-oProxyCommand=x").wrap("true").unwrap();
        assert_eq!(wrapped.arguments[4], "-l-oProxyCommand=x");
    }

    #[test]
    fn hosts_that_are_none_are_refused() {
        for host in ["-oProxyCommand=touch /tmp/x", "-", "--", ""] {
            let refused = test().on(host).wrap("true");
            assert!(matches!(refused, Err(Error::Other(_))), "{host}: {refused:?}");
            let refused = test().on(host).connect("localhost", 5984);
            assert!(matches!(refused, Err(Error::Other(_))), "{host}: {refused:?}");
        }
        let refused = test().wrap("true").unwrap_err().to_string();
        assert!(refused.contains("no host"), "{refused}");
    }

    #[test]
    fn ports_are_reached_by_names_and_addresses() {
        for (host, port, target) in [
            ("localhost", 5984, "localhost:5984"),
            ("db-1.example.com", 1, "db-1.example.com:1"),
            ("couch_1", 80, "couch_1:80"),
            ("127.0.0.1", 65535, "127.0.0.1:65535"),
            ("::1", 5984, "[::1]:5984"),
            ("2001:db8::a", 5984, "[2001:db8::a]:5984"),
        ] {
            let connected = test().on("db1").connect(host, port).unwrap();
            assert_eq!(line(&connected), format!("{FIRST} -W {target} -- db1"));
            assert_eq!(connected.arguments.len(), 8, "{connected:?}");
        }
    }

    #[test]
    fn ports_of_what_is_no_host_are_refused() {
        let hosts = [
            "",
            "-",
            "-oProxyCommand=x",
            "a b",
            "/run/x",
            "a/b",
            "[::1]",
            "a,b",
            "a@b",
            "%h",
            "$HOME",
            "*",
            "a\n",
            "\0",
            "\u{1b}",
            "ä",
            "fe80::1%eth0",
        ];
        for (host, port) in hosts.map(|host| (host, 5984)).into_iter().chain([("localhost", 0)]) {
            let refused = test().on("db1").connect(host, port);
            assert!(matches!(refused, Err(Error::Other(_))), "{host:?}:{port}: {refused:?}");
        }
        let refused = test().on("db1").set("port", "0").connect("localhost", 5984);
        assert!(matches!(refused, Err(Error::InvalidSetting(_))), "{refused:?}");
        assert!(test().connect("localhost", 5984).unwrap_err().to_string().contains("no host"));
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
            match test().on("db1").set(name, value).wrap("true") {
                Err(Error::InvalidSetting(wrong)) => assert_eq!(wrong.name, name),
                other => panic!("{name}={value}: {other:?}"),
            }
        }
    }

    #[test]
    fn whether_couchdb_runs_does_not_matter() {
        for state in [State::Running, State::Stopped, State::Unknown] {
            assert!(test().on("db1").while_it_is(state).wrap("true").is_ok());
        }
    }

    #[test]
    fn nobody_can_hand_over_a_nul() {
        let refused = test().on("db1").wrap_command(&Command::new("cat").arg("a\0b"));
        assert!(matches!(refused, Err(Error::Other(_))), "{refused:?}");
    }
}

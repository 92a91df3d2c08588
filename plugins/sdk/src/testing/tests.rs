//! The kit has to be as strict as couchcopy.

use std::panic::{AssertUnwindSafe, catch_unwind};

use patterns::Wraps;

use super::{AccessTest, ScriptedHost, cannot_run, exit, killed, missing, prints};
use crate::{Access, Command, Description, Error, Host, Node, RunError, Service, Setting, State, Tunnel};

struct Plain;

impl Service for Plain {
    fn describe() -> Description {
        Description::new("plain", "1.0.0", "For these tests")
            .setting(Setting::with_default("unit", "couchdb", "The unit"))
            .setting(Setting::required("zone", "The zone"))
            .setting(Setting::optional("extra", "More arguments"))
            .command("ctl start {unit} [--in={zone}] {extra...}", "start CouchDB")
            .command("ctl stop {unit}", "stop CouchDB")
    }

    fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
        let start = Command::new("ctl").args(["start", node.required("unit")?]);
        host.succeed(&start.arg(format!("--in={}", node.required("zone")?)))?;
        Ok(())
    }

    fn stop(_: &Node, host: &dyn Host) -> Result<(), Error> {
        host.log("stopping");
        host.succeed(&Command::new("ctl").args(["stop", "sshd"]))?;
        Ok(())
    }

    fn status(_: &Node, host: &dyn Host) -> Result<State, Error> {
        loop {
            host.sleep(60_000);
        }
    }
}

crate::export_service!(Plain);

struct Nice;

impl Access for Nice {
    fn describe() -> Description {
        Description::new("nice", "1.0.0", "For these tests")
            .setting(Setting::with_default("level", "5", "How nice"))
            .command("nice -n {level} {command...}", "be nice")
            .command("ssh -- {host} {command}", "go there")
    }

    fn wrap(node: &Node, command: Command, service: State) -> Result<Command, Error> {
        match (&node.host, service) {
            (_, State::Stopped) => Ok(Command::new("nice").arg(command.program)),
            (None, _) => {
                let nice = Command::new("nice").args(["-n", node.required("level")?]);
                Ok(nice.arg(command.program).args(command.arguments))
            }
            (Some(host), _) => {
                // A real plugin would quote.
                let line = format!("{} {}", command.program, command.arguments.join(" "));
                Ok(Command::new("ssh").args(["--", host, &line]))
            }
        }
    }
}

crate::export_access!(Nice);

struct Piped;

impl Access for Piped {
    fn describe() -> Description {
        Description::new("piped", "1.0.0", "For these tests")
            .command("on {host} {command...}", "go there")
            .command("on {host} nc -- * *", "reach a port there")
    }

    fn wrap(node: &Node, command: Command, service: State) -> Result<Command, Error> {
        let on = Command::new("on").arg(node.host.as_deref().unwrap_or_default());
        if service == State::Stopped {
            return Ok(on.args(["nc", "--", "db2", "22"]));
        }
        Ok(on.arg(command.program).args(command.arguments))
    }
}

impl Tunnel for Piped {
    fn connect(node: &Node, host: &str, port: u16) -> Result<Command, Error> {
        if port == 0 {
            return Err(Error::other("no such port"));
        }
        let on = Command::new("on").arg(node.host.as_deref().unwrap_or_default());
        Ok(on.args(["nc", "--", host, &port.to_string()]))
    }
}

mod piped {
    crate::export_access_with_tunnel!(super::Piped);
}

fn host() -> ScriptedHost {
    ScriptedHost::for_service::<Plain>().set("zone", "a")
}

/// What a test that fails says.
fn complaint(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).unwrap_err();
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

#[test]
fn a_script_is_followed() {
    let host = host()
        .named("couchdb@db1")
        .on("db1")
        .expect("ctl start couchdb --in=a", prints("started"))
        .answer_each("ctl start couchdb --in=a", [killed(), missing(), cannot_run("no route")]);
    let node = host.node();
    assert_eq!(node.name.as_deref(), Some("couchdb@db1"));
    assert_eq!(node.host.as_deref(), Some("db1"));
    assert_eq!(node.settings.len(), 2, "those that have a value");
    Plain::start(&node, &host).unwrap();
    assert!(matches!(Plain::start(&node, &host), Err(Error::CommandFailed(_))));
    assert!(matches!(Plain::start(&node, &host), Err(Error::NotRun(RunError::NotFound(_)))));
    assert!(matches!(Plain::start(&node, &host), Err(Error::NotRun(RunError::Failed(_)))));
    assert!(
        matches!(Plain::start(&node, &host), Err(Error::NotRun(RunError::Failed(_)))),
        "the last one stays"
    );
    assert_eq!(host.commands().len(), 5);
}

#[test]
fn a_command_that_no_pattern_allows_is_told() {
    let host = host().answer("ctl stop sshd", exit(0));
    let said = complaint(|| drop(Plain::stop(&host.node(), &host)));
    assert!(said.contains("no pattern of `plain` allows it:\n  ctl stop sshd\n"), "{said}");
    assert!(said.contains("`unit=couchdb`, `zone=a`"), "{said}");
    assert!(said.ends_with("\n  ctl start {unit} [--in={zone}] {extra...}\n  ctl stop {unit}"), "{said}");
    assert_eq!(host.logged(), ["stopping"]);
}

#[test]
fn a_command_that_the_test_does_not_know_is_told() {
    let said = complaint(|| {
        let host = host();
        drop(Plain::start(&host.node(), &host));
    });
    assert!(said.contains("which the test neither expects nor answers"), "{said}");
    let said = complaint(|| {
        let host = host().expect("ctl stop couchdb", exit(0));
        drop(Plain::start(&host.node(), &host));
    });
    assert!(said.contains("where the test expects\n  ctl stop couchdb"), "{said}");
}

#[test]
fn a_command_that_is_never_run_is_told() {
    let said = complaint(|| drop(host().expect("ctl stop couchdb", exit(0))));
    assert_eq!(said, "the plugin never ran\n  ctl stop couchdb");
}

#[test]
fn a_plugin_that_waits_for_ever_is_told() {
    let host = host();
    let said = complaint(|| drop(Plain::status(&host.node(), &host)));
    assert!(said.contains("does it ever give up?"), "{said}");
}

#[test]
fn settings_are_checked() {
    let said = complaint(|| drop(host().set("color", "red")));
    assert_eq!(said, "`plain` has no setting `color`; it has `unit`, `zone`, `extra`");
    let said = complaint(|| drop(ScriptedHost::for_service::<Plain>().node()));
    assert!(said.contains("requires the setting `zone`"), "{said}");
}

#[test]
fn descriptions_are_checked() {
    fn said(description: Description) -> String {
        complaint(|| drop(super::description::Described::new(description, Wraps::Never)))
    }
    let good = || Description::new("good", "1.0.0", "Good");
    for (description, problem) in [
        (Description::new("Bad", "1.0.0", "x"), "no name for a plugin"),
        (Description::new(&"x".repeat(41), "1.0.0", "x"), "no name for a plugin"),
        (Description::new("x", "", "x"), "the version of `x`"),
        (Description::new("x", "1", "x\ny"), "the summary of `x`"),
        (good().setting(Setting::optional("A", "x")), "no name for a setting"),
        (good().setting(Setting::optional("host", "x")), "no setting may be called `host`"),
        (good().setting(Setting::optional("a", "")), "tell what the setting `a` means"),
        (good().setting(Setting::optional("a", "x")).setting(Setting::optional("a", "x")), "twice"),
        (
            good().setting(Setting { required: true, ..Setting::with_default("a", "b", "x") }),
            "its default would never be used",
        ),
        (good().command("ctl {unit}", "x"), "no setting called `unit`"),
        (good().command("", "x"), "no words"),
        (good().command("ctl", ""), "tell what `ctl` is run for"),
    ] {
        let said = said(description);
        assert!(said.contains(problem), "{said}");
    }
}

#[test]
fn ways_are_checked() {
    let here = AccessTest::<Nice>::new().set("level", "7");
    assert_eq!(here.wrap("cat '/a b'"), Ok(Command::new("nice").args(["-n", "7", "cat", "/a b"])));
    let there = AccessTest::<Nice>::new().on("db1").named("couchdb@db1");
    assert_eq!(there.wrap("cat /a"), Ok(Command::new("ssh").args(["--", "db1", "cat /a"])));
    let said = complaint(|| drop(there.wrap("cat '/a b'")));
    assert!(said.contains("no pattern of `nice` allows it"), "what was not quoted: {said}");
    let said = complaint(|| drop(AccessTest::<Nice>::new().while_it_is(State::Stopped).wrap("cat /a")));
    assert!(said.contains("no pattern of `nice` allows it"), "an argument is lost: {said}");
}

#[test]
fn tunnels_are_checked() {
    let test = AccessTest::<Piped>::with_tunnel().on("db1");
    assert_eq!(test.wrap("cat /a"), Ok(Command::new("on").args(["db1", "cat", "/a"])));
    let connected = Command::new("on").args(["db1", "nc", "--", "localhost", "5984"]);
    assert_eq!(test.connect("localhost", 5984), Ok(connected));
    assert_eq!(test.connect("localhost", 0), Err(Error::other("no such port")));
    let said = complaint(|| drop(test.connect("-e", 5984)));
    assert!(said.contains("no pattern of `piped` allows it"), "an option for a host: {said}");
    let said = complaint(|| drop(test.while_it_is(State::Stopped).wrap("cat /a")));
    assert!(said.contains("no pattern of `piped` allows it"), "what connects is no way to run: {said}");
    let said = complaint(|| drop(AccessTest::<Piped>::new()));
    assert!(said.contains("the command to wrap has to be in it"), "without the tunnel: {said}");
}

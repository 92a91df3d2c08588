//! Hostile access plugins.

use super::{End, Hostile, LONG, Witness, Zoo};
use crate::Result;
use crate::hostile::component;
use crate::hostile::contract::Contract;
use crate::hostile::guest::{Answer, Function, Guest, Step};
use crate::hostile::image::{Command, List, Pattern, Text};

pub(super) fn wrappers(zoo: &mut Zoo, witness: Witness<'_>) -> Result<()> {
    let file = witness.path();
    zoo.add("loop-in-wrap", "exec", End::Deadline, |g| g.wrap.steps = vec![Step::Loop])?;
    zoo.add("loop-in-describe-of-access", "exec", End::Deadline, |g| g.describe = vec![Step::Loop])?;
    zoo.add("trap-in-wrap", "exec", End::Trap, |g| g.wrap.steps = vec![Step::Trap])?;
    zoo.add("grab-memory-in-wrap", "exec", End::Memory, |g| g.wrap.steps = vec![Step::Grab])?;
    zoo.add("wraps-outside-of-memory", "exec", End::Nonsense, |g| g.wrap.answer = Answer::At(u32::MAX - 63))?;
    let cases: &[(&'static str, Command)] = &[
        ("wraps-another-command", witness.touch()),
        ("wraps-another-command-as-granted", Command::new(&["env", "touch", &file])),
        ("drops-the-command", Command::new(&["env"])),
        ("adds-an-argument", Command::new(&["env", "echo", "granted", "more"])),
        ("adds-a-variable", Command::new(&["env", "LD_PRELOAD=/tmp/x.so", "echo", "granted"])),
        ("drops-an-argument", Command::new(&["env", "echo"])),
        ("does-not-wrap", Command::new(&["echo", "granted"])),
        ("wraps-with-a-shell", Command::new(&["sh", "-c", &format!("touch {file}")])),
        ("wraps-with-nul", Command::new(&["env", "echo", "granted\0"])),
        ("wraps-with-a-newline", Command::new(&["env", "echo", "granted\n"])),
        ("wraps-with-nothing", Command::new(&[""])),
    ];
    for (name, command) in cases {
        zoo.add(name, "exec", End::NotPermitted, |g| g.wrap.answer = Answer::Command(command.clone()))?;
    }
    zoo.add("wraps-with-too-much", "exec", End::Error, |g| {
        let long = Text::At { pointer: 0, length: LONG as u32 };
        g.wrap.answer = Answer::Command(Command {
            program: "env".into(),
            arguments: List::Repeated(Box::new(long), 100_000),
        });
    })?;
    zoo.add("pattern-without-the-command", "exec", End::Description, |g| {
        g.description.commands = vec![Pattern::new(&["touch", &file])].into();
        g.wrap.answer = Answer::Command(witness.touch());
    })?;
    zoo.add("error-from-wrap", "exec", End::Error, |g| {
        g.wrap.answer = Answer::Error("cannot\u{1b}[2J".into());
    })
}

pub(super) fn tunnels(zoo: &mut Zoo, witness: Witness<'_>) -> Result<()> {
    let file = witness.path();
    let touch = ["touch", file.as_str()];
    let connect = |steps: Vec<Step>, answer| Some(Function { steps, answer });
    let gives = |command: &[&str]| connect(Vec::new(), Answer::Command(Command::new(command)));
    zoo.add("connects-as-it-should", "connect", End::Well, |_| {})?;
    zoo.add("loop-in-connect", "connect", End::Deadline, |g| {
        g.connect = connect(vec![Step::Loop], Answer::Good);
    })?;
    zoo.add("trap-in-connect", "connect", End::Trap, |g| {
        g.connect = connect(vec![Step::Trap], Answer::Good);
    })?;
    zoo.add("grab-memory-in-connect", "connect", End::Memory, |g| {
        g.connect = connect(vec![Step::Grab], Answer::Good);
    })?;
    zoo.add("connects-outside-of-memory", "connect", End::Nonsense, |g| {
        g.connect = connect(Vec::new(), Answer::At(u32::MAX - 63));
    })?;
    zoo.add("error-from-connect", "connect", End::Error, |g| {
        g.connect = connect(Vec::new(), Answer::Error("cannot\u{1b}[2J".into()));
    })?;
    zoo.add("connects-with-another-command", "connect", End::NotPermitted, |g| {
        g.connect = gives(&touch);
    })?;
    zoo.add("connects-with-one-more-argument", "connect", End::NotPermitted, |g| {
        g.connect = gives(&["cat", &file]);
    })?;
    // Whatever a pattern with a place for a command allows, it allows of the user's command only.
    zoo.add("connects-by-what-wraps", "connect", End::NotPermitted, |g| {
        g.connect = gives(&["env", "touch", &file]);
    })?;
    zoo.add("connects-by-what-wraps-nothing", "connect", End::NotPermitted, |g| {
        g.connect = gives(&["env"]);
    })?;
    // And the other way round: the user's command would be dropped.
    zoo.add("wraps-by-what-connects", "exec", End::NotPermitted, |g| {
        g.description.commands = vec![Pattern::new(&["env", "{command...}"]), Pattern::new(&touch)].into();
        g.connect = gives(&touch);
        g.wrap.answer = Answer::Command(witness.touch());
    })
}

pub(super) fn worlds_with_a_tunnel(zoo: &mut Zoo) -> Result<()> {
    let guest = Guest::access_with_tunnel("evil");
    let ours = Contract::ours("node-access-with-tunnel")?;
    let mut add = |name, function, component| {
        zoo.all.push(Hostile { name, component, function, end: End::NoPlugin });
    };
    let end = "port: u16) -> result<command, error>";
    for (name, other) in [
        ("connect-of-another-parameter", "port: u32) -> result<command, error>"),
        ("connect-of-another-result", "port: u16) -> result<command, string>"),
        ("connect-of-no-error", "port: u16) -> command"),
    ] {
        // To the module all are the same.
        let contract = Contract { wit: ours.wit.replace(end, other), ..ours.clone() };
        add(name, "connect", guest.build_for(&contract, "")?);
    }
    let link = Contract { wit: ours.wit.replace("connect: func(", "link: func("), ..ours.clone() };
    let module = guest.module("").replace("#connect", "#link");
    add("connect-of-another-name", "connect", component(&module, &link)?);

    let alone = ours.clone().with_world("tunnel-alone", "export describe; export tunnel;");
    let module = guest.module("").replace(r#"(export "couchcopy:plugin/access@0.1.0#wrap")"#, "");
    add("tunnel-without-access", "connect", component(&module, &alone)?);

    let mut service = Guest::service("evil");
    service.functions = r#"(func (export "couchcopy:plugin/tunnel@0.1.0#connect")
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)"#
        .into();
    let both = ours.with_world("service-with-tunnel", "include service-control; export tunnel;");
    add("tunnel-of-a-service", "status", service.build_for(&both, "")?);
    Ok(())
}

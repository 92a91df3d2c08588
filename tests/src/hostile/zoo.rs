//! Every way to be hostile that we know of, one guest each.

use std::path::Path;

use super::contract::Contract;
use super::guest::{Answer, Function, Guest, Step};
use super::image::{Command, List, Pattern, Setting, Text};
use crate::Result;

/// How a call of a hostile plugin has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At its deadline.
    Deadline,
    /// It wanted too much memory.
    Memory,
    /// It trapped.
    Trap,
    /// What it gave is none of what the contract allows: a text that is none, a place that is not there.
    Nonsense,
    /// A command that it may not run.
    NotPermitted,
    /// It logged without end.
    Log,
    /// Its description is wrong.
    Description,
    /// It is no plugin, or none that this couchcopy can run.
    NoPlugin,
    /// It is for another version of the contract.
    Version,
    /// It succeeds: what it did is odd, and harms nobody.
    Well,
    /// An error, whichever; it depends on what is met first.
    Error,
}

/// A hostile plugin.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What it does.
    pub name: &'static str,
    /// The component.
    pub component: Vec<u8>,
    /// The function to call: one of `start`, `stop`, `status` and, for access plugins, `exec` and `connect`.
    pub function: &'static str,
    /// How that has to end.
    pub end: End,
}

/// A file that only a command which was never granted would make.
#[derive(Debug, Clone, Copy)]
pub struct Witness<'p>(pub &'p Path);

impl Witness<'_> {
    fn path(&self) -> String {
        self.0.display().to_string()
    }

    fn touch(&self) -> Command {
        Command::new(&["touch", &self.path()])
    }
}

/// The longest text that fits into the guests' memory.
const LONG: usize = 60_000;

struct Zoo {
    all: Vec<Hostile>,
}

impl Zoo {
    fn add(
        &mut self,
        name: &'static str,
        function: &'static str,
        end: End,
        change: impl FnOnce(&mut Guest),
    ) -> Result<()> {
        let mut guest = match function {
            "exec" => Guest::access("evil"),
            "connect" => Guest::access_with_tunnel("evil"),
            _ => Guest::service("evil"),
        };
        change(&mut guest);
        let component = guest.build().map_err(|e| format!("{name}: {e:#}"))?;
        self.all.push(Hostile { name, component, function, end });
        Ok(())
    }
}

/// Hostile service plugins. All describe themselves as `evil`, unless that is what is wrong with them.
pub fn service_zoo(witness: Witness<'_>) -> Result<Vec<Hostile>> {
    let mut zoo = Zoo { all: Vec::new() };
    never_ending(&mut zoo)?;
    greedy(&mut zoo)?;
    broken(&mut zoo)?;
    forbidden_commands(&mut zoo, witness)?;
    descriptions(&mut zoo)?;
    other_worlds(&mut zoo)?;
    Ok(zoo.all)
}

fn never_ending(zoo: &mut Zoo) -> Result<()> {
    zoo.add("loop-in-describe", "status", End::Deadline, |g| g.describe = vec![Step::Loop])?;
    zoo.add("loop-in-start", "start", End::Deadline, |g| g.start.steps = vec![Step::Loop])?;
    zoo.add("loop-in-stop", "stop", End::Deadline, |g| g.stop.steps = vec![Step::Loop])?;
    zoo.add("loop-in-status", "status", End::Deadline, |g| g.status.steps = vec![Step::Loop])?;
    zoo.add("loop-when-instantiated", "status", End::Deadline, |g| g.instantiate = vec![Step::Loop])?;
    zoo.add("loop-in-realloc", "status", End::Deadline, |g| g.realloc = vec![Step::Loop])?;
    zoo.add("loop-in-post-return", "status", End::Deadline, |g| g.post_return = vec![Step::Loop])?;
    zoo.add("sleep-without-end", "stop", End::Deadline, |g| g.stop.steps = vec![Step::SleepForever])?;
    zoo.add("sleep-in-describe", "status", End::Deadline, |g| g.describe = vec![Step::SleepForever])?;
    zoo.add("short-sleeps-without-end", "stop", End::Deadline, |g| {
        g.stop.steps = vec![Step::Sleep(0), Step::Sleep(1), Step::Loop];
    })
}

fn greedy(zoo: &mut Zoo) -> Result<()> {
    zoo.add("grab-memory", "status", End::Memory, |g| g.status.steps = vec![Step::Grab])?;
    zoo.add("grab-memory-in-describe", "status", End::Memory, |g| g.describe = vec![Step::Grab])?;
    zoo.add("grab-memory-at-once", "status", End::Memory, |g| {
        g.status.steps = vec![Step::GrabAtOnce(65_000)];
    })?;
    zoo.add("grab-memory-when-instantiated", "status", End::Memory, |g| g.pages = 65_000)?;
    zoo.add("gigabytes-of-log", "status", End::Log, |g| {
        g.status.steps = vec![Step::Log { bytes: 65_536, times: Some(50_000) }];
    })?;
    zoo.add("log-without-end", "status", End::Log, |g| {
        g.status.steps = vec![Step::Log { bytes: 65_536, times: None }];
    })?;
    zoo.add("log-nothing-without-end", "status", End::Deadline, |g| {
        g.status.steps = vec![Step::Log { bytes: 0, times: None }];
    })?;
    // A pointer and a length for each, all to one text: what takes a megabyte there takes gigabytes here.
    zoo.add("texts-that-multiply", "status", End::Error, |g| {
        let long = Text::At { pointer: 0, length: LONG as u32 };
        g.description.commands =
            vec![Pattern { words: List::Repeated(Box::new(long), 100_000), purpose: "none".into() }].into();
    })?;
    zoo.add("arguments-that-multiply", "status", End::Error, |g| {
        let long = Text::At { pointer: 0, length: LONG as u32 };
        g.status.steps = vec![Step::Run(Command {
            program: "true".into(),
            arguments: List::Repeated(Box::new(long), 100_000),
        })];
    })?;
    zoo.add("million-settings", "status", End::Error, |g| {
        g.pages = 600;
        g.description.settings = List::At { pointer: 65_536, length: 1_000_000 };
    })
}

fn broken(zoo: &mut Zoo) -> Result<()> {
    zoo.add("trap-in-describe", "status", End::Trap, |g| g.describe = vec![Step::Trap])?;
    zoo.add("trap-in-start", "start", End::Trap, |g| g.start.steps = vec![Step::Trap])?;
    zoo.add("trap-in-stop", "stop", End::Trap, |g| g.stop.steps = vec![Step::Trap])?;
    zoo.add("trap-in-status", "status", End::Trap, |g| g.status.steps = vec![Step::Trap])?;
    zoo.add("trap-when-instantiated", "status", End::Trap, |g| g.instantiate = vec![Step::Trap])?;
    zoo.add("trap-in-realloc", "status", End::Trap, |g| g.realloc = vec![Step::Trap])?;
    zoo.add("trap-in-post-return", "status", End::Trap, |g| g.post_return = vec![Step::Trap])?;
    zoo.add("recursion", "status", End::Trap, |g| g.status.steps = vec![Step::Recurse])?;
    zoo.add("recursion-in-describe", "status", End::Trap, |g| g.describe = vec![Step::Recurse])?;
    zoo.add("memory-outside-of-memory", "status", End::Nonsense, |g| g.reallocated = Some(u32::MAX - 63))?;
    zoo.add("result-outside-of-memory", "status", End::Nonsense, |g| {
        g.status.answer = Answer::At(u32::MAX - 63);
    })?;
    zoo.add("result-not-aligned", "start", End::Nonsense, |g| g.start.answer = Answer::At(1025))?;
    zoo.add("state-that-is-none", "status", End::Nonsense, |g| {
        g.status.answer = Answer::Record([&[0; 4][..], &[7; 48]].concat());
    })?;
    zoo.add("error-that-is-none", "start", End::Nonsense, |g| {
        g.start.answer = Answer::Record([&[1, 0, 0, 0][..], &[200; 48]].concat());
    })?;
    zoo.add("error-outside-of-memory", "status", End::Nonsense, |g| {
        g.status.answer = Answer::Error(Text::At { pointer: u32::MAX - 63, length: 1000 });
    })?;
    zoo.add("error-of-absurd-length", "status", End::Nonsense, |g| {
        g.status.answer = Answer::Error(Text::At { pointer: 1024, length: u32::MAX });
    })?;
    zoo.add("error-not-utf-8", "status", End::Nonsense, |g| {
        g.status.answer = Answer::Error(Text::Bytes(b"\xff\xfe\xc0\x80".to_vec()));
    })?;
    zoo.add("error-with-escapes", "status", End::Error, |g| {
        g.status.answer =
            Answer::Error("\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31mall is well\0\u{202e}".into());
    })?;
    zoo.add("log-with-escapes", "status", End::Well, |g| {
        g.status.steps =
            vec![Step::LogText("\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31mall is well\0\u{202e}".into())];
    })?;
    zoo.add("log-outside-of-memory", "status", End::Nonsense, |g| {
        g.status.steps = vec![Step::LogText(Text::At { pointer: u32::MAX - 63, length: 1000 })];
    })?;
    zoo.add("command-outside-of-memory", "status", End::Nonsense, |g| {
        g.status.steps = vec![Step::Run(Command {
            program: "true".into(),
            arguments: List::At { pointer: u32::MAX - 63, length: 1000 },
        })];
    })
}

fn forbidden_commands(zoo: &mut Zoo, witness: Witness<'_>) -> Result<()> {
    let file = witness.path();
    let up = format!("/tmp/../{file}");
    let cases: &[(&'static str, &[&str], Command)] = &[
        ("undeclared-command", &["true"], witness.touch()),
        ("other-program-of-the-name", &["touch"], Command::new(&["/bin/touch", &file])),
        ("argument-missing", &["touch", "-c", &file], Command::new(&["touch", &file])),
        ("argument-extra", &["touch"], witness.touch()),
        ("argument-other", &["touch", "/dev/null"], witness.touch()),
        ("argument-before", &["touch", &file], Command::new(&["env", "touch", &file])),
        ("arguments-in-one", &["touch", &file], Command::new(&["touch", &format!("{file} {file}")])),
        ("program-and-argument-in-one", &["touch", &file], Command::new(&[&format!("touch {file}")])),
        ("option-for-a-star", &["touch", "*"], Command::new(&["touch", &format!("--reference={file}")])),
        ("path-up-for-a-star", &["touch", "*"], Command::new(&["touch", &up])),
        ("newline-for-a-star", &["touch", "*"], Command::new(&["touch", &format!("{file}\n")])),
        ("newline-behind", &["touch", "-c", "/dev/null"], Command::new(&["touch", "-c", "/dev/null\n"])),
        ("nul-for-a-star", &["touch", "*"], Command::new(&["touch", &format!("{file}\0.txt")])),
        ("nul-behind", &["touch", "-c", "/dev/null"], Command::new(&["touch", "-c", "/dev/null\0"])),
        ("nul-in-the-program", &["touch", "*"], Command::new(&["touch\0", &file])),
        ("nothing-for-a-star", &["touch", "-c", "*"], Command::new(&["touch", "-c", ""])),
        ("two-for-a-star", &["touch", "-c", "*"], Command::new(&["touch", "-c", "/dev/null", &file])),
        ("no-program", &["touch", "*"], Command::new(&["", &file])),
        ("shell", &["true"], Command::new(&["sh", "-c", &format!("touch {file}")])),
    ];
    for (name, pattern, command) in cases {
        zoo.add(name, "start", End::NotPermitted, |g| {
            g.description.commands = vec![Pattern::new(pattern)].into();
            g.start.steps = vec![Step::Run(command.clone())];
        })?;
    }
    zoo.add("undeclared-command-in-silence", "stop", End::NotPermitted, |g| {
        g.stop.steps = vec![Step::RunAnyway(witness.touch())];
    })?;
    zoo.add("undeclared-command-again-and-again", "stop", End::NotPermitted, |g| {
        g.stop.steps = vec![Step::RunAnyway(witness.touch()); 1000];
    })?;
    zoo.add("command-not-utf-8", "stop", End::Nonsense, |g| {
        g.stop.steps = vec![Step::Run(Command {
            program: "true".into(),
            arguments: List::Of(vec![Text::Bytes(b"\xff\xfe".to_vec())]),
        })];
    })?;
    // Its own description would allow it, but that is not read yet.
    zoo.add("command-in-describe", "status", End::Well, |g| {
        g.description.commands = vec![Pattern::new(&["touch", &file])].into();
        g.describe = vec![Step::RunAnyway(witness.touch())];
    })?;
    // The host cannot be called yet, or not now.
    zoo.add("command-when-instantiated", "status", End::Trap, |g| {
        g.instantiate = vec![Step::RunAnyway(witness.touch())];
    })?;
    zoo.add("command-in-realloc", "status", End::Trap, |g| {
        g.description.commands = vec![Pattern::new(&["touch", &file])].into();
        g.realloc = vec![Step::RunAnyway(witness.touch())];
    })?;
    zoo.add("command-in-post-return", "status", End::Trap, |g| {
        g.description.commands = vec![Pattern::new(&["touch", &file])].into();
        g.post_return = vec![Step::RunAnyway(witness.touch())];
    })?;
    zoo.add("another-description-later", "start", End::NotPermitted, |g| {
        let mut later = g.description.clone();
        later.commands = vec![Pattern::new(&["touch", &file])].into();
        g.later = Some(later);
        g.start.steps = vec![Step::Run(witness.touch())];
    })
}

fn descriptions(zoo: &mut Zoo) -> Result<()> {
    let mut wrong = |name, change: fn(&mut Guest)| zoo.add(name, "status", End::Description, change);
    wrong("name-empty", |g| g.description.name = "".into())?;
    wrong("name-with-capitals", |g| g.description.name = "Evil".into())?;
    wrong("name-with-a-slash", |g| g.description.name = "../evil".into())?;
    wrong("name-with-escapes", |g| g.description.name = "evil\u{1b}[2J".into())?;
    wrong("name-too-long", |g| g.description.name = "e".repeat(LONG).into())?;
    wrong("version-with-escapes", |g| g.description.version = "1.0\u{1b}[2J\n".into())?;
    wrong("version-too-long", |g| g.description.version = "1".repeat(LONG).into())?;
    wrong("summary-with-escapes", |g| g.description.summary = "good\u{1b}[2J\u{9b}31m\r\nGranted.".into())?;
    wrong("summary-too-long", |g| g.description.summary = "s".repeat(LONG).into())?;
    wrong("setting-with-escapes", |g| g.description.settings = vec![Setting::new("a\u{1b}[2J")].into())?;
    wrong("setting-without-a-name", |g| g.description.settings = vec![Setting::new("")].into())?;
    wrong("setting-with-a-name-that-is-taken", |g| {
        g.description.settings = vec![Setting::new("host")].into();
    })?;
    wrong("settings-of-one-name", |g| {
        g.description.settings = vec![Setting::new("word"), Setting::new("word")].into();
    })?;
    wrong("setting-required-with-default", |g| {
        let setting = Setting { required: true, default: Some("x".into()), ..Setting::new("word") };
        g.description.settings = vec![setting].into();
        g.description.commands = vec![Pattern::new(&["true"])].into();
    })?;
    wrong("meaning-with-escapes", |g| {
        g.description.settings = vec![Setting { meaning: "\u{1b}[2J".into(), ..Setting::new("word") }].into();
    })?;
    wrong("many-settings", |g| {
        g.description.settings =
            (0..20_000).map(|i| Setting::new(&format!("word-{i}"))).collect::<Vec<_>>().into();
        g.description.commands = vec![Pattern::new(&["true"])].into();
    })?;
    wrong("many-patterns", |g| {
        g.description.commands = List::Repeated(Box::new(Pattern::new(&["true"])), 20_000);
    })?;
    wrong("many-words", |g| {
        let words = List::Repeated(Box::new("true".into()), 20_000);
        g.description.commands = vec![Pattern { words, purpose: "none".into() }].into();
    })?;
    wrong("pattern-without-words", |g| g.description.commands = vec![Pattern::new(&[])].into())?;
    wrong("pattern-of-any-program", |g| g.description.commands = vec![Pattern::new(&["*", "x"])].into())?;
    wrong("pattern-of-an-unknown-setting", |g| {
        g.description.commands = vec![Pattern::new(&["true", "{other}"])].into();
    })?;
    wrong("pattern-left-open", |g| g.description.commands = vec![Pattern::new(&["true", "{word"])].into())?;
    wrong("pattern-with-a-command", |g| {
        g.description.commands = vec![Pattern::new(&["env", "{command...}"])].into();
    })?;
    wrong("pattern-with-escapes", |g| {
        g.description.commands = vec![Pattern::new(&["true", "x\u{1b}[2K\r"])].into();
    })?;
    // Shown as it is, it would read from right to left, or take no place at all.
    wrong("pattern-with-invisible-characters", |g| {
        g.description.commands = vec![Pattern::new(&["true", "\u{202e}\u{200b}\u{feff}"])].into();
    })?;
    wrong("purpose-with-escapes", |g| {
        let pattern = Pattern { purpose: "\u{1b}[1A\u{1b}[2K".into(), ..Pattern::new(&["true"]) };
        g.description.commands = vec![pattern].into();
    })?;
    let mut nonsense = |name, change: fn(&mut Guest)| zoo.add(name, "status", End::Nonsense, change);
    nonsense("name-not-utf-8", |g| g.description.name = Text::Bytes(b"ev\xffil".to_vec()))?;
    nonsense("name-outside-of-memory", |g| {
        g.description.name = Text::At { pointer: u32::MAX - 63, length: 5 };
    })?;
    nonsense("summary-of-absurd-length", |g| {
        g.description.summary = Text::At { pointer: 1024, length: 0x7fff_fff0 };
    })?;
    nonsense("settings-of-absurd-length", |g| {
        g.description.settings = List::At { pointer: 1024, length: 0x0fff_ffff };
    })?;
    nonsense("patterns-outside-of-memory", |g| {
        g.description.commands = List::At { pointer: u32::MAX - 63, length: 2 };
    })
}

fn other_worlds(zoo: &mut Zoo) -> Result<()> {
    let guest = Guest::service("evil");
    let mut add = |name, end, component| zoo.all.push(Hostile { name, component, function: "status", end });
    add("newer-contract", End::Version, guest.clone().in_version("0.2.0").build()?);
    add("much-newer-contract", End::Version, guest.clone().in_version("1.0.0").build()?);
    add("patched-contract", End::Well, guest.clone().in_version("0.1.1").build()?);
    let other = Contract { wit: "package a:b; world w { export f: func(); }".into(), world: "w".into() };
    add(
        "another-world",
        End::NoPlugin,
        super::component(r#"(module (func (export "f")) (memory (export "memory") 1))"#, &other)?,
    );
    let nothing = Contract { wit: "package a:b; world w { }".into(), world: "w".into() };
    add("empty-world", End::NoPlugin, super::component("(module)", &nothing)?);
    let only_describe =
        Contract::ours("service-control")?.with_world("only-describe", "import host; export describe;");
    add("describes-and-does-nothing", End::NoPlugin, without_service(&guest, &only_describe)?);
    let more = Contract::ours("service-control")?
        .with_package(
            "package wasi:cli@0.2.0 { interface environment { get-arguments: func() -> list<string>; } }\n",
        )
        .with_world("more", "include service-control; import wasi:cli/environment@0.2.0;");
    let import = r#"(import "wasi:cli/environment@0.2.0" "get-arguments" (func (param i32)))"#;
    add("imports-something-else", End::NoPlugin, guest.build_for(&more, import)?);
    add("core-module", End::NoPlugin, wat::parse_str(guest.module(""))?);
    add("empty-core-module", End::NoPlugin, b"\0asm\x01\0\0\0".to_vec());
    add("empty-component", End::NoPlugin, b"\0asm\x0d\0\x01\0".to_vec());
    add("component-in-text", End::NoPlugin, b"(component)".to_vec());
    add("empty-file", End::NoPlugin, Vec::new());
    add("no-wasm", End::NoPlugin, b"#!/bin/sh\nexit 0\n".to_vec());
    add("zeros", End::NoPlugin, vec![0; 100_000]);
    add("elf", End::NoPlugin, std::fs::read("/bin/true")?);
    Ok(())
}

/// A guest's module without the exports of `service`.
fn without_service(guest: &Guest, contract: &Contract) -> Result<Vec<u8>> {
    let module = ["start", "stop", "status"].iter().fold(guest.module(""), |module, name| {
        module.replace(&format!(r#"(export "couchcopy:plugin/service@0.1.0#{name}")"#), "")
    });
    super::component(&module, contract)
}

/// Hostile access plugins. What they wrap is run by `exec`, and only by it.
pub fn access_zoo(witness: Witness<'_>) -> Result<Vec<Hostile>> {
    let mut zoo = Zoo { all: Vec::new() };
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
    })?;
    tunnels(&mut zoo, witness)?;
    worlds_with_a_tunnel(&mut zoo)?;
    Ok(zoo.all)
}

fn tunnels(zoo: &mut Zoo, witness: Witness<'_>) -> Result<()> {
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

fn worlds_with_a_tunnel(zoo: &mut Zoo) -> Result<()> {
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
    add("connect-of-another-name", "connect", super::component(&module, &link)?);

    let alone = ours.clone().with_world("tunnel-alone", "export describe; export tunnel;");
    let module = guest.module("").replace(r#"(export "couchcopy:plugin/access@0.1.0#wrap")"#, "");
    add("tunnel-without-access", "connect", super::component(&module, &alone)?);

    let mut service = Guest::service("evil");
    service.functions = r#"(func (export "couchcopy:plugin/tunnel@0.1.0#connect")
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)"#
        .into();
    let both = ours.with_world("service-with-tunnel", "include service-control; export tunnel;");
    add("tunnel-of-a-service", "status", service.build_for(&both, "")?);
    Ok(())
}

//! A guest, function by function.

use std::fmt::Write as _;

use super::contract::{Contract, component};
use super::image::{Command, Description, Image, List, Pattern, Text, slice, word};
use crate::Result;

/// Where the host writes what a call of it gave.
const RETURNED: u32 = 64;
/// The exit code in it, -1 where there is none.
const EXIT_CODE: &str = "(select (i32.load (i32.const 72)) (i32.const -1) (i32.load8_u (i32.const 68)))";
/// Where `error` of a result goes that passes on why a program was not run.
const PASSED_ON: u32 = 128;
/// Where what `instantiate`, `realloc` and so on do not need begins.
const IMAGE: u32 = 1024;
const PAGE: u32 = 65536;

/// Something that a function does before it returns.
#[derive(Debug, Clone)]
pub enum Step {
    /// Goes round and round.
    Loop,
    /// `unreachable`
    Trap,
    /// Calls itself without end.
    Recurse,
    /// Lets the host wait.
    Sleep(u32),
    /// Lets the host wait again and again.
    SleepForever,
    /// Logs so many bytes so many times.
    Log {
        /// Length of each text.
        bytes: u32,
        /// How often; without end where it is `None`.
        times: Option<u32>,
    },
    /// Logs this.
    LogText(Text),
    /// Runs a command; the call fails with what the host says where it does not run it.
    Run(Command),
    /// Runs a command and cares for nothing.
    RunAnyway(Command),
    /// Runs a command; the call fails where it is not run, or ends with another exit code than 0.
    Succeed(Command),
    /// Runs a command and returns what its exit code says, for `status`: 0 that the service runs, 3 that it has stopped.
    AnswerState(Command),
    /// Takes memory page by page, and writes to each.
    Grab,
    /// Asks for so many pages at once; goes on if it does not get them.
    GrabAtOnce(u32),
}

/// What a function returns.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The good case: nothing, `running`, or the command as it came.
    Good,
    /// `error::other` with this text.
    Error(Text),
    /// A command, for `wrap` and `connect`.
    Command(Command),
    /// These bytes as the record of the result.
    Record(Vec<u8>),
    /// A record that would be there.
    At(u32),
}

/// A function of a guest.
#[derive(Debug, Clone)]
pub struct Function {
    /// What it does.
    pub steps: Vec<Step>,
    /// What it returns then.
    pub answer: Answer,
}

impl Default for Function {
    fn default() -> Self {
        Self { steps: Vec::new(), answer: Answer::Good }
    }
}

/// A plugin in the making.
#[derive(Debug, Clone)]
pub struct Guest {
    /// What it says of itself.
    pub description: Description,
    /// What it says of itself when it is asked again.
    pub later: Option<Description>,
    /// What `describe` does first.
    pub describe: Vec<Step>,
    /// `start`
    pub start: Function,
    /// `stop`
    pub stop: Function,
    /// `status`
    pub status: Function,
    /// `wrap`
    pub wrap: Function,
    /// `connect`, for an access plugin that exports it.
    pub connect: Option<Function>,
    /// What it does when it is instantiated.
    pub instantiate: Vec<Step>,
    /// What it does when the host asks it for memory.
    pub realloc: Vec<Step>,
    /// What memory it then gives; the right one where it is `None`.
    pub reallocated: Option<u32>,
    /// What it does when the host has read a result.
    pub post_return: Vec<Step>,
    /// More functions, as text.
    pub functions: String,
    /// Memory that it has beside what it needs, in pages of 64 KiB.
    pub pages: u32,
    /// Whether its imports and exports are those of a service plugin.
    service: bool,
    /// Version of the contract that its names hold.
    version: String,
}

impl Guest {
    /// A service plugin that behaves. It may run `true` and `echo` with the setting `word`, and runs nothing.
    pub fn service(name: &str) -> Self {
        let mut guest = Self::any(name, true);
        guest.description.settings = vec![super::Setting::new("word")].into();
        guest.description.commands =
            vec![Pattern::new(&["true"]), Pattern::new(&["echo", "fixed", "[{word}]"])].into();
        guest
    }

    /// An access plugin that behaves: it gives `env -- COMMAND`… as the command that came, which its pattern allows.
    pub fn access(name: &str) -> Self {
        let mut guest = Self::any(name, false);
        guest.description.commands = vec![Pattern::new(&["env", "{command...}"])].into();
        guest
    }

    /// The same with a tunnel: what it connects to is `cat`, which says what it is told.
    pub fn access_with_tunnel(name: &str) -> Self {
        let mut guest = Self::access(name);
        guest.description.commands =
            vec![Pattern::new(&["env", "{command...}"]), Pattern::new(&["cat"])].into();
        let cat = Answer::Command(Command::new(&["cat"]));
        guest.connect = Some(Function { steps: Vec::new(), answer: cat });
        guest
    }

    fn any(name: &str, service: bool) -> Self {
        Self {
            description: Description {
                name: name.into(),
                version: "9.8.7".into(),
                summary: "made to test with".into(),
                settings: List::Of(Vec::new()),
                commands: List::Of(Vec::new()),
            },
            later: None,
            describe: Vec::new(),
            start: Function::default(),
            stop: Function::default(),
            status: Function::default(),
            wrap: Function::default(),
            connect: None,
            instantiate: Vec::new(),
            realloc: Vec::new(),
            reallocated: None,
            post_return: Vec::new(),
            functions: String::new(),
            pages: 1,
            service,
            version: "0.1.0".into(),
        }
    }

    /// The same for another version of the contract.
    #[must_use]
    pub fn in_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// The component.
    pub fn build(&self) -> Result<Vec<u8>> {
        let world = match (self.service, &self.connect) {
            (true, _) => "service-control",
            (false, None) => "node-access",
            (false, Some(_)) => "node-access-with-tunnel",
        };
        self.build_for(&Contract::ours(world)?.in_version(&self.version), "")
    }

    /// The component for another world, with more fields in its module.
    pub fn build_for(&self, contract: &Contract, more: &str) -> Result<Vec<u8>> {
        component(&self.module(more), contract)
    }

    /// The core module. Imports have to come first in it, so `more` does.
    pub fn module(&self, more: &str) -> String {
        let package = |interface: &str| format!("couchcopy:plugin/{interface}@{}", self.version);
        let mut body = Body { image: Image::new(IMAGE), locals: 0 };
        let mut functions = self.functions.clone();

        let first = body.image.description(&self.description);
        let later = self.later.as_ref().map_or(first, |later| body.image.description(later));
        let describe = body.steps(&self.describe);
        let _ = write!(
            functions,
            r#"(func $describe (export "{}#describe") (result i32) (local $i i32)
                 {describe}
                 (if (global.get $described) (then (return (i32.const {later}))))
                 (global.set $described (i32.const 1))
                 (i32.const {first}))"#,
            package("describe"),
        );
        let node = "(param i32 i32 i32 i32 i32 i32 i32 i32)";
        let mut exports = vec![(package("describe"), "describe")];
        if self.service {
            for (name, function) in [("start", &self.start), ("stop", &self.stop), ("status", &self.status)] {
                let (steps, answer) = body.function(function);
                let _ = write!(
                    functions,
                    r#"(func ${name} (export "{}#{name}") {node} (result i32) (local $i i32) {steps} {answer})"#,
                    package("service"),
                );
                exports.push((package("service"), name));
            }
        } else {
            let (steps, answer) = body.function(&self.wrap);
            let _ = write!(
                functions,
                r#"(func $wrap (export "{}#wrap") {node}
                     (param $program i32) (param $program-length i32) (param $arguments i32) (param $count i32) (param i32)
                     (result i32) (local $i i32)
                     {steps} {})"#,
                package("access"),
                if matches!(self.wrap.answer, Answer::Good) { wrapped_in_env(&mut body) } else { answer },
            );
            exports.push((package("access"), "wrap"));
            if let Some(connect) = &self.connect {
                let (steps, answer) = body.function(connect);
                let _ = write!(
                    functions,
                    r#"(func $connect (export "{}#connect") {node} (param i32 i32 i32) (result i32) (local $i i32)
                         {steps} {answer})"#,
                    package("tunnel"),
                );
                exports.push((package("tunnel"), "connect"));
            }
        }
        for (interface, name) in exports.iter().filter(|_| !self.post_return.is_empty()) {
            let steps = body.steps(&self.post_return);
            let _ = write!(
                functions,
                r#"(func (export "cabi_post_{interface}#{name}") (param i32) (local $i i32) {steps})"#,
            );
        }
        let realloc = body.steps(&self.realloc);
        let given = self.reallocated.map_or_else(String::new, |at| format!("(return (i32.const {at}))"));
        let instantiate = body.steps(&self.instantiate);
        let imports = if self.service {
            let host = package("host");
            format!(
                r#"(import "{host}" "run" (func $run (param i32 i32 i32 i32 i32)))
                   (import "{host}" "sleep" (func $sleep (param i32)))
                   (import "{host}" "log" (func $log (param i32 i32)))"#,
            )
        } else {
            String::new()
        };
        let heap = body.image.end().next_multiple_of(16);
        let data: String = body.image.bytes().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        });
        format!(
            r#"(module
                 {more} {imports}
                 (memory (export "memory") {pages})
                 (global $described (mut i32) (i32.const 0))
                 (global $heap (mut i32) (i32.const {heap}))
                 (func $recurse (param i32) (result i32)
                   (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
                 (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $i i32)
                   {realloc} {given}
                   (global.set $heap (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
                   (local.set $i (global.get $heap))
                   (global.set $heap (i32.add (global.get $heap) (local.get 3)))
                   (block $enough (loop $more
                     (br_if $enough
                       (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const {PAGE}))))
                     (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
                     (br $more)))
                   (local.get $i))
                 {functions}
                 (func $instantiate (local $i i32) {instantiate})
                 {start}
                 (data (i32.const {base}) "{data}"))"#,
            pages = heap / PAGE + 1 + self.pages,
            base = body.image.base(),
            start = if self.instantiate.is_empty() { "" } else { "(start $instantiate)" },
        )
    }
}

/// Answers with `env`, the program and its arguments.
fn wrapped_in_env(body: &mut Body) -> String {
    let (env, length) = body.image.text(&"env".into());
    let record = body.image.put(&[word(0), slice((env, length)), slice((0, 0))].concat());
    format!(
        "(local.set $i (call $realloc (i32.const 0) (i32.const 0) (i32.const 4)
           (i32.mul (i32.add (local.get $count) (i32.const 1)) (i32.const 8))))
         (i32.store (local.get $i) (local.get $program))
         (i32.store offset=4 (local.get $i) (local.get $program-length))
         (memory.copy (i32.add (local.get $i) (i32.const 8)) (local.get $arguments)
           (i32.mul (local.get $count) (i32.const 8)))
         (i32.store (i32.const {}) (local.get $i))
         (i32.store (i32.const {}) (i32.add (local.get $count) (i32.const 1)))
         (i32.const {record})",
        record + 12,
        record + 16,
    )
}

/// Functions in the making.
struct Body {
    image: Image,
    locals: u32,
}

impl Body {
    fn function(&mut self, function: &Function) -> (String, String) {
        let steps = self.steps(&function.steps);
        let record = match &function.answer {
            // `running` is the first state, so that nothing but zeros is right for all.
            Answer::Good => self.image.put(&[0; 52]),
            Answer::Error(text) => {
                let text = self.image.text(text);
                self.image.put(&[word(1), word(5), slice(text), vec![0; 36]].concat())
            }
            Answer::Command(command) => {
                let command = self.image.command(command);
                self.image.put(&[word(0), command, vec![0; 32]].concat())
            }
            Answer::Record(bytes) => self.image.put(bytes),
            Answer::At(address) => *address,
        };
        (steps, format!("(i32.const {record})"))
    }

    fn steps(&mut self, steps: &[Step]) -> String {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> String {
        self.locals += 1;
        let label = format!("$step{}", self.locals);
        match step {
            Step::Loop => format!("(loop {label} (br {label}))"),
            Step::Trap => "unreachable".into(),
            Step::Recurse => "(drop (call $recurse (i32.const 0)))".into(),
            Step::Sleep(milliseconds) => format!("(call $sleep (i32.const {milliseconds}))"),
            Step::SleepForever => format!("(loop {label} (call $sleep (i32.const -1)) (br {label}))"),
            Step::Log { bytes, times } => {
                let (at, length) = self.image.text(&Text::Bytes(vec![b'x'; *bytes as usize]));
                let log = format!("(call $log (i32.const {at}) (i32.const {length}))");
                match times {
                    None => format!("(loop {label} {log} (br {label}))"),
                    Some(times) => format!(
                        "(local.set $i (i32.const {times}))
                         (loop {label} {log}
                           (local.set $i (i32.sub (local.get $i) (i32.const 1)))
                           (br_if {label} (local.get $i)))"
                    ),
                }
            }
            Step::LogText(text) => {
                let (at, length) = self.image.text(text);
                format!("(call $log (i32.const {at}) (i32.const {length}))")
            }
            Step::Run(command) => {
                let run = self.run(command);
                let (disc, kind, what, from) = (PASSED_ON, PASSED_ON + 4, PASSED_ON + 8, RETURNED + 4);
                format!(
                    "{run}
                     (if (i32.load8_u (i32.const {RETURNED})) (then
                       (i32.store8 (i32.const {disc}) (i32.const 1))
                       (i32.store8 (i32.const {kind}) (i32.const 2))
                       (memory.copy (i32.const {what}) (i32.const {from}) (i32.const 12))
                       (return (i32.const {PASSED_ON}))))"
                )
            }
            Step::RunAnyway(command) => self.run(command),
            Step::Succeed(command) => {
                let run = self.step(&Step::Run(command.clone()));
                let failed = self.image.text(&"the command did not succeed".into());
                let failed = self.image.put(&[word(1), word(5), slice(failed), vec![0; 36]].concat());
                format!("{run} (if (i32.ne {EXIT_CODE} (i32.const 0)) (then (return (i32.const {failed}))))")
            }
            Step::AnswerState(command) => {
                let run = self.step(&Step::Run(command.clone()));
                let [running, stopped, unknown] =
                    [0, 1, 2].map(|state| self.image.put(&[word(0), word(state), vec![0; 44]].concat()));
                format!(
                    "{run}
                     (if (i32.eq {EXIT_CODE} (i32.const 0)) (then (return (i32.const {running}))))
                     (if (i32.eq {EXIT_CODE} (i32.const 3)) (then (return (i32.const {stopped}))))
                     (return (i32.const {unknown}))"
                )
            }
            Step::Grab => format!(
                "(loop {label}
                   (local.set $i (memory.grow (i32.const 16)))
                   (if (i32.ne (local.get $i) (i32.const -1)) (then
                     (memory.fill (i32.mul (local.get $i) (i32.const {PAGE})) (i32.const 1)
                       (i32.const {}))))
                   (br {label}))",
                16 * PAGE
            ),
            Step::GrabAtOnce(pages) => format!("(drop (memory.grow (i32.const {pages})))"),
        }
    }

    fn run(&mut self, command: &Command) -> String {
        let (program, arguments) = (self.image.text(&command.program), self.image.texts(&command.arguments));
        format!(
            "(call $run (i32.const {}) (i32.const {}) (i32.const {}) (i32.const {}) (i32.const {RETURNED}))",
            program.0, program.1, arguments.0, arguments.1
        )
    }
}

//! Functions of a guest as text.

use super::PAGE;
use super::function::{Answer, Function, Step};
use crate::hostile::image::{Command, Image, Text, slice, word};

/// Where the host writes what a call of it gave.
const RETURNED: u32 = 64;
/// The exit code in it, -1 where there is none.
const EXIT_CODE: &str = "(select (i32.load (i32.const 72)) (i32.const -1) (i32.load8_u (i32.const 68)))";
/// Where `error` of a result goes that passes on why a program was not run.
const PASSED_ON: u32 = 128;

/// Answers with `env`, the program and its arguments.
pub(super) fn wrapped_in_env(body: &mut Body) -> String {
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
pub(super) struct Body {
    pub(super) image: Image,
    pub(super) locals: u32,
}

impl Body {
    pub(super) fn function(&mut self, function: &Function) -> (String, String) {
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
            Answer::Document(text) => {
                let text = self.image.text(text);
                self.image.put(&[word(0), word(1), slice(text), vec![0; 36]].concat())
            }
            Answer::LeaveOut => self.image.put(&[word(0), word(2), vec![0; 44]].concat()),
            Answer::Record(bytes) => self.image.put(bytes),
            Answer::At(address) => *address,
        };
        (steps, format!("(i32.const {record})"))
    }

    pub(super) fn steps(&mut self, steps: &[Step]) -> String {
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

//! A host that follows a script.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use patterns::Wraps;

use super::answer::Answer;
use super::description::{Described, read, shown};
use crate::{Command, Host, Node, Output, RunError, Service};

/// More than any plugin should wait for: a test that gets here waits for ever.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Stands in for couchcopy: gives a service plugin the answers that a test has written down.
///
/// It panics, so the test fails and tells why, where
/// - the description is one that couchcopy refuses;
/// - a setting is unknown or a required one is missing;
/// - the plugin runs what none of its patterns allows;
/// - it runs anything that the test has no answer for;
/// - it did not run all that the test [expects](Self::expect), by the time that the host goes out of scope.
///
/// Commands are written in one line, as for a shell.
#[derive(Debug)]
pub struct ScriptedHost {
    described: Described,
    script: RefCell<Script>,
}

#[derive(Debug, Default)]
struct Script {
    expected: VecDeque<(Command, Answer)>,
    rules: Vec<(Command, VecDeque<Answer>)>,
    run: Vec<String>,
    logged: Vec<String>,
    slept: Duration,
}

impl ScriptedHost {
    /// A host for this plugin, on this machine, with no settings but the defaults.
    #[track_caller]
    pub fn for_service<S: Service>() -> Self {
        let description = S::describe();
        assert_eq!(description, S::describe(), "`describe` must always say the same");
        Self { described: Described::new(description, Wraps::Never), script: RefCell::default() }
    }

    /// Gives a setting a value.
    #[track_caller]
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.described.set(name, value);
        self
    }

    /// The node is on this host.
    #[must_use]
    pub fn on(mut self, host: &str) -> Self {
        self.described.host = Some(host.into());
        self
    }

    /// The node has this Erlang name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.described.name = Some(name.into());
        self
    }

    /// The next command that is expected, and what it comes to. All expected commands have to be run, in this order.
    #[track_caller]
    #[must_use]
    pub fn expect(self, command: &str, answer: Answer) -> Self {
        self.script.borrow_mut().expected.push_back((read(command), answer));
        self
    }

    /// What a command comes to whenever it is run and not [expected](Self::expect).
    #[track_caller]
    #[must_use]
    pub fn answer(self, command: &str, answer: Answer) -> Self {
        self.answer_each(command, [answer])
    }

    /// What a command comes to the first time that it is run, the second time, and so on; then always the last.
    #[track_caller]
    #[must_use]
    pub fn answer_each(self, command: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: VecDeque<Answer> = answers.into_iter().collect();
        assert!(!answers.is_empty(), "no answer to `{command}`");
        self.script.borrow_mut().rules.push((read(command), answers));
        self
    }

    /// The node with the settings, for the plugin's functions.
    #[track_caller]
    pub fn node(&self) -> Node {
        self.described.node()
    }

    /// The commands that were run, each in one line.
    pub fn commands(&self) -> Vec<String> {
        self.script.borrow().run.clone()
    }

    /// What was logged.
    pub fn logged(&self) -> Vec<String> {
        self.script.borrow().logged.clone()
    }

    /// How long the plugin has waited. Nobody really waits in a test.
    pub fn slept(&self) -> Duration {
        self.script.borrow().slept
    }
}

impl Host for ScriptedHost {
    #[track_caller]
    fn run(&self, command: &Command) -> Result<Output, RunError> {
        self.described.assert_allowed(command, None);
        let mut script = self.script.borrow_mut();
        let line = shown(command);
        script.run.push(line.clone());
        if script.expected.front().is_some_and(|(expected, _)| expected == command)
            && let Some((_, Answer(answer))) = script.expected.pop_front()
        {
            return answer;
        }
        if let Some((_, answers)) = script.rules.iter_mut().find(|(known, _)| known == command) {
            let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            if let Some(Answer(answer)) = answer {
                return answer;
            }
        }
        match script.expected.front() {
            Some((expected, _)) => {
                panic!("the plugin ran\n  {line}\nwhere the test expects\n  {}", shown(expected))
            }
            None => panic!("the plugin ran\n  {line}\nwhich the test neither expects nor answers"),
        }
    }

    fn sleep(&self, milliseconds: u32) {
        let mut script = self.script.borrow_mut();
        script.slept += Duration::from_millis(milliseconds.into());
        assert!(script.slept < PATIENCE, "the plugin has waited for a day: does it ever give up?");
    }

    fn log(&self, text: &str) {
        self.script.borrow_mut().logged.push(text.into());
    }
}

impl Drop for ScriptedHost {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let script = self.script.borrow();
        let left: Vec<String> = script.expected.iter().map(|(command, _)| shown(command)).collect();
        assert!(left.is_empty(), "the plugin never ran\n  {}", left.join("\n  "));
    }
}

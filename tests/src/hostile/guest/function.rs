//! What a function of a guest does.

use crate::hostile::image::{Command, Text};

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
    /// A text in the place of the document, for `filter`.
    Document(Text),
    /// Nothing in the place of the document, for `filter`.
    LeaveOut,
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

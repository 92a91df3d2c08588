//! What a command shall come to.

use crate::{Output, RunError};

/// What a command shall come to; begins with [`exit`], [`prints`], [`killed`], [`missing`] or [`cannot_run`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(pub(super) Result<Output, RunError>);

/// The program ends with this exit code.
pub fn exit(code: i32) -> Answer {
    Answer(Ok(Output {
        exit_code: Some(code),
        stdout: String::new(),
        stderr: String::new(),
        truncated: false,
    }))
}

/// The program writes this to standard output and ends with exit code 0.
pub fn prints(text: &str) -> Answer {
    exit(0).stdout(text)
}

/// A signal ends the program.
pub fn killed() -> Answer {
    let Answer(answer) = exit(0);
    Answer(answer.map(|output| Output { exit_code: None, ..output }))
}

/// There is no such program on the node.
pub fn missing() -> Answer {
    Answer(Err(RunError::NotFound("no such program".into())))
}

/// The node could not be reached.
pub fn cannot_run(why: &str) -> Answer {
    Answer(Err(RunError::Failed(why.into())))
}

impl Answer {
    /// With this on standard output.
    #[must_use]
    pub fn stdout(mut self, text: &str) -> Self {
        if let Ok(output) = &mut self.0 {
            output.stdout = text.into();
        }
        self
    }

    /// With this on standard error.
    #[must_use]
    pub fn stderr(mut self, text: &str) -> Self {
        if let Ok(output) = &mut self.0 {
            output.stderr = text.into();
        }
        self
    }
}

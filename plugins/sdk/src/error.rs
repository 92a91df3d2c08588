//! Errors.

use std::fmt;

use crate::{Command, CommandFailed, Error, InvalidSetting, Output, RunError};

impl Error {
    /// A setting's value makes no sense: what is wrong with it, and what would be right.
    pub fn setting(name: &str, problem: impl Into<String>) -> Self {
        Self::InvalidSetting(InvalidSetting { name: name.into(), problem: problem.into() })
    }

    /// A program ran and failed.
    pub fn failed(command: &Command, output: Output) -> Self {
        Self::CommandFailed(CommandFailed { command: command.clone(), output })
    }

    /// Anything else.
    pub fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        Self::NotRun(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSetting(wrong) => write!(f, "the setting `{}`: {}", wrong.name, wrong.problem),
            Self::CommandFailed(failed) => {
                match failed.output.exit_code {
                    Some(code) => write!(f, "`{}` ended with exit code {code}", failed.command)?,
                    None => write!(f, "`{}` was ended by a signal", failed.command)?,
                }
                match failed.output.complaint() {
                    "" => Ok(()),
                    said => write!(f, ": {said}"),
                }
            }
            Self::NotRun(error) => error.fmt(f),
            Self::TimedOut(text) | Self::Unsupported(text) | Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted(text) => write!(f, "couchcopy may not run this: {text}"),
            Self::NotFound(text) => write!(f, "no such program on the node: {text}"),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for RunError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_what_happened() {
        let failed = |exit_code, stderr: &str| {
            let output = Output { exit_code, stdout: "out".into(), stderr: stderr.into(), truncated: false };
            Error::failed(&Command::new("sv").args(["up", "couchdb"]), output).to_string()
        };
        assert_eq!(failed(Some(1), "denied\n"), "`sv up couchdb` ended with exit code 1: denied");
        assert_eq!(failed(None, ""), "`sv up couchdb` was ended by a signal: out");
        assert_eq!(
            Error::setting("unit", "it has no value").to_string(),
            "the setting `unit`: it has no value"
        );
        let error = Error::from(RunError::NotFound("sv".into()));
        assert_eq!(error.to_string(), "no such program on the node: sv");
    }
}

//! Exit codes, and how an error is told.

use std::process::ExitCode;

use miette::{MietteDiagnostic, Report};
use outcome::{Failure, FailureKind};
use serde::Serialize;

use crate::output::{Output, error_line};

/// How a command that was carried out ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As asked.
    Done,
    /// Something is damaged or was left out.
    DoneWithProblems,
    /// As the program ended that was run for the user.
    Ended(u8),
}

impl Outcome {
    /// As asked, or with problems that the result tells.
    pub(crate) fn of(done: bool) -> Self {
        if done { Self::Done } else { Self::DoneWithProblems }
    }
}

/// The exit codes of `docs/exit-codes.md`.
const BUG: u8 = 1;
const ARGUMENTS: u8 = 2;
const PROBLEMS: u8 = 3;
const ARCHIVE: u8 = 4;
const REFUSED: u8 = 5;
const DATA: u8 = 6;
const SYSTEM: u8 = 7;
const PLUGIN: u8 = 8;
const NODE: u8 = 9;
/// What a shell tells of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Tells an error, if there is one, and gives the exit code.
pub(crate) fn finish(outcome: Result<Outcome, Failure>, output: &Output) -> ExitCode {
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::DoneWithProblems) => ExitCode::from(PROBLEMS),
        Ok(Outcome::Ended(code)) => ExitCode::from(code),
        Err(error) => {
            let code = match error.kind() {
                FailureKind::Bug => BUG,
                FailureKind::Archive => ARCHIVE,
                FailureKind::Refused => REFUSED,
                FailureKind::Data => DATA,
                FailureKind::System => SYSTEM,
                FailureKind::Plugin => PLUGIN,
                FailureKind::Node => NODE,
                FailureKind::Interrupted => INTERRUPTED,
            };
            tell(&error, code, output);
            ExitCode::from(code)
        }
    }
}

/// Tells what the argument parser has to tell: help, the version, or what is wrong with the arguments.
pub(crate) fn not_parsed(told: &clap::Error) -> ExitCode {
    if !told.use_stderr() {
        let _ = told.print();
        return ExitCode::SUCCESS;
    }
    // What was not parsed cannot tell whether JSON is wanted.
    if std::env::args_os().any(|argument| argument == "--json") {
        let fields = ErrorFields {
            exit_code: ARGUMENTS,
            kind: "arguments",
            message: told.to_string().trim_end().to_owned(),
            causes: Vec::new(),
            remedy: Some("`couchcopy COMMAND --help` tells what each command takes.".into()),
        };
        Output::new(true).print(&ErrorJson { error: fields }, |_| String::new());
    } else {
        let _ = told.print();
    }
    ExitCode::from(ARGUMENTS)
}

/// An error as `--json` prints it.
#[derive(Serialize)]
struct ErrorJson {
    error: ErrorFields,
}

#[derive(Serialize)]
struct ErrorFields {
    exit_code: u8,
    kind: &'static str,
    message: String,
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

fn causes(error: &Failure) -> Vec<String> {
    let chain = std::iter::successors(std::error::Error::source(error), |error| error.source());
    chain.map(ToString::to_string).collect()
}

fn tell(error: &Failure, code: u8, output: &Output) {
    let causes = causes(error);
    if output.json {
        let kind = match error.kind() {
            FailureKind::Bug => "bug",
            FailureKind::Archive => "archive",
            FailureKind::Refused => "refused",
            FailureKind::Data => "data",
            FailureKind::System => "system",
            FailureKind::Plugin => "plugin",
            FailureKind::Node => "node",
            FailureKind::Interrupted => "interrupted",
        };
        let fields =
            ErrorFields { exit_code: code, kind, message: error.to_string(), causes, remedy: error.remedy() };
        output.print(&ErrorJson { error: fields }, |_| String::new());
        return;
    }
    let mut message = error.to_string();
    for cause in causes {
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    let mut diagnostic = MietteDiagnostic::new(message);
    if let Some(remedy) = error.remedy() {
        diagnostic = diagnostic.with_help(remedy);
    }
    error_line(&format!("{:?}", Report::new(diagnostic)));
}

//! Exit codes, and how an error is printed.

use miette::{MietteDiagnostic, MietteHandlerOpts, Report};
use outcome::{Code, Failure, FailureKind};
use serde::Serialize;
use textwrap::WordSplitter::NoHyphenation;

use crate::color::ColorChoice;
use crate::output::{error_line, print};
use crate::session::json_text;

/// Every way in which the process ends on its own. `docs/exit-codes.md` explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    Done,
    Bug,
    Arguments,
    Problems,
    Archive,
    Refused,
    Data,
    System,
    Plugin,
    Node,
    Interrupted,
}

impl ExitCode {
    /// Every exit code, in ascending order.
    pub(crate) const ALL: [Self; 11] = [
        Self::Done,
        Self::Bug,
        Self::Arguments,
        Self::Problems,
        Self::Archive,
        Self::Refused,
        Self::Data,
        Self::System,
        Self::Plugin,
        Self::Node,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Bug => 1,
            Self::Arguments => 2,
            Self::Problems => 3,
            Self::Archive => 4,
            Self::Refused => 5,
            Self::Data => 6,
            Self::System => 7,
            Self::Plugin => 8,
            Self::Node => 9,
            // As a shell reports a program that Ctrl-C has ended.
            Self::Interrupted => 130,
        }
    }

    /// The `kind` of an error in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Bug => "bug",
            Self::Arguments => "arguments",
            Self::Problems => "problems",
            Self::Archive => "archive",
            Self::Refused => "refused",
            Self::Data => "data",
            Self::System => "system",
            Self::Plugin => "plugin",
            Self::Node => "node",
            Self::Interrupted => "interrupted",
        }
    }

    /// What it means, in the words with which the table in `docs/exit-codes.md` begins.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, and nothing is wrong",
            Self::Bug => "an internal error of couchcopy",
            Self::Arguments => "wrong arguments",
            Self::Problems => "done, but something is damaged or was left out",
            Self::Archive => "the archive is damaged, cut short, or not an archive",
            Self::Refused => "refused: the request would be wrong or dangerous",
            Self::Data => "the data is damaged or incomplete",
            Self::System => "the operating system refused to read or write",
            Self::Plugin => "a plugin failed, or cannot be loaded",
            Self::Node => "a node was not reached, or did not do what it was asked to do",
            Self::Interrupted => "interrupted (Ctrl-C)",
        }
    }

    /// All exit codes as the help lists them.
    pub(crate) fn help() -> String {
        let line = |exit: Self| format!("  {:<4} {}", exit.code(), exit.meaning());
        format!("Exit codes:\n{}", Self::ALL.map(line).join("\n"))
    }
}

impl From<FailureKind> for ExitCode {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Bug => Self::Bug,
            FailureKind::Archive => Self::Archive,
            FailureKind::Refused => Self::Refused,
            FailureKind::Data => Self::Data,
            FailureKind::System => Self::System,
            FailureKind::Plugin => Self::Plugin,
            FailureKind::Node => Self::Node,
            FailureKind::Interrupted => Self::Interrupted,
        }
    }
}

/// How a command that was carried out ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything was done.
    Done,
    /// Something is damaged or was left out. The result names it.
    DoneWithProblems,
    /// The program that was run for the user ended with this code.
    Ended(u8),
}

impl Outcome {
    /// Done, completely or with problems that the result names.
    pub(crate) fn of(complete: bool) -> Self {
        if complete { Self::Done } else { Self::DoneWithProblems }
    }

    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => ExitCode::Done.code(),
            Self::DoneWithProblems => ExitCode::Problems.code(),
            Self::Ended(code) => code,
        }
    }
}

/// The exit code of several steps: of the first one that failed, else of one with problems.
pub(crate) fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let codes: Vec<u8> = codes.into_iter().collect();
    let finished = [ExitCode::Done.code(), ExitCode::Problems.code()];
    let failed = codes.iter().find(|code| !finished.contains(code));
    failed.or(codes.iter().max()).copied().unwrap_or(ExitCode::Done.code())
}

/// Prints the error, if there is one, and returns the exit code.
pub(crate) fn finish(
    outcome: Result<Outcome, Failure>,
    json: bool,
    color: ColorChoice,
) -> std::process::ExitCode {
    let code = match outcome {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            let exit = ExitCode::from(error.kind());
            if json {
                let (message, causes) = (error.to_string(), causes(&error));
                print_json(exit, Some(error.code()), message, causes, error.remedy());
            } else {
                print_text(&error, color);
            }
            exit.code()
        }
    };
    std::process::ExitCode::from(code)
}

/// Prints what the argument parser returns in place of arguments: help, the version, or what is wrong with the arguments.
pub(crate) fn not_parsed(error: &clap::Error) -> std::process::ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return std::process::ExitCode::SUCCESS;
    }
    // Without parsed arguments, only the words themselves show whether JSON is wanted.
    if std::env::args_os().any(|argument| argument == "--json") {
        let remedy = "Run `couchcopy COMMAND --help` to see the arguments of a command.";
        let message = error.to_string().trim_end().to_owned();
        print_json(ExitCode::Arguments, None, message, Vec::new(), Some(remedy.into()));
    } else {
        let _ = error.print();
    }
    std::process::ExitCode::from(ExitCode::Arguments.code())
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
    /// As docs/messages.md lists it; none for what the argument parser refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    message: String,
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

fn print_json(
    exit: ExitCode,
    code: Option<Code>,
    message: String,
    causes: Vec<String>,
    remedy: Option<String>,
) {
    let fields = ErrorFields { exit_code: exit.code(), kind: exit.name(), code, message, causes, remedy };
    print(&json_text(&ErrorJson { error: fields }));
}

fn causes(error: &Failure) -> Vec<String> {
    let chain = std::iter::successors(std::error::Error::source(error), |error| error.source());
    chain.map(ToString::to_string).collect()
}

fn print_text(error: &Failure, color: ColorChoice) {
    let mut message = error.to_string();
    for cause in causes(error) {
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    let mut diagnostic = MietteDiagnostic::new(message).with_code(error.code().to_string());
    if let Some(remedy) = error.remedy() {
        diagnostic = diagnostic.with_help(remedy);
    }
    let in_color = color.on_standard_error();
    // Without a hook, the form that miette chooses itself is printed.
    let _ = miette::set_hook(Box::new(move |_| {
        // Options and paths stay in one piece, so that they can be copied.
        let whole_words = MietteHandlerOpts::new().break_words(false).word_splitter(NoHyphenation);
        Box::new(whole_words.color(in_color).build())
    }));
    error_line(&format!("{:?}", Report::new(diagnostic)));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The rows `| code | meaning |…` of the documentation.
    fn documented() -> BTreeMap<u8, String> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/exit-codes.md");
        let text = std::fs::read_to_string(path).unwrap();
        let row = |line: &str| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            Some((cells.next()?.parse().ok()?, cells.next()?.to_owned()))
        };
        text.lines().filter_map(row).collect()
    }

    #[test]
    fn documentation_lists_every_exit_code_with_its_meaning() {
        let documented = documented();
        let listed = ExitCode::ALL;
        let codes: Vec<u8> = listed.iter().map(|exit| exit.code()).collect();
        assert_eq!(documented.keys().copied().collect::<Vec<_>>(), codes);
        for exit in listed {
            let (row, meaning) = (&documented[&exit.code()], exit.meaning());
            assert!(row.starts_with(meaning), "{}: {row:?} does not begin with {meaning:?}", exit.code());
        }
    }

    #[test]
    fn codes_and_names_differ() {
        for (i, one) in ExitCode::ALL.into_iter().enumerate() {
            for other in &ExitCode::ALL[i + 1..] {
                assert!(one.code() < other.code(), "{one:?} {other:?}");
                assert_ne!(one.name(), other.name());
            }
        }
    }
}

//! Commands and what comes of them.

use std::fmt;

use crate::{Command, Output};

impl Command {
    /// A program without arguments.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), arguments: Vec::new() }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args<A: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// With this argument, if there is one: goes with `[…]` in a pattern.
    #[must_use]
    pub fn maybe(self, argument: Option<String>) -> Self {
        match argument {
            Some(argument) => self.arg(argument),
            None => self,
        }
    }
}

/// For people; what it gives is no shell's language, but unusual arguments are seen to be one.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        for argument in &self.arguments {
            if argument.is_empty() || argument.contains(|c: char| c.is_whitespace() || c == '\'') {
                f.write_str(" '")?;
                f.write_str(argument)?;
                f.write_str("'")?;
            } else {
                f.write_str(" ")?;
                f.write_str(argument)?;
            }
        }
        Ok(())
    }
}

impl Output {
    /// Whether the program ended with exit code 0.
    pub fn success(&self) -> bool {
        self.exit_code == Some(0)
    }

    /// What the program said last about a failure: the last line that is not blank of standard error, else of standard
    /// output; empty where it said nothing.
    pub fn complaint(&self) -> &str {
        let text = if self.stderr.trim_end().is_empty() { &self.stdout } else { &self.stderr };
        text.trim_end().rsplit('\n').next().unwrap_or_default().trim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_for_people() {
        let command = Command::new("sh").args(["-c", "a b"]).arg("").maybe(None).maybe(Some("c".into()));
        assert_eq!(command.to_string(), "sh -c 'a b' '' c");
    }

    #[test]
    fn the_last_that_was_said_is_the_complaint() {
        let complaint = |stdout: &str, stderr: &str| {
            let output =
                Output { exit_code: None, stdout: stdout.into(), stderr: stderr.into(), truncated: false };
            output.complaint().to_owned()
        };
        assert_eq!(complaint("", ""), "");
        assert_eq!(complaint("a\nb\n", " \n"), "b");
        assert_eq!(complaint("a", "warning\r\n  fatal\r\n\n"), "fatal");
    }
}

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

    /// With what `make` gives as an argument, if anything: goes with `[…]` in a pattern.
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
        let last = |text: &'_ str| text.trim_end().len();
        let text = if last(&self.stderr) > 0 { &self.stderr } else { &self.stdout };
        text.trim_end().rsplit('\n').next().unwrap_or_default().trim()
    }
}

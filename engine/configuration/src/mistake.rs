//! A mistake in a file, and where it is.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The key with the tables around it, such as `repository.main.keep`; empty for the file itself.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, problem } = self;
        write!(f, "{}:{line}:{column}: ", file.display())?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(problem)
    }
}

/// A file whose mistakes are collected.
pub(crate) struct Text<'t> {
    pub(crate) file: &'t Path,
    pub(crate) text: &'t str,
}

impl Text<'_> {
    /// A mistake at this byte of the text.
    pub(crate) fn mistake(&self, at: usize, key: &str, problem: impl Into<String>) -> Mistake {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Mistake {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: key.to_owned(),
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_in_characters() {
        let text = Text { file: Path::new("/a"), text: "a\nää = 1\n" };
        let at = |byte| {
            let found = text.mistake(byte, "", "x");
            (found.line, found.column)
        };
        assert_eq!((at(0), at(2), at(4), at(3)), ((1, 1), (2, 1), (2, 2), (2, 1)));
        assert_eq!((at(9), at(1000)), ((2, 6), (3, 1)));
    }
}

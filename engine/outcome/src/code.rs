//! Stable codes of errors.

use std::fmt;

use serde::Serialize;

/// The stable code of an error: `CC-`, a letter for the area and two digits.
///
/// The text of a message may change between versions, its code does not. `docs/messages.md` has an entry for each code. Codes are
/// written as literals where the error is created, so that a text search finds the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Code(&'static str);

impl Code {
    /// Creates a code from its text.
    pub const fn new(code: &'static str) -> Self {
        Self(code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

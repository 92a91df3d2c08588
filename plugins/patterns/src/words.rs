//! Words of a line, as a POSIX shell would part and quote them. No shell is asked.

/// Splits a line into words: blanks part them, quotes and `\` protect, `#` at the beginning of a word begins a comment.
/// Nothing is expanded.
///
/// `None` where a quote is left open or a `\` ends the line.
pub fn split(line: &str) -> Option<Vec<String>> {
    shlex::split(line)
}

/// Joins words into one line that a POSIX shell parts into the very same words.
///
/// `None` where a word holds a NUL, which no argument can.
pub fn join<'w>(words: impl IntoIterator<Item = &'w str>) -> Option<String> {
    shlex::try_join(words).ok()
}

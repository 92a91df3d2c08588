//! Bytes on standard output and standard error. It is not an error if nobody reads them: a pager was left, `head` has enough.

use std::io::{self, BufWriter, Write};

use outcome::{Failure, Result};

/// Prints to standard output.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line on standard error.
pub(crate) fn error_line(line: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(format!("{line}\n").as_bytes());
}

/// Writes much to standard output.
pub(crate) fn stream(write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
    let written =
        write(&mut out).and_then(|()| out.flush().map_err(|e| Failure::io("write to", "standard output", e)));
    if matches!(&written, Err(error) if error.is_closed_pipe()) {
        // What is still in the buffer has no reader either.
        let _ = out.into_parts();
    }
    unless_closed(written)
}

/// Nothing where the only error is that the reader has closed standard output.
pub(crate) fn unless_closed(written: Result<()>) -> Result<()> {
    match written {
        Err(error) if error.is_closed_pipe() => Ok(()),
        written => written,
    }
}

//! What is said, and done again, where output did not arrive as it was written.

use std::time::Duration;

use plugin_host::printable;

use super::RemoteFiles;
use crate::error::{NodeError, Result};
use crate::files::framing::Broken;
use crate::way::{Ended, problem};

/// Pauses before a program that only reads is run again.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// Does something that only reads, again where its output arrives incomplete.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for pause in AGAIN {
        match attempt() {
            Err(NodeError::Incomplete { .. }) => std::thread::sleep(pause),
            done => return done,
        }
    }
    attempt()
}

impl RemoteFiles {
    /// The error for output that is missing something.
    pub(super) fn incomplete(&self, doing: &str, words: &[&str], problem: impl Into<String>) -> NodeError {
        NodeError::Incomplete {
            node: self.way.shown(),
            doing: doing.to_owned(),
            command: printable(&words.join(" ")),
            problem: problem.into(),
        }
    }

    /// The error for output that is not as it should be, of a program that ended like this.
    pub(super) fn broken(&self, doing: &str, words: &[&str], ended: &Ended, broken: Broken) -> NodeError {
        match broken {
            // A program that wrote nothing and failed says why.
            _ if ended.stdout.is_empty() && ended.code != 0 => self.way.failed(doing, words, ended),
            Broken::Incomplete(why) if ended.code == 0 => self.incomplete(doing, words, why),
            Broken::Incomplete(why) => {
                self.incomplete(doing, words, format!("{why}; it {}", problem(ended.code, &ended.stderr)))
            }
            Broken::Garbled(text) => self.garbled(doing, words, text),
        }
    }

    /// The error for output that contains foreign text.
    pub(super) fn garbled(&self, doing: &str, words: &[&str], text: String) -> NodeError {
        NodeError::Garbled {
            node: self.way.shown(),
            doing: doing.to_owned(),
            command: printable(&words.join(" ")),
            text,
        }
    }
}

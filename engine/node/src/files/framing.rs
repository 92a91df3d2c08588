//! Output that did not arrive as the program on the node wrote it.
//!
//! What lies between (ssh, kubectl, docker) may cut output or input off and end with exit code 0 all the same. So everything
//! that is requested from a node has an end that can be recognised, and requests that only read are repeated.

use plugin_host::printable;

/// So many characters of text that does not belong into the output are quoted.
const QUOTED: usize = 200;

/// What is wrong with output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// Some of it is missing, or came twice.
    Incomplete(&'static str),
    /// There is text in it that the program did not write.
    Garbled(String),
}

impl Broken {
    pub(super) fn cut_off() -> Self {
        Self::Incomplete("the end is missing")
    }

    pub(super) fn twice() -> Self {
        Self::Incomplete("more follows after the end")
    }

    pub(super) fn garbled(text: &str) -> Self {
        Self::Garbled(quotable(text.as_bytes()))
    }
}

/// The beginning of what came, for a message.
pub(super) fn quotable(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).trim().chars().take(QUOTED).collect();
    printable(&text)
}

/// How a stream of files ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    /// It came to its end, with all the files or, `false`, without some of them.
    Whole(bool),
    /// Whoever took the files wanted no more.
    Ended,
}

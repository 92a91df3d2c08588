//! The commands that a couchcopy plugin may run, as patterns; the contract (`wit/describe.wit`) says what a pattern means.
//!
//! The host refuses what no pattern allows, and the test kit of the plugin SDK refuses it in the same way: that is why this
//! is a crate of its own, without anything else in it.

mod matching;
mod pattern;
mod words;

pub use matching::{Values, is_free_argument};
pub use pattern::{Pattern, PatternError, Wraps};
pub use words::{join, split};

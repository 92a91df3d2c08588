//! Real clusters that couchcopy itself stops and starts, to replace their data while they run.
//!
//! All nodes are on this machine, but couchcopy may be led to them through a real sshd. Whatever becomes of a test, its nodes end
//! with it: where the system lets us, they are in a process namespace of its own; elsewhere a process watches over them that
//! notices when the test is gone.

mod control;
mod forwarder;
mod frozen;
mod site;

pub use control::Control;
pub use forwarder::Forwarder;
pub use frozen::Frozen;
pub use site::{Plan, Reach, Site};

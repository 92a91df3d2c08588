//! Tests a plugin without any service manager.
//!
//! [`ScriptedHost`] stands in for couchcopy: it gives a [`Service`](crate::Service) the answers that a test has written down
//! and is as strict as couchcopy with what the plugin runs. [`AccessTest`] does the same for an [`Access`](crate::Access)
//! and a [`Tunnel`](crate::Tunnel), [`FilterTest`] for a [`DocumentFilter`](crate::DocumentFilter).

mod access;
mod answer;
mod description;
mod filter;
mod host;

pub use access::AccessTest;
pub use answer::{Answer, cannot_run, exit, killed, missing, prints};
pub use filter::FilterTest;
pub use host::ScriptedHost;

#[cfg(test)]
mod tests;

//! Replaces the data of a running cluster.
//!
//! New data is copied beside the old one while CouchDB runs. Then all nodes are stopped, old and new data change places by
//! renaming, all nodes are started, and only when they agree is the old data removed. Whatever fails before that brings the
//! old data back.

mod describe;
mod kept;
mod maps_http;
mod options;
mod phases;
mod planned;
mod removal;
mod resume;
mod stage;
mod standstill;
mod undoing;

use outcome::report::{Notice, Reporter, Severity};

pub use options::{LiveOptions, LiveResult, MapsBy, NodeDescription, PlanDescription, SelectionDescription};
pub use planned::PlannedRestore;
pub(crate) use removal::remove_all;
pub use resume::{resume, roll_back};

/// Tells something that went wrong but does not matter for what was asked.
fn warn(reporter: &dyn Reporter, text: String) {
    reporter.notice(&Notice { severity: Severity::Warning, text });
}

//! Replaces the data of a running cluster.
//!
//! New data is copied next to the old data while CouchDB runs. Then all nodes are stopped, old and new data are swapped by
//! renaming, and all nodes are started. The old data is removed only when the nodes agree. Any failure before that rolls back to
//! the old data.

mod describe;
mod kept;
mod maps_http;
mod options;
pub(crate) mod phases;
pub(crate) mod planned;
pub(crate) mod removal;
pub(crate) mod resume;
pub(crate) mod stage;
pub(crate) mod standstill;
mod undoing;

use outcome::report::{Notice, Reporter, Severity};

pub use options::{
    LiveOptions, LiveResult, MapsBy, NodeDescription, PlacementDescription, PlanDescription,
    SelectionDescription,
};
pub use planned::PlannedRestore;
pub(crate) use removal::remove_all;
pub use resume::{Resumed, resume, roll_back};
pub(crate) use undoing::refuse_removed;

/// Reports a failure that does not affect the requested result.
pub(crate) fn warn(reporter: &dyn Reporter, text: String) {
    reporter.notice(&Notice { severity: Severity::Warning, text });
}

//! CouchDB's HTTP interface over archives, for reading.
//!
//! [`run`] serves one or several snapshots as CouchDB 3.5 would serve a node that was restored from them: browsers, programs and
//! replicators read them without a CouchDB. Nothing is written but local documents, which live in memory as long as the
//! server does, so that a replicator can leave its checkpoints.

mod api;
mod http;
mod options;
mod page;
mod server;

pub use options::{Authentication, Cors, OnProblem, Options, Served};
pub use server::{ServeError, interrupted, run};

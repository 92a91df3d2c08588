//! CouchDB in real containers, of docker and of podman.
//!
//! Where no docker daemon runs, one is started for the test, with folders and a socket of its own; podman gets storage of its
//! own. Containers have the host's network, so that no bridge and no packet filter is needed, and end by themselves after a
//! quarter of an hour, whatever becomes of the test. Where it takes what this system does not let us have, that is said loudly
//! and the test has nothing to do.

mod couch;
mod engine;

pub use couch::{CouchContainer, USER_ID};
pub use engine::Engine;

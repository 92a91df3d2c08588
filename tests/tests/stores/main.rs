//! Archives in object stores and pipes, and encrypted ones: written, read by ranges, refused with a reason, never half there.

mod ceph;
mod cluster;
mod conformance;
mod couchdb;
mod encrypted;
mod faults;
mod google;
mod locked;
mod mistakes;
mod pipes;
mod refused;
mod run;
mod stored;

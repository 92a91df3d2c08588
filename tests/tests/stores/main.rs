//! Archives in object stores and pipes, and encrypted ones: written, read by ranges, refused with a reason, never half there.

mod cluster;
mod conformance;
mod encrypted;
mod faults;
mod mistakes;
mod pipes;
mod run;
mod stored;

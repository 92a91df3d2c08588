//! How results are written for people.

mod bar;
pub(crate) mod configuration;
mod done;
mod events;
pub(crate) mod listing;
pub(crate) mod problems;
pub(crate) mod progress;
pub(crate) mod sizes;

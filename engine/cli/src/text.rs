//! How results are written for people.

pub(crate) mod configuration;
pub(crate) mod listing;
pub(crate) mod problems;
pub(crate) mod progress;
pub(crate) mod sizes;

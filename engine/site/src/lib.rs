//! The settings of a site: how its nodes are addressed and reached, which plugins control them, names and passwords.

pub mod plugin_development;
pub mod plugins;

mod site;

pub use site::*;

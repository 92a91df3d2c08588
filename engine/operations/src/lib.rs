//! What couchcopy does: one module per operation, over the archive and the file format.
//!
//! Nothing here prints or exits: progress and notices go to a [`outcome::report::Reporter`], results are returned.

pub mod agreement;
pub mod backup;
pub mod cat;
mod cluster;
pub mod error;
pub mod identity;
mod integrity;
pub mod inventory;
pub mod load;
pub mod look;
pub mod outside;
pub mod plugin_development;
pub mod plugins;
pub use node;
pub use snapshot;
pub mod proofs;
pub mod restore;
pub mod restore_databases;
pub mod selection;
pub mod site;
pub mod status;
pub mod swap;
pub mod unbrand;
pub mod verify;

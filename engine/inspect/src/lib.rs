//! Inspects backups without a CouchDB.

pub mod cat;
pub mod documents;
pub mod overview;
pub mod transfer;
pub mod verify;

//! Inspects backups without a CouchDB.

pub mod cat;
pub mod documents;
pub mod history;
pub mod overview;
pub mod transfer;
pub mod verify;

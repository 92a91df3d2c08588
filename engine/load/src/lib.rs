//! Runs a CouchDB of this machine on the data of a backup, and makes backups that a node with any name can load.

pub mod load;
pub mod unbrand;

//! Groups of options that several commands share.

pub(crate) mod access;
pub(crate) mod archive_file;
pub(crate) mod grants;
pub(crate) mod http;
pub(crate) mod impact;
pub(crate) mod moment;
pub(crate) mod nodes;
pub(crate) mod placement;
pub(crate) mod repository;
pub(crate) mod selection;
pub(crate) mod store;

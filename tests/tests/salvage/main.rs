//! Documents recovered from damaged files that a real CouchDB wrote, compared with what HTTP said of them before.

mod archive;
mod damage;
mod files;
mod nodes;
mod started;

//! The command `couchcopy` from end to end: what it makes of data that a real CouchDB wrote, of damage and of mistakes. No
//! CouchDB is needed.

mod checks;
mod config;
mod damaged;
mod damaged_inside;
mod hot;
mod impact;
mod interrupted;
mod other_programs;
mod permissions;
mod piped;
mod progress;
mod refusals;
mod restored;
mod run;
mod selection;
mod streams;
mod summary;
mod unbrand;
mod verified;

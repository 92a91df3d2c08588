//! The command `couchcopy` from end to end: what it makes of data that a real CouchDB wrote, of damage and of mistakes. No
//! CouchDB is needed.

#[path = "command/checks.rs"]
mod checks;
#[path = "command/config.rs"]
mod config;
#[path = "command/damaged.rs"]
mod damaged;
#[path = "command/damaged_inside.rs"]
mod damaged_inside;
#[path = "command/hot.rs"]
mod hot;
#[path = "command/interrupted.rs"]
mod interrupted;
#[path = "command/other_programs.rs"]
mod other_programs;
#[path = "command/permissions.rs"]
mod permissions;
#[path = "command/refusals.rs"]
mod refusals;
#[path = "command/restored.rs"]
mod restored;
#[path = "command/run.rs"]
mod run;
#[path = "command/selection.rs"]
mod selection;
#[path = "command/streams.rs"]
mod streams;
#[path = "command/unbrand.rs"]
mod unbrand;

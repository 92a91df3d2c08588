//! Plugins that do what no plugin should, through the command: each ends in time and with an error that helps, holds no more
//! memory than it may, and runs nothing that was not granted.

mod damage;
mod grants;
mod zoo;

//! Plugins that do what no plugin should, through the command: each ends in time and with an error that helps, holds no more
//! memory than it may, and runs nothing that was not granted.

#[path = "plugin_hostile/damage.rs"]
mod damage;
#[path = "plugin_hostile/grants.rs"]
mod grants;
#[path = "plugin_hostile/zoo.rs"]
mod zoo;

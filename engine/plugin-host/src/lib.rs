//! Runs couchcopy's plugins: WebAssembly components in a sandbox.
//!
//! A plugin is untrusted code behind the contract in `wit/`. It sees nothing of the machine: no files, no network, no clock,
//! no environment. A service plugin may ask for programs to be run on a node; the host runs only what a pattern of the
//! plugin's own description allows, and for a plugin that is not built in only if the user has granted exactly that. A
//! plugin that describes how a node is reached imports nothing at all; the command that it returns is checked in the same
//! manner. A document filter imports nothing either, and has no commands.
//!
//! [`PluginHost`] finds and loads plugins, [`ServicePlugin`], [`Chain`] and [`DocumentFilter`] are what the engine uses.

mod bindings;
mod builtin;
mod cache;
mod call;
mod chain;
mod contract;
mod description;
mod engine;
mod error;
mod filter;
mod find;
mod foresight;
mod grants;
mod host;
mod kind;
mod plugin;
mod process;
mod reference;
mod service;
mod text;

pub use bindings::filter::exports::couchcopy::plugin::documents::Verdict;
pub use bindings::types::{Command, Output, RunError, State};
pub use call::{Events, Limits, NoEvents};
pub use chain::{Chain, ChainLink};
pub use contract::Contract;
pub use description::{CommandPattern, Description, Setting, SettingsError};
pub use error::{CallFailure, LoadFailure, PluginError, Result};
pub use filter::{DocumentFilter, FilterInstance};
pub use find::{Folders, Origin};
pub use foresight::{Doubt, Hindrance};
pub use grants::{Grant, Grants, Permission, Ungranted};
pub use host::{HostOptions, PluginHost};
pub use kind::Kind;
pub use plugin::{Plugin, Settings};
pub use process::{Inherited, run_inherited};
pub use reference::{PluginReference, ReferenceError};
pub use service::{NodeId, ServicePlugin};
pub use text::{is_unprintable, join_words, printable};

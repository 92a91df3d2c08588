//! For authors of couchcopy plugins.
//!
//! couchcopy has to stop and start CouchDB and to reach the machine that it runs on, and every site does that in its own
//! way. A plugin tells it how: one WebAssembly component that can do nothing by itself. It says which commands it may run,
//! the user agrees, and couchcopy runs them for it. This crate is the contract (the WIT package `couchcopy:plugin`) as Rust,
//! and a kit to test a plugin without any service manager.
//!
//! A whole plugin:
//!
//! ```
//! use couchcopy_plugin::{Command, Description, Error, Host, Node, Service, Setting, State};
//!
//! /// CouchDB under a manager whose tool is called `acmectl`.
//! pub struct Acme;
//!
//! impl Service for Acme {
//!     fn describe() -> Description {
//!         Description::new("acme", env!("CARGO_PKG_VERSION"), "CouchDB as a service of acme")
//!             .setting(Setting::with_default("service", "couchdb", "The service's name"))
//!             .command("acmectl start {service}", "start CouchDB")
//!             .command("acmectl stop --wait {service}", "stop CouchDB")
//!             .command("acmectl is-up {service}", "see whether CouchDB runs")
//!     }
//!
//!     fn start(node: &Node, host: &dyn Host) -> Result<(), Error> {
//!         host.succeed(&acmectl(&["start", node.required("service")?]))?;
//!         Ok(())
//!     }
//!
//!     fn stop(node: &Node, host: &dyn Host) -> Result<(), Error> {
//!         host.succeed(&acmectl(&["stop", "--wait", node.required("service")?]))?;
//!         Ok(())
//!     }
//!
//!     fn status(node: &Node, host: &dyn Host) -> Result<State, Error> {
//!         let output = host.run(&acmectl(&["is-up", node.required("service")?]))?;
//!         Ok(match output.exit_code {
//!             Some(0) => State::Running,
//!             Some(1) => State::Stopped,
//!             _ => State::Unknown,
//!         })
//!     }
//! }
//!
//! fn acmectl(arguments: &[&str]) -> Command {
//!     Command::new("acmectl").args(arguments)
//! }
//!
//! couchcopy_plugin::export_service!(Acme);
//!
//! # // What follows would be `#[cfg(test)] mod tests { #[test] fn … }`.
//! use couchcopy_plugin::testing::{ScriptedHost, exit};
//!
//! let host = ScriptedHost::for_service::<Acme>()
//!     .set("service", "couchdb-2")
//!     .expect("acmectl is-up couchdb-2", exit(1))
//!     .expect("acmectl start couchdb-2", exit(0));
//! assert_eq!(Acme::status(&host.node(), &host).unwrap(), State::Stopped);
//! Acme::start(&host.node(), &host).unwrap();
//! ```
//!
//! A plugin is a plain `lib` crate: it compiles and is tested like any other, and the macro makes the component's exports
//! only where it is built for WebAssembly (`couchcopy plugin build`). A plugin that says how a node is reached implements
//! [`Access`] and uses [`export_access!`]; where it can also connect to ports as seen from there, [`Tunnel`] and
//! [`export_access_with_tunnel!`]. One that decides what becomes of documents in a restore implements [`DocumentFilter`] and uses
//! [`export_filter!`]; [`json`] changes documents without taking them apart.

mod access;
#[doc(hidden)]
pub mod bindings;
mod command;
mod description;
mod document;
mod error;
mod host;
pub mod json;
mod node;
mod service;
mod settings;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod tunnel;
mod wait;

pub use access::Access;
#[doc(hidden)]
pub use access::AccessComponent;
pub use bindings::description::exports::couchcopy::plugin::describe::{CommandPattern, Description, Setting};
pub use bindings::documents::exports::couchcopy::plugin::documents::Verdict;
pub use bindings::types::couchcopy::plugin::types::{
    Command, CommandFailed, Error, InvalidSetting, Node, Output, RunError, SettingValue, State,
};
pub use document::DocumentFilter;
pub use host::Host;
pub use service::Service;
#[doc(hidden)]
pub use service::ServiceComponent;
pub use settings::Settings;
pub use tunnel::Tunnel;
#[doc(hidden)]
pub use tunnel::TunnelComponent;
pub use wait::{Progress, wait_for};

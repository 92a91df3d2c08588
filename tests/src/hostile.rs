//! Plugins that do what no plugin should, made without any wasm toolchain: guests in the text format of WebAssembly, laid
//! out by hand for the canonical ABI and encoded as components of the contract in `wit/`.
//!
//! [`Guest::service`], [`Guest::access`], [`Guest::access_with_tunnel`] and [`Guest::filter`] behave; every hostile guest differs from
//! them in one thing.

mod contract;
mod damage;
mod guest;
mod image;
mod watch;
mod zoo;

pub use contract::{Contract, component};
pub use damage::{cuts, flips};
pub use guest::{Answer, Function, Guest, Step};
pub use image::{Command, Description, List, Pattern, Setting, Text};
pub use watch::{Home, Watched};
pub use zoo::{End, Hostile, Witness, access_zoo, service_zoo};

//! From a plugin's source in Rust to the one file that couchcopy loads.
//!
//! [`build`] compiles the crate in a folder for `wasm32-unknown-unknown` with whichever toolchain of this machine can do
//! that, and wraps the result into a component. The same source gives the same bytes wherever the same toolchain builds
//! it; [`Record`] says which one did, and stays in the file.

mod compile;
mod component;
mod error;
mod project;
pub mod template;
mod toolchain;

pub use compile::{Built, CompilerOutput, Options, build};
pub use component::{Interfaces, Kind, interfaces, kind, recorded};
pub use error::{BuildError, Result};
pub use toolchain::{Record, StandardLibrary, Toolchain};

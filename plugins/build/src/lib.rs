//! From a plugin's source in Rust to the one file that couchcopy loads.
//!
//! [`build`] compiles the crate in a folder for `wasm32-unknown-unknown` with whichever toolchain of this machine can do
//! that, and wraps the result into a component. The same source gives the same bytes wherever the same toolchain builds
//! it; [`Record`] says which one did, and stays in the file.
//!
//! [`Compiler`] and [`Places`] do the same for programs of other targets, which the releases of couchcopy are.

mod compile;
mod compiler;
mod component;
mod error;
mod places;
mod project;
pub mod template;
mod toolchain;

pub use compile::{Built, CompilerOutput, Options, build};
pub use compiler::{Compiler, StandardLibrary, cargo};
pub use component::{Interfaces, Kind, interfaces, kind, recorded};
pub use error::{BuildError, Result};
pub use places::Places;
pub use toolchain::{Record, Toolchain};

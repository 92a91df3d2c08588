//! How an operation proceeds and ends: failures with a remedy, progress, work on several threads.
//!
//! The base of couchcopy: this crate imports none of the others. Each crate above defines its own errors and implements
//! [`Advice`] for them: the kind of failure, a stable code and a remedy. A [`Failure`] carries any of them upwards, so that no
//! crate has to know the errors of all others.

mod advice;
mod code;
mod common;
mod durable;
mod failure;
mod lock;
mod printable;

pub mod parallel;
pub mod report;

pub use advice::{Advice, FailureKind};
pub use code::Code;
pub use common::{Common, io_remedy};
pub use durable::sync_folder;
pub use failure::{Failure, Result, with_causes};
pub use lock::Lock;
pub use printable::{is_unprintable, printable};

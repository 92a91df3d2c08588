//! Backups that run on their own: what is recorded of a run, whether all is well, and who hears of it.
//!
//! [`Records`] keeps on this machine how the last runs and verifications ended. [`Facts`] are the backups in a repository or a
//! directory of archives. [`assess`] compares both with limits. [`metrics`] writes the same for Prometheus, [`Listener`] answers
//! with it over HTTP, and [`run_hook`] runs a program of the user's.

mod facts;
mod health;
mod hooks;
mod listener;
pub mod metrics;
mod records;

pub use facts::{BackupFacts, Facts, SourceFacts};
pub use health::{Finding, Health, Limits, Status, assess};
pub use hooks::run_hook;
pub use listener::Listener;
pub use records::{Figures, Records, RunRecord, Step, StepError, StepOutcome, Verification};

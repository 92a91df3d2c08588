//! Real service managers, each in a place of its own, with one service that runs a real process.
//!
//! Where the system lets us, a manager lives in namespaces of its own: it finds an empty `/run`, can write
//! to its own folder alone, and all that it started dies with it. So tests run side by side and leave nothing
//! behind, whatever becomes of them. Where a manager is not installed, or such a place is needed and cannot be had, that is
//! said loudly and the test has nothing to do.

mod busybox;
mod command;
mod daemon;
mod fake;
mod init_d;
mod machine;
mod managed;
mod openrc;
mod recorded;
mod runit;
mod s6;
mod scanned;
mod sshd;
mod supervisor;
mod systemd;
mod sysv;

pub use busybox::link_busybox;
pub use command::start as command;
pub use daemon::{Daemon, write_program};
pub use fake::{FAKES, Fake, is_understood};
pub use machine::{Machine, find_program};
pub use managed::{Managed, reference};
pub use openrc::start as openrc;
pub use recorded::{docker, kubernetes};
pub use runit::start as runit;
pub use s6::start as s6;
pub use sshd::Sshd;
pub use supervisor::start as supervisor;
pub use systemd::{system as systemd, user as systemd_user};
pub use sysv::start as sysv;

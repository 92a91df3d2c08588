//! Backups through a way to the nodes that cuts off, doubles or delays what goes through it, or adds to it, and ends with exit
//! code 0: one call after the other, each with every fault. Either the archive is complete, or there is none, and it is said.
//!
//! No sshd is needed: a program in the place of `ssh` runs the commands on this machine. Restores of running clusters are in
//! `live_faults`.

mod messages;
mod saved;
mod views;

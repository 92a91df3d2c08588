//! Repositories in directories and stores: every backup is complete, and whatever fails or runs at the same time loses none.

mod clocks;
mod commands;
mod data;
mod faults;
mod killed;
mod locked;
mod lost;
mod mistakes;
mod place;
mod reading;
mod windows;

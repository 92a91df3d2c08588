//! Real CouchDB nodes and clusters, for the tests that need one.
//!
//! Every cluster has loopback addresses, node names, data and configuration of its own, so that tests run side by side,
//! and goes away with its value. Where no CouchDB is installed, [`Installation::find`] says so loudly and the test has
//! nothing to do.

mod addresses;
mod cluster;
mod command;
mod examined;
mod files;
mod http;
mod install;
mod load;
mod node;
mod npm;
mod oracle;
mod wait;
mod zoo;

pub use addresses::AddressBlock;
pub use cluster::{Cluster, Size, join, wait_until_settled, wait_until_synchronised};
pub use command::{Ended, back_up, binary, couchcopy, run, verify};
pub use examined::{check_indexes, check_log, check_login};
pub use files::{ShardState, ViewState, check_untouched, shards, views};
pub use http::{Answer, Http, PASSWORD, USER, encode};
pub use install::{Installation, python_couchcopy, skipped};
pub(crate) use install::{dying_with_us, on_path};
pub use load::{Load, LoadTold, command_line, group, is_alive, listening, wait_until_gone};
pub use node::{Node, Place};
pub use npm::npm_packages;
pub use oracle::{read as read_over_http, read_databases as read_databases_over_http};
pub use wait::{wait_at_most, wait_for};
pub use zoo::{fill as fill_zoo, query as query_zoo};

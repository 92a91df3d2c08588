//! Brings one node of a running cluster back: its disk is lost, or its data is.
//!
//! The other nodes run on and are not changed. They know which shards the node holds, so their shard maps count, not those of the
//! archive; and they have what was written since, which internal replication brings. From the archive come the contents, so that
//! not everything has to come from the other nodes, document by document.
//!
//! The node starts without `_dbs.couch`: it gets the shard maps of the other nodes as soon as they see it (`mem3_sync.erl`,
//! `handle_info({nodeup, …})`), and finds the files of its shards in place.

mod blank;
mod checks;
mod current;
mod options;
mod planned;
mod properties;
mod resume;

pub use options::{OneNodeDescription, OneNodeOptions, OneNodeResult};
pub use planned::PlannedNode;
pub(crate) use properties::Properties;
pub(crate) use resume::resume;

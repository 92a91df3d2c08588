//! Gives nodes of a cluster new names, in place: no data is copied.
//!
//! CouchDB finds the copies of a database by the names of nodes in its shard maps (`_dbs.couch`), and the nodes of its cluster in
//! `_nodes.couch`. A node that starts under another name, because its host name has changed, finds neither. All nodes are stopped,
//! both files are written again with the new names and swapped on every node, and all nodes are started. Shards name no node in
//! what CouchDB looks up: their epochs are a history, which CouchDB continues under the new name, and the checkpoints of internal
//! replication are found by the uuids of the copies (`mem3_rep.erl`, `make_local_id/3`).

mod checks;
mod documents;
mod error;
mod files;
mod names;
pub(crate) mod offline;
mod options;
mod planned;
mod resume;
mod write;

pub use error::RenameError;
pub use names::{NewName, NewNames};
pub use options::{RenameDescription, RenameOptions, RenameResult, RenamedNode};
pub use planned::PlannedRename;
pub use resume::resume;

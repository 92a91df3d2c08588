//! Builds new `.couch` files.

mod appender;
mod changed;
mod copied;
mod database;
mod new_document;
mod ordered;
mod placed;
mod sequenced;
mod settings;
mod tree;

pub use appender::Appender;
pub use changed::Leaf;
pub use database::DatabaseWriter;
pub use new_document::{NewAttachment, NewBody, NewDocument, NewRevision};
pub use ordered::OrderedWriter;
pub use sequenced::{SequencedWriter, SortedTree, SortedTrees};
pub use settings::{Settings, random_uuid};
pub(crate) use settings::{object_members, validate_node, validate_uuid};
pub use tree::TreeBuilder;

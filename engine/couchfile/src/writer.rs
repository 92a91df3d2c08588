//! Builds new `.couch` files.

mod appender;
mod database;
mod new_document;
mod tree;

pub use appender::Appender;
pub use database::{DatabaseWriter, Settings, random_uuid};
pub use new_document::{NewAttachment, NewBody, NewDocument, NewRevision};
pub use tree::TreeBuilder;

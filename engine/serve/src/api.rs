//! What is answered to which request.

mod all_docs;
mod archives;
mod attachment;
mod bulk_get;
mod changes;
mod context;
mod databases;
mod document;
mod document_query;
mod document_text;
mod find;
mod local;
mod local_docs;
mod multipart;
mod page;
mod partition;
mod queries;
mod revision;
mod revs_diff;
mod route;
mod settings;
mod view_arguments;
mod welcome;

pub(crate) use context::{Archive, Site};
pub(crate) use route::answer;

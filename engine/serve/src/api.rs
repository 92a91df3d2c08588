//! What is answered to which request.

mod all_docs;
mod archive;
mod archives;
mod attachment;
mod backups;
mod bulk_get;
mod changes;
mod context;
mod databases;
mod document;
mod document_query;
mod document_text;
mod find;
mod history;
mod local;
mod local_docs;
mod multipart;
mod page;
mod partition;
mod queries;
mod reference;
mod revision;
mod revs_diff;
mod route;
mod settings;
mod site;
mod view_arguments;
mod welcome;

pub(crate) use route::answer;
pub(crate) use site::Site;

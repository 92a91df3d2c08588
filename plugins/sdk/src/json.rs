//! Documents as JSON text: read and changed where they are, without being taken apart.
//!
//! A document filter sees millions of documents, and changes few members of each. [`edit`] walks through the text once and asks about
//! every value; what is not changed is copied as it is, and a document in which nothing changes costs no copy at all.

mod edit;
mod scan;
mod text;

pub use edit::{Edit, Step, edit};
pub use scan::{JsonError, Value, members};
pub use text::{quote, unquote};

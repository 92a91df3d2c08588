//! Documents: their entries in the trees, their bodies and their attachments.

mod attachment;
mod info;
mod json;
mod local;
mod packed;
mod summary;

pub use attachment::{Attachment, Encoding, Piece, read_attachment};
pub use info::DocInfo;
pub use json::{AttachmentForm, JsonOptions, RevMember, leaf_json, local_json};
pub use local::{LocalDocument, Purge};
pub(crate) use packed::PackedSummary;
pub use summary::Summary;

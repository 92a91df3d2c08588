//! Entity tags: they show a client that it has the newest answer already.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::call::Call;

/// Whether the client has the answer of that tag.
pub(crate) fn matches(call: &Call, etag: &str) -> bool {
    let header = call.header("if-none-match").unwrap_or_default();
    header.split([',', ' ']).any(|found| found.strip_prefix("W/").unwrap_or(found) == etag)
}

/// A tag of everything that distinguishes answers.
pub(crate) fn opaque(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

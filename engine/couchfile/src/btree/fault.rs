//! Damage in a tree, and what it hides.

use std::cmp::Ordering;

use super::key::Key;
use crate::error::CouchFileError;

/// Damage that a skipping cursor went around.
#[derive(Debug)]
pub struct Fault {
    /// What is wrong.
    pub why: CouchFileError,
    /// The entries that were passed over; `None` if all entries were read and only the summary in the node above is wrong.
    pub lost: Option<LostKeys>,
}

/// Entries of a tree that cannot be read, because the node that holds them or one above it is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostKeys {
    /// The key before the first lost entry, as an encoded term; `None` if the tree begins with the lost entries.
    pub after: Option<Vec<u8>>,
    /// The key of the last lost entry, as an encoded term; `None` if the tree ends with the lost entries.
    pub up_to: Option<Vec<u8>>,
    /// Number of lost entries, as the node above them records it; 0 if it is not recorded.
    pub entries: u64,
}

impl LostKeys {
    /// Whether a key is, or would be, among the lost entries.
    pub fn contains(&self, key: &Key<'_>) -> bool {
        let order = |raw: &[u8]| Key::decode(raw).map(|bound| key.order(&bound));
        let begun = self.after.as_deref().is_none_or(|raw| order(raw) == Ok(Ordering::Greater));
        let ended = self.up_to.as_deref().is_some_and(|raw| order(raw) == Ok(Ordering::Greater));
        begun && !ended
    }
}

impl std::fmt::Display for LostKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = |raw: &'_ Option<Vec<u8>>| {
            raw.as_ref().and_then(|raw| Key::decode(raw).ok().map(|key| key.to_string()))
        };
        match (key(&self.after), key(&self.up_to)) {
            (Some(after), Some(up_to)) => write!(f, "after {after} up to {up_to}"),
            (Some(after), None) => write!(f, "after {after}"),
            (None, Some(up_to)) => write!(f, "up to {up_to}"),
            (None, None) => f.write_str("of the whole tree"),
        }
    }
}

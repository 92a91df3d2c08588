//! The order, start and end of a walk through names or ids.

use std::cmp::Ordering;

/// A walk through names or ids, in the order of their bytes or in the opposite order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    /// Where to begin; `None`: at the first key of the order.
    pub start: Option<Vec<u8>>,
    /// Where to end; `None`: at the last key of the order.
    pub end: Option<Vec<u8>>,
    /// Whether `end` itself is excluded.
    pub exclusive_end: bool,
    /// Whether to walk in the opposite order.
    pub descending: bool,
}

/// Whether to continue a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Continue.
    On,
    /// Stop.
    Stop,
}

impl Walk {
    /// A walk over everything that begins with `prefix`.
    pub fn prefix(prefix: &str) -> Self {
        let mut end = prefix.as_bytes().to_vec();
        // The next larger name that does not begin with it; none after 0xff…
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Self {
                    start: Some(prefix.as_bytes().to_vec()),
                    end: Some(end),
                    exclusive_end: true,
                    descending: false,
                };
            }
        }
        Self { start: Some(prefix.as_bytes().to_vec()), ..Self::default() }
    }

    /// Whether `key` is after the end.
    pub(crate) fn is_past(&self, key: &[u8]) -> bool {
        let Some(end) = &self.end else { return false };
        let order = self.order(key, end);
        order == Ordering::Greater || (order == Ordering::Equal && self.exclusive_end)
    }

    /// The order in which keys come.
    pub(crate) fn order(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.descending { b.cmp(a) } else { a.cmp(b) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_name() {
        let walk = Walk::prefix("ab");
        assert!(!walk.is_past(b"ab") && !walk.is_past("ab\u{10ffff}".as_bytes()) && walk.is_past(b"ac"));
        assert_eq!(Walk::prefix("").end, None);
    }

    #[test]
    fn ends_count_in_the_direction_of_the_walk() {
        let down = Walk { end: Some(b"b".to_vec()), descending: true, ..Walk::default() };
        assert!(!down.is_past(b"c") && !down.is_past(b"b") && down.is_past(b"a"));
        let without = Walk { exclusive_end: true, ..down };
        assert!(without.is_past(b"b"));
    }
}

//! How far a phase is.

use serde::Serialize;

/// What is done of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Done {
    pub(super) items: u64,
    pub(super) bytes: u64,
}

impl Done {
    /// Notes what a thread reports, which may come after what another thread has counted later.
    pub(super) fn note(&mut self, items: u64, bytes: u64) {
        *self = Self { items: self.items.max(items), bytes: self.bytes.max(bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_back() {
        let mut done = Done::default();
        done.note(2, 20);
        done.note(1, 30);
        assert_eq!(done, Done { items: 2, bytes: 30 });
    }
}

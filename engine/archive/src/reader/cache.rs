//! Decompressed members that are kept.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use lru::LruCache;
use outcome::Lock;

use super::members::{ContentSize, Members};
use super::recent::Recent;
use crate::error::Result;

/// Members whose last use is remembered though their content was not kept.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// Members' memory that is kept for others, at most.
const SPARE: usize = 4;

/// Offset in the file and length of a member.
type Place = (u64, u64);

/// Decompressed members, those used last.
pub(super) struct Cache {
    state: Mutex<CacheState>,
}

struct CacheState {
    members: Recent<Place, Arc<Vec<u8>>>,
    remembered: LruCache<Place, ()>,
    /// Memory of members that went, for those to come: what one thread allocates and another frees comes back late.
    spare: Vec<Vec<u8>>,
}

impl Cache {
    /// A cache of up to `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        let state = CacheState {
            members: Recent::new(capacity),
            remembered: LruCache::new(REMEMBERED),
            spare: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// The content of a member, if it is kept.
    pub(super) fn get(&self, place: Place, size: ContentSize) -> Option<Arc<Vec<u8>>> {
        let mut state = self.state.locked();
        let content = state.members.get(&place)?;
        size.fits(content.len() as u64).then(|| Arc::clone(content))
    }

    /// Whether this member was asked for a short time ago: a caller that comes back to it reads on in what it holds.
    pub(super) fn comes_again(&self, place: Place) -> bool {
        let mut state = self.state.locked();
        state.remembered.put(place, ()).is_some()
    }

    fn put(&self, place: Place, content: &Arc<Vec<u8>>) {
        /// What a small member costs in addition to its content.
        const OVERHEAD: usize = 256;
        let mut state = self.state.locked();
        let gone = state.members.put(place, Arc::clone(content), content.len() + OVERHEAD);
        for old in gone {
            if state.spare.len() < SPARE
                && let Some(old) = Arc::into_inner(old)
            {
                state.spare.push(old);
            }
        }
    }

    /// Memory for a member of about this size, without much waste.
    fn spare(&self, size: ContentSize) -> Vec<u8> {
        let (ContentSize::Exactly(size) | ContentSize::UpTo(size)) = size;
        let mut state = self.state.locked();
        let fitting = state.spare.iter().position(|spare| spare.len() as u64 / 2 <= size);
        fitting.map(|at| state.spare.swap_remove(at)).unwrap_or_default()
    }

    /// The content of a member of `members`, out of the cache if it is there; otherwise it is kept from now on.
    pub(super) fn read(&self, members: &Members, place: Place, size: ContentSize) -> Result<Arc<Vec<u8>>> {
        if let Some(content) = self.get(place, size) {
            return Ok(content);
        }
        let mut content = self.spare(size);
        members.read(place.0, place.1, size, &mut content)?;
        let content = Arc::new(content);
        self.put(place, &content);
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: ContentSize = ContentSize::UpTo(u64::MAX);

    #[test]
    fn the_cache_keeps_what_was_used_last_within_its_bytes() {
        let cache = Cache::new(4 * 1256);
        for offset in 0..4 {
            cache.put((offset, 1), &Arc::new(vec![0; 1000]));
        }
        assert!(cache.get((0, 1), ANY).is_some());
        cache.put((4, 1), &Arc::new(vec![0; 1000]));
        assert!(cache.get((1, 1), ANY).is_none());
        assert!(cache.get((0, 1), ANY).is_some());
        assert!(cache.get((0, 1), ContentSize::Exactly(999)).is_none(), "of another size");
        cache.put((5, 1), &Arc::new(vec![0; 100_000]));
        assert!(cache.get((5, 1), ANY).is_none(), "larger than the cache");
        assert_eq!(cache.state.lock().unwrap().members.bytes(), 0);
    }

    #[test]
    fn members_that_come_again() {
        let cache = Cache::new(0);
        assert!(!cache.comes_again((0, 1)));
        assert!(!cache.comes_again((1, 1)));
        assert!(cache.comes_again((0, 1)));
        for offset in 2..18 {
            assert!(!cache.comes_again((offset, 1)));
        }
        assert!(!cache.comes_again((0, 1)), "too long ago");
    }
}

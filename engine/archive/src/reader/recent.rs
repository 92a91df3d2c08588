//! Values that were used last, within a number of bytes.

use std::hash::Hash;

use lru::LruCache;

/// Values by their keys, those used last.
pub(super) struct Recent<K: Hash + Eq, V> {
    capacity: usize,
    bytes: usize,
    values: LruCache<K, (V, usize)>,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// Keeps up to `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, bytes: 0, values: LruCache::unbounded() }
    }

    /// The value of a key, which counts as used now.
    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        self.values.get(key).map(|(value, _)| value)
    }

    /// Keeps a value of so many bytes; gives those that go for it. It may be among them.
    pub(super) fn put(&mut self, key: K, value: V, bytes: usize) -> Vec<V> {
        self.bytes += bytes;
        let mut gone = Vec::new();
        let replaced = self.values.put(key, (value, bytes));
        self.take_off(replaced, &mut gone);
        while self.bytes > self.capacity {
            let Some((_, oldest)) = self.values.pop_lru() else { break };
            self.take_off(Some(oldest), &mut gone);
        }
        gone
    }

    fn take_off(&mut self, value: Option<(V, usize)>, gone: &mut Vec<V>) {
        if let Some((value, bytes)) = value {
            self.bytes -= bytes;
            gone.push(value);
        }
    }

    /// Bytes of what is kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

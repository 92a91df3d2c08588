//! Mutexes whose content stays valid when a thread panics.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the content of a mutex, also after a thread has panicked while it held the lock.
///
/// A mutex of the standard library refuses its content from then on, because that thread may have left it half changed. In
/// couchcopy a thread changes the content of a mutex in one step, and a panic ends the operation anyway: the threads that
/// are still running only need their locks to come to their end.
pub trait Lock {
    /// What the mutex protects.
    type Content: ?Sized;

    /// Waits for the lock.
    fn locked(&self) -> MutexGuard<'_, Self::Content>;

    /// Takes the content out of a mutex that nobody else uses any more.
    fn into_content(self) -> Self::Content
    where
        Self::Content: Sized;
}

impl<T: ?Sized> Lock for Mutex<T> {
    type Content = T;

    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn into_content(self) -> T
    where
        T: Sized,
    {
        self.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_can_be_used_after_a_panic() {
        let mutex = Mutex::new(1);
        std::thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                let _held = mutex.locked();
                panic!("on purpose");
            });
            assert!(panicking.join().is_err());
        });
        assert!(mutex.is_poisoned());
        *mutex.locked() += 1;
        assert_eq!(mutex.into_content(), 2);
    }
}

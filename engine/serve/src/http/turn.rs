//! Whose turn it is to read an archive.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Failure;

/// Gives out turns.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

/// A turn at reading. More requests at a time than there are processors are answered no faster, and each thread that ever
/// answered one keeps memory; one that waits for its client to read lets others in in the meantime.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// So many turns at a time.
    pub(crate) fn new(turns: usize) -> Self {
        Self(Arc::new(Semaphore::new(turns)))
    }

    /// A turn, when it comes.
    pub(crate) async fn next(&self) -> Result<Turn, Failure> {
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(|_| Failure::Gone)?;
        Ok(Turn { turns: self.clone(), permit: Some(permit) })
    }
}

impl Turn {
    /// Waits for something without anybody waiting for this turn. On a thread that may block.
    pub(crate) fn pause<T>(&mut self, wait: impl FnOnce() -> T) -> Result<T, Failure> {
        self.permit = None;
        let done = wait();
        *self = Handle::current().block_on(self.turns.next())?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_pauses_lets_others_in() {
        let turns = Turns::new(1);
        let mut first = turns.next().await.unwrap();
        let others = turns.clone();
        let second = tokio::spawn(async move {
            others.next().await.unwrap();
        });
        let handle = Handle::current();
        tokio::task::spawn_blocking(move || {
            assert!(!second.is_finished());
            first.pause(|| handle.block_on(second)).unwrap().unwrap();
            assert!(first.permit.is_some());
        })
        .await
        .unwrap();
        assert_eq!(turns.0.available_permits(), 1);
    }
}

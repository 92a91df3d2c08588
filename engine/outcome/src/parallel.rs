//! Work spread over threads.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of threads to use: `wanted`, or the number of cores if `wanted` is 0.
pub fn threads(wanted: usize) -> usize {
    if wanted > 0 { wanted } else { std::thread::available_parallelism().map_or(1, NonZero::get) }
}

/// Calls `work` once for every item, on several threads. The first error, in the order of the items, is returned.
pub fn for_each<T: Sync, E: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(usize, &T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    for_each_batch(threads, 32, items, work)
}

/// As [`for_each`], for items that each take long.
pub fn for_each_large<T: Sync, E: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(usize, &T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    for_each_batch(threads, 1, items, work)
}

fn for_each_batch<T: Sync, E: Send>(
    threads: usize,
    batch: usize,
    items: &[T],
    work: impl Fn(usize, &T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let failures: Vec<Option<(usize, E)>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads.max(1))
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let start = next.fetch_add(batch, Ordering::Relaxed);
                        if start >= items.len() {
                            return None;
                        }
                        let end = (start + batch).min(items.len());
                        for (i, item) in items[start..end].iter().enumerate() {
                            if let Err(error) = work(start + i, item) {
                                // The others stop at their next batch.
                                next.store(items.len(), Ordering::Relaxed);
                                return Some((start + i, error));
                            }
                        }
                    }
                })
            })
            .collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
    });
    match failures.into_iter().flatten().min_by_key(|(i, _)| *i) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Calls `work` for all items at the same time, each on a thread of its own, and returns the results in the order of the items.
/// For work that waits for a node, a connection or a disk.
pub fn all_at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            items.iter().enumerate().map(|(i, item)| scope.spawn(move || work(i, item))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_once_and_errors_come_back() {
        let items: Vec<usize> = (0..1000).collect();
        let sum = AtomicUsize::new(0);
        for_each(4, &items, |_, item| {
            sum.fetch_add(*item, Ordering::Relaxed);
            Ok::<(), ()>(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 499_500);
        assert_eq!(for_each(4, &items, |i, _| if i == 500 { Err(i) } else { Ok(()) }), Err(500));
    }
}

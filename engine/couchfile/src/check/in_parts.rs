//! Walks over a tree, on several threads if it is large enough.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::report::Report;
use crate::btree::{Cursor, Subtree, TreeKind};
use crate::database::Database;
use crate::error::Result;
use crate::read_at::ReadAt;

/// Parts for each thread: they differ in size, and a thread that is done early takes another one.
const PARTS: usize = 16;

/// Hands cursors that together go over the complete tree to `walk`, each with a report of its own, on up to `threads` threads;
/// gives the results in the order of the keys. The cursors go around damage.
pub(super) fn walk<R: ReadAt, T: Send>(
    database: &Database<R>,
    kind: TreeKind,
    parts: Option<&[Subtree]>,
    threads: usize,
    report: &mut Report,
    walk: impl Fn(Cursor<'_, R>, &mut Report) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let Some(parts) = parts else {
        return Ok(vec![walk(database.cursor_around_damage(kind)?.checking(), report)?]);
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(number) else { return done };
            let mut found = Report::default();
            let walked = database.cursor_over(kind, part).and_then(|cursor| walk(cursor, &mut found));
            if walked.is_err() {
                // The others end with the part that they are in.
                next.store(parts.len(), Ordering::Relaxed);
            }
            done.push((number, walked, found));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(parts.len())).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, ..)| *number);
    let mut walked = Vec::with_capacity(done.len());
    for (_, result, found) in done {
        walked.push(result?);
        report.merge(found);
    }
    Ok(walked)
}

/// Cuts a tree for so many threads; `None` if one thread has to walk over all of it.
pub(super) fn cut<R: ReadAt>(
    database: &Database<R>,
    kind: TreeKind,
    threads: usize,
) -> Result<Option<Vec<Subtree>>> {
    if threads < 2 {
        return Ok(None);
    }
    let parts = database.subtrees(kind, threads.saturating_mul(PARTS))?;
    Ok(parts.filter(|parts| parts.len() >= 2 * threads))
}

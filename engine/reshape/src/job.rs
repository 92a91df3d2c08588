//! Divides the new ranges into jobs that do not depend on each other.

use std::ops::Range as Numbers;

use couchfile::data_dir::Range;

/// Files that are written at the same time.
const OPEN: usize = 64;

/// New ranges that are written in one pass over the old ones that they overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Numbers of new ranges.
    pub(crate) targets: Numbers<usize>,
    /// Numbers of the old ranges that overlap them.
    pub(crate) sources: Vec<usize>,
}

/// Divides the new ranges; both lists ascend and cover the hash space.
///
/// Where an old and a new range begin at the same hash, a job can begin that reads nothing that another job reads. Further cuts
/// are made only so that every thread has work, or where too many files would be open at the same time: both jobs then read the
/// same sequences, but each copies only its own documents.
pub(crate) fn jobs(sources: &[Range], targets: &[Range], threads: usize) -> Vec<Job> {
    let mut parts: Vec<Numbers<usize>> = Vec::new();
    for (i, target) in targets.iter().enumerate() {
        let begins = sources.iter().any(|source| source.begin == target.begin);
        match parts.last_mut() {
            Some(part) if !begins => part.end = i + 1,
            _ => parts.push(i..i + 1),
        }
    }
    // Each part is cut into as many pieces as it takes for all threads together.
    let pieces = threads.max(1).div_ceil(parts.len().max(1));
    let mut jobs = Vec::new();
    for part in parts {
        let size = part.len().div_ceil(pieces).clamp(1, OPEN);
        let mut begin = part.start;
        while begin < part.end {
            let end = (begin + size).min(part.end);
            let (first, last) = (targets[begin], targets[end - 1]);
            let hull = Range { begin: first.begin, end: last.end };
            let sources = (0..sources.len()).filter(|&i| sources[i].overlaps(hull)).collect();
            jobs.push(Job { targets: begin..end, sources });
            begin = end;
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(from: u32, to: u32, threads: usize) -> Vec<(usize, usize, usize)> {
        jobs(&Range::split(from), &Range::split(to), threads)
            .into_iter()
            .map(|job| (job.targets.start, job.targets.end, job.sources.len()))
            .collect()
    }

    #[test]
    fn ranges_that_have_nothing_in_common_are_apart() {
        assert_eq!(shown(2, 8, 1), [(0, 4, 1), (4, 8, 1)]);
        // Steps are rounded, so that these have no border in common.
        assert_eq!(shown(2, 6, 1), [(0, 6, 2)]);
        assert_eq!(shown(8, 1, 4), [(0, 1, 8)]);
        assert_eq!(shown(1, 8, 2), [(0, 4, 1), (4, 8, 1)]);
        assert_eq!(shown(3, 5, 1), [(0, 5, 3)]);
        assert_eq!(shown(3, 5, 2), [(0, 3, 2), (3, 5, 2)]);
    }

    #[test]
    fn not_too_many_files_are_open() {
        assert!(shown(1, 1000, 1).iter().all(|(begin, end, _)| end - begin <= OPEN));
        assert_eq!(shown(1, 1000, 1).last().unwrap().1, 1000);
    }
}

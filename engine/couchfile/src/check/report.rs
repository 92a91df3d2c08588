//! What a check found.

use super::quoted;
use crate::data_dir::Range;

/// Problems of one file that are described in words, at most; the rest are counted.
const MAX_PROBLEMS: usize = 20;
/// Documents in the wrong range that are named, at most.
const MAX_MISPLACED: usize = 5;
/// What the problem of a document in the wrong range says, before the range.
const MISPLACED: &str = "does not belong into the range ";

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Documents that exist.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// Leaf revisions of both.
    pub leaves: u64,
    /// Bodies read, those of old revisions included.
    pub bodies: u64,
    /// Attachments read.
    pub attachments: u64,
    /// Bytes of the attachments.
    pub attachment_bytes: u64,
    /// Local documents.
    pub local_documents: u64,
    /// Purges remembered.
    pub purges: u64,
    /// Documents that do not belong into the shard's range. They are among the problems, too.
    pub misplaced: Misplaced,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// How many things are wrong.
    pub problem_count: u64,
}

/// Documents that lie in a shard that is not theirs.
#[derive(Debug, Default)]
pub struct Misplaced {
    /// How many there are.
    pub count: u64,
    /// The ids of the first ones.
    pub ids: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problem_count == 0
    }

    #[allow(clippy::needless_pass_by_value)] // Callers hand over errors and new strings.
    pub(super) fn problem(&mut self, what: impl std::fmt::Display) {
        self.problem_count += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(what.to_string());
        }
    }

    pub(super) fn misplaced(&mut self, id: &[u8], range: Range) {
        self.misplaced.count += 1;
        if self.misplaced.ids.len() < MAX_MISPLACED {
            self.misplaced.ids.push(String::from_utf8_lossy(id).into_owned());
        }
        self.problem(format!("{}: {MISPLACED}{range}", quoted(id)));
    }

    /// What is wrong besides documents in the wrong range, as [`Self::in_words`] has it; `None` if nothing is.
    pub fn damage_in_words(&self, most: usize) -> Option<String> {
        let count = self.problem_count.saturating_sub(self.misplaced.count);
        if count == 0 {
            return None;
        }
        let told = self.problems.iter().filter(|problem| !problem.contains(MISPLACED));
        let told: Vec<&str> = told.take(most).map(String::as_str).collect();
        let more = count.saturating_sub(told.len() as u64);
        let told = told.join("; ");
        Some(match (told.is_empty(), more) {
            (true, more) => format!("{more} problems"),
            (false, 0) => told,
            (false, more) => format!("{told}; and {more} more"),
        })
    }

    /// Adds what was found in another part of the same file.
    pub(super) fn merge(&mut self, other: Self) {
        self.documents += other.documents;
        self.deleted += other.deleted;
        self.leaves += other.leaves;
        self.bodies += other.bodies;
        self.attachments += other.attachments;
        self.attachment_bytes += other.attachment_bytes;
        self.local_documents += other.local_documents;
        self.purges += other.purges;
        self.misplaced.count += other.misplaced.count;
        self.misplaced.ids.extend(other.misplaced.ids);
        self.misplaced.ids.truncate(MAX_MISPLACED);
        self.problem_count += other.problem_count;
        self.problems.extend(other.problems);
        self.problems.truncate(MAX_PROBLEMS);
    }

    /// The first `most` problems on one line, and how many more there are.
    pub fn in_words(&self, most: usize) -> String {
        let told: Vec<&str> = self.problems.iter().take(most).map(String::as_str).collect();
        let more = self.problem_count.saturating_sub(told.len() as u64);
        let told = told.join("; ");
        if more > 0 { format!("{told}; and {more} more") } else { told }
    }

    /// The problems in words, the last one a count of those that are not described.
    pub fn told(self) -> Vec<String> {
        let mut told = self.problems;
        let more = self.problem_count.saturating_sub(told.len() as u64);
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        told
    }
}

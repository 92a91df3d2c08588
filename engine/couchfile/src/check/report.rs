//! What a check found.

/// Problems of one file that are described in words, at most; the rest are counted.
const MAX_PROBLEMS: usize = 20;

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
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// How many things are wrong.
    pub problem_count: u64,
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

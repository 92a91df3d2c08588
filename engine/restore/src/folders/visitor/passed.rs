//! What has passed through a filter.

use cluster::agreement::Promised;

/// How many documents of each database have passed through the filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// New names of databases with the documents that are in them now, deleted ones included.
    databases: Vec<(String, u64)>,
    left_out: u64,
}

impl Passed {
    /// Adds a database by its new name.
    pub(super) fn add(&mut self, name: &str, documents: u64, left_out: u64) {
        self.databases.push((name.to_owned(), documents));
        self.left_out += left_out;
    }

    /// Documents that were left out, of all databases.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Has the nodes hold these documents.
    pub(crate) fn promise(&self, promised: &mut Promised) {
        promised.set(&self.databases.iter().map(|(name, documents)| (name.as_str(), *documents)).collect());
    }
}

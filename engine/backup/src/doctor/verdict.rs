//! What was found, and what has to be looked at again before it counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use couchfile::data_dir::Range;
use outcome::Lock;
use serde::Serialize;

use super::copy::State;
use super::finding::{Finding, FindingKind, FindingSeverity};

/// The most findings that are listed one by one; all are counted.
const LISTED: usize = 10_000;

/// With fewer findings than this, each file is waited for that may be about to appear.
const FEW: usize = 1000;

/// The result of an examination.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diagnosis {
    /// The nodes that were examined.
    pub nodes: Vec<String>,
    /// Whether trees, bodies and attachments were checked.
    pub deep: bool,
    /// Databases that the shard maps name.
    pub databases: u64,
    /// Copies of shards that were opened.
    pub copies: u64,
    /// View indexes that were opened.
    pub indexes: u64,
    /// Bytes of the copies that were checked completely.
    pub checked_bytes: u64,
    /// Number of findings that are errors.
    pub errors: u64,
    /// Number of findings that are warnings.
    pub warnings: u64,
    /// Number of findings that are notes.
    pub notes: u64,
    /// Number of findings of each kind, by its identifier.
    pub counts: BTreeMap<&'static str, u64>,
    /// Bytes of files that are not used: leftovers of databases, compactions and restores.
    pub leftover_bytes: u64,
    /// Ranges whose copies could not be compared, because CouchDB compacted them in the meantime.
    pub unsettled_ranges: u64,
    /// The findings, the most severe first; at most 10,000.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether nothing of this severity or above was found.
    pub fn is_free_of(&self, severity: FindingSeverity) -> bool {
        match severity {
            FindingSeverity::Error => self.errors == 0,
            FindingSeverity::Warning => self.errors + self.warnings == 0,
            FindingSeverity::Note => self.counts.is_empty(),
        }
    }
}

/// The states of the copies of a database whose copies differ, by range and number of the data directory.
pub(super) type Before = HashMap<(Range, usize), State>;

/// Which part of the examination found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Area {
    /// The shard maps, which are always examined.
    Maps,
    /// The copies of a database.
    Copies,
    /// Files that no shard map names.
    Files,
    /// View indexes.
    Indexes,
}

/// What has to be looked at again.
#[derive(Default)]
pub(super) struct Suspects {
    /// Whether everything has to be looked at: nothing has been looked at yet.
    is_all: bool,
    /// What was found, by its key, with a number that stays the same while the files stay the same.
    found: HashMap<u64, u64>,
    areas: HashSet<Area>,
    /// Databases whose copies have to be opened again, with the states of those that differ.
    databases: HashMap<Box<str>, Before>,
    /// Ranges that could not be compared.
    unsettled: u64,
}

impl Suspects {
    /// Everything.
    pub(super) fn all() -> Self {
        Self { is_all: true, ..Self::default() }
    }

    /// Whether everything has to be looked at.
    pub(super) fn is_all(&self) -> bool {
        self.is_all
    }

    /// Whether there are so few that each may take some time.
    pub(super) fn are_few(&self) -> bool {
        !self.is_all && self.found.len() < FEW
    }

    /// Whether nothing has to be looked at again.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_all && self.found.is_empty() && self.databases.is_empty()
    }

    /// Whether this part has to be looked at.
    pub(super) fn has(&self, area: Area) -> bool {
        self.is_all || self.areas.contains(&area)
    }

    /// Whether the copies of a database have to be opened.
    pub(super) fn has_database(&self, db: &str) -> bool {
        self.is_all || self.databases.contains_key(db)
    }

    /// The states in which the copies of a database were when they differed.
    pub(super) fn before(&self, db: &str) -> Option<&Before> {
        self.databases.get(db)
    }
}

/// Takes down what one look finds, on any thread.
pub(super) struct Notebook<'v> {
    suspects: &'v Suspects,
    inner: Mutex<(Verdict, Suspects)>,
}

impl<'v> Notebook<'v> {
    /// For a look at `suspects`.
    pub(super) fn new(suspects: &'v Suspects, verdict: Verdict) -> Self {
        Self { suspects, inner: Mutex::new((verdict, Suspects::default())) }
    }

    /// What is looked at.
    pub(super) fn suspects(&self) -> &Suspects {
        self.suspects
    }

    /// Something was found. It counts if it was found in the look before, too.
    pub(super) fn note(&self, area: Area, finding: Finding) {
        self.note_of_files(area, finding, 0);
    }

    /// The same, of files that have to be the same as in the look before: `mark` is a number that stays while they do.
    pub(super) fn note_of_files(&self, area: Area, finding: Finding, mark: u64) {
        let key = finding.key();
        let (verdict, next) = &mut *self.inner.locked();
        if self.suspects.is_all {
            next.found.insert(key, mark);
            next.areas.insert(area);
            if let (Area::Copies, Some(db)) = (area, finding.database) {
                next.databases.entry(db.into_boxed_str()).or_default();
            }
        } else if self.suspects.found.get(&key) == Some(&mark) {
            verdict.add(key, finding);
        }
    }

    /// Something was found that a second look cannot change.
    pub(super) fn note_at_once(&self, finding: Finding) {
        let key = finding.key();
        self.inner.locked().0.add(key, finding);
    }

    /// The copies of a range differ in these states: they have to be compared again.
    pub(super) fn compare_again(&self, db: &str, states: Vec<((Range, usize), State)>) {
        let (_, next) = &mut *self.inner.locked();
        next.unsettled += 1;
        next.databases.entry(db.into()).or_default().extend(states);
    }

    /// Changes the numbers of what was examined. They are those of the first look.
    pub(super) fn count(&self, count: impl FnOnce(&mut Diagnosis)) {
        if self.suspects.is_all {
            count(&mut self.inner.locked().0.diagnosis);
        }
    }

    /// What is certain by now, and what has to be looked at again.
    pub(super) fn into_results(self) -> (Verdict, Suspects) {
        self.inner.into_content()
    }
}

/// What is certain.
pub(super) struct Verdict {
    diagnosis: Diagnosis,
    known: HashSet<u64>,
}

impl Verdict {
    pub(super) fn new(deep: bool) -> Self {
        Self { diagnosis: Diagnosis { deep, ..Diagnosis::default() }, known: HashSet::new() }
    }

    fn add(&mut self, key: u64, finding: Finding) {
        if !self.known.insert(key) {
            return;
        }
        let diagnosis = &mut self.diagnosis;
        match finding.severity {
            FindingSeverity::Error => diagnosis.errors += 1,
            FindingSeverity::Warning => diagnosis.warnings += 1,
            FindingSeverity::Note => diagnosis.notes += 1,
        }
        *diagnosis.counts.entry(FindingKind::id(finding.kind)).or_default() += 1;
        diagnosis.leftover_bytes = diagnosis.leftover_bytes.saturating_add(finding.bytes.unwrap_or(0));
        if diagnosis.findings.len() < LISTED {
            diagnosis.findings.push(finding);
        }
    }

    /// Takes down what could not be compared to the end.
    pub(super) fn note_unsettled(&mut self, left: &Suspects) {
        self.diagnosis.unsettled_ranges = left.unsettled;
    }

    pub(super) fn into_diagnosis(self) -> Diagnosis {
        let mut diagnosis = self.diagnosis;
        diagnosis.findings.sort();
        diagnosis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(node: &str) -> Finding {
        Finding::new(FindingKind::MissingCopy, "x").of("db").on(node)
    }

    /// Looks several times, each time with these findings and marks.
    fn looked(looks: &[&[(&str, u64)]]) -> Diagnosis {
        let mut verdict = Verdict::new(false);
        let mut suspects = Suspects::all();
        for found in looks {
            let notes = Notebook::new(&suspects, verdict);
            for (node, mark) in *found {
                notes.note_of_files(Area::Copies, finding(node), *mark);
            }
            (verdict, suspects) = notes.into_results();
        }
        verdict.into_diagnosis()
    }

    #[test]
    fn only_what_is_seen_twice_counts() {
        let diagnosis = looked(&[&[("a", 0), ("b", 0), ("c", 1)], &[("a", 0), ("c", 2), ("d", 0)]]);
        let nodes: Vec<_> = diagnosis.findings.iter().filter_map(|finding| finding.node.as_deref()).collect();
        assert_eq!(nodes, ["a"]);
        assert_eq!((diagnosis.errors, diagnosis.counts["missing-copy"]), (1, 1));
        assert!(!diagnosis.is_free_of(FindingSeverity::Warning));
        assert!(looked(&[&[("a", 0)], &[]]).is_free_of(FindingSeverity::Note));
    }

    #[test]
    fn a_finding_counts_once() {
        let suspects = Suspects::all();
        let notes = Notebook::new(&suspects, Verdict::new(false));
        notes.note_at_once(finding("a"));
        notes.note_at_once(finding("a"));
        let (verdict, next) = notes.into_results();
        assert!(next.is_empty());
        assert_eq!(verdict.into_diagnosis().errors, 1);
    }
}

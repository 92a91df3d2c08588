//! Compares what documents were with what they are in the cluster.

use std::collections::BTreeMap;

use outcome::Result;
use outcome::report::Reporter;
use snapshot::{Document, SnapshotDatabase, Walk};

use super::super::super::sender::Sender;
use super::super::compare;
use super::super::entries::Entry;
use super::super::live::{self, Existing, Now};
use super::super::report::{LISTED, Was};
use super::{Choice, Expected, PlannedRewind, RewindOptions};

/// Documents that are compared at a time, and the bytes of their content in the backup.
const TOGETHER: usize = 200;
const BYTES: u64 = 2 << 20;

/// A document that is still to be judged.
struct Pending<'d> {
    id: String,
    /// What it was, if it existed then.
    then: Option<Document<'d>>,
    /// Its newest revision, if it is known to exist.
    rev: Option<String>,
    expected: Option<Expected>,
}

/// Compares documents, some at a time.
pub(super) struct Comparison<'c, 'd> {
    options: &'c RewindOptions,
    sender: &'c Sender<'c>,
    source: &'d SnapshotDatabase,
    reporter: &'c dyn Reporter,
    compared: u64,
    pending: Vec<Pending<'d>>,
    bytes: u64,
    planned: &'c mut PlannedRewind,
}

impl<'c, 'd> Comparison<'c, 'd> {
    /// Compares with what a database was, for a plan.
    pub(super) fn new(
        options: &'c RewindOptions,
        sender: &'c Sender<'c>,
        source: &'d SnapshotDatabase,
        reporter: &'c dyn Reporter,
        planned: &'c mut PlannedRewind,
    ) -> Self {
        Self { options, sender, source, reporter, compared: 0, pending: Vec::new(), bytes: 0, planned }
    }

    /// All documents of the backup and of the cluster, both in the order of their ids.
    pub(super) fn all(&mut self, walk: &Walk) -> Result<()> {
        let sender = self.sender;
        let mut existing = Existing::new(sender, walk.start.clone());
        let is_past = |id: &str| {
            walk.end.as_deref().is_some_and(|end| {
                if walk.exclusive_end { id.as_bytes() >= end } else { id.as_bytes() > end }
            })
        };
        let source = self.source;
        for found in source.in_order_around_damage(walk)? {
            let then = match found {
                Ok((_, then)) => then,
                Err(e) if e.is_damage() => {
                    self.unreadable(&outcome::with_causes(&e));
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            while let Some((id, _)) = existing.peek()?
                && id.as_str() < then.id()
            {
                self.new_document(existing.take())?;
            }
            let rev = match existing.peek()? {
                Some((id, _)) if id == then.id() => existing.take().map(|(_, rev)| rev),
                _ => None,
            };
            self.put(Pending { id: then.id().to_owned(), then: Some(then), rev, expected: None })?;
        }
        while let Some((id, _)) = existing.peek()?
            && !is_past(id)
        {
            self.new_document(existing.take())?;
        }
        Ok(())
    }

    /// A document of the cluster that the walk has not met in the backup.
    fn new_document(&mut self, found: Option<(String, String)>) -> Result<()> {
        let Some((id, rev)) = found else { return Ok(()) };
        let then = self.source.document(&id)?;
        self.put(Pending { id, then, rev: Some(rev), expected: None })
    }

    pub(super) fn these(&mut self, ids: &BTreeMap<String, Option<Expected>>) -> Result<()> {
        let source = self.source;
        for (id, expected) in ids {
            let then = source.document(id)?;
            if then.as_ref().is_none_or(Document::is_deleted)
                && !self.options.exact
                && self.planned.description.not_then.len() < LISTED
                && matches!(self.options.choice, Choice::These(_))
            {
                self.planned.description.not_then.push(id.clone());
            }
            self.put(Pending { id: id.clone(), then, rev: None, expected: expected.clone() })?;
        }
        Ok(())
    }

    fn put(&mut self, mut pending: Pending<'d>) -> Result<()> {
        self.compared += 1;
        pending.then = pending.then.filter(|then| !then.is_deleted());
        if let Some(then) = &pending.then {
            self.bytes += then.sizes().map_or(0, |sizes| sizes.external);
        }
        self.pending.push(pending);
        if self.pending.len() >= TOGETHER || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    fn unreadable(&mut self, text: &str) {
        self.planned.description.unreadable += 1;
        if self.planned.description.unreadable <= LISTED as u64 {
            let severity = outcome::report::Severity::Problem;
            self.reporter.notice(&outcome::report::Notice { severity, text: text.to_owned() });
        }
    }

    /// Judges the documents that are waiting, in their order.
    pub(super) fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        // Those that are not known to exist may be deleted or unknown, and those of these may have been made meanwhile.
        let unknown = pending.iter().filter(|p| p.rev.is_none()).map(|p| p.id.as_str());
        let mut now = live::newest(self.sender, unknown)?;
        for p in &pending {
            if let Some(rev) = &p.rev {
                now.insert(p.id.clone(), Now { rev: rev.clone(), deleted: false });
            }
        }
        let (resolves, exact) = (self.options.resolve_conflicts, self.options.exact);
        let needs_content = |p: &&Pending<'_>| {
            now.get(&p.id).is_some_and(|now| !now.deleted)
                && match &p.then {
                    Some(then) => resolves || !is_winner(then, now.get(&p.id)),
                    // All its leaves are deleted: otherwise one of its conflicts would take its place.
                    None => exact,
                }
        };
        let contents =
            live::documents(self.sender, pending.iter().filter(needs_content).map(|p| p.id.as_str()))?;
        for p in &pending {
            self.judge(p, now.get(&p.id), contents.get(&p.id))?;
        }
        self.reporter.advance(self.compared, 0);
        Ok(())
    }

    fn judge(
        &mut self,
        pending: &Pending<'_>,
        now: Option<&Now>,
        content: Option<&couchfile::json::Json>,
    ) -> Result<()> {
        let Pending { id, then, expected, .. } = pending;
        let exists = now.filter(|now| !now.deleted);
        let entry = |was, rev: Option<&str>| Entry {
            id: id.clone(),
            rev: rev.map(str::to_owned),
            was,
            resolve: Vec::new(),
        };
        let entry = match (then, exists) {
            // It did not exist then, and does not exist now.
            (None, None) => return Ok(()),
            (None, Some(now)) => {
                self.planned.description.new += 1;
                if !self.options.exact {
                    self.planned.list(id, Was::New);
                    return Ok(());
                }
                let conflicts = content.map(|content| compare::new_conflicts(None, content)).transpose();
                let resolve = conflicts.map_err(|e| contents::unusable(id.clone(), e))?.unwrap_or_default();
                Entry { resolve, ..entry(Was::New, Some(&now.rev)) }
            }
            (Some(_), None) => match now {
                Some(deleted) => entry(Was::Deleted, Some(&deleted.rev)),
                None => entry(Was::Gone, None),
            },
            (Some(then), Some(now)) => {
                let unreadable = |e: &dyn std::fmt::Display| format!("{id} of {}: {e}", self.source.name());
                // The content may be of a later revision than the one that was seen first.
                let rev = content.and_then(|content| content.get("_rev")?.as_str()).unwrap_or(&now.rev);
                let is_equal = match content {
                    _ if is_winner(then, Some(now)) && rev == now.rev => Ok(true),
                    Some(content) => compare::is_equal(then, content),
                    // It has been deleted since; a later run will see that.
                    None => Ok(false),
                };
                let is_equal = match is_equal {
                    Ok(is_equal) => is_equal,
                    Err(e) => {
                        let text = unreadable(&e);
                        self.unreadable(&text);
                        return Ok(());
                    }
                };
                let resolve = match content {
                    Some(content) if self.options.resolve_conflicts => {
                        compare::new_conflicts(Some(then), content)
                            .map_err(|e| contents::unusable(unreadable(&"its revisions"), e))?
                    }
                    _ => Vec::new(),
                };
                if is_equal {
                    self.planned.description.equal += 1;
                }
                match (is_equal, self.options.changed) {
                    (true, _) if resolve.is_empty() => return Ok(()),
                    (true, _) => Entry { resolve, ..entry(Was::Conflicted, Some(rev)) },
                    (false, false) => {
                        self.planned.list(id, Was::Changed);
                        return Ok(());
                    }
                    (false, true) => Entry { resolve, ..entry(Was::Changed, Some(rev)) },
                }
            }
        };
        if let Some(expected) = expected
            && expected.rev != entry.rev
        {
            let description = &mut self.planned.description;
            description.changed_later_count += 1;
            if description.changed_later.len() < LISTED {
                description.changed_later.push(id.clone());
            }
            return Ok(());
        }
        self.planned.push(&entry)
    }
}

/// Whether a document's newest revision is the one that it had.
fn is_winner(then: &Document<'_>, now: Option<&Now>) -> bool {
    now.is_some_and(|now| then.winner().is_ok_and(|winner| winner.to_string() == now.rev))
}

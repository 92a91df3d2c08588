//! Finds what has to be done, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use node::{Http, Method, encode};
use outcome::report::{Reporter, Silent, Steps};
use outcome::{Code, Failure, Result};
use serde_json::Value;
use snapshot::{Document, Moment, OpenOptions, Snapshot, SnapshotDatabase, Walk};
use store::Place;

use super::super::sender::Sender;
use super::super::target::{self, Target};
use super::compare;
use super::entries::{Entries, Entry};
use super::live::{self, Existing, Now};
use super::note::{self, Note};
use super::report::{LISTED, Listed, RewindDescription, Was};

/// Documents that are compared at a time, and the bytes of their content in the backup.
const TOGETHER: usize = 200;
const BYTES: u64 = 2 << 20;
/// The most documents that can be chosen one by one, or by their changes.
const CHOSEN: usize = 1_000_000;
/// Changes in an answer.
const CHANGES: usize = 5000;

/// Which documents are brought back.
#[derive(Debug, Clone)]
pub enum Choice {
    /// All.
    All,
    /// Those that begin with a text.
    Prefix(String),
    /// These.
    These(BTreeMap<String, Option<Expected>>),
    /// Those that have changed in the cluster since a sequence, as CouchDB shows it in `update_seq`.
    ChangedSince(String),
}

/// What a document is expected to be now; if it is something else, somebody has changed it, and it stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its newest revision; `None` if it does not exist at all.
    pub rev: Option<String>,
}

/// The options of a rewind.
#[derive(Debug, Clone)]
pub struct RewindOptions {
    /// The backup.
    pub backup: Place,
    /// The moment in it; `None`: as it was saved.
    pub at: Option<Moment>,
    /// The database in the backup.
    pub from: String,
    /// The database in the cluster.
    pub database: String,
    /// Which documents are brought back.
    pub choice: Choice,
    /// Whether documents that were changed are brought back, too, not only those that were deleted.
    pub changed: bool,
    /// Whether documents made since then are deleted.
    pub exact: bool,
    /// Whether conflicting revisions made since then are deleted.
    pub resolve_conflicts: bool,
    /// Number of threads that read an archive without a table of contents; 0: the number of cores.
    pub threads: usize,
}

/// A planned rewind that has changed nothing yet.
pub struct PlannedRewind {
    pub(super) source: Arc<SnapshotDatabase>,
    pub(super) database: String,
    pub(super) entries: Entries,
    /// Design documents, which come last: a function in them that validates documents would judge the others.
    pub(super) designs: Entries,
    /// The note of an interrupted rewind to the same moment, or a new one.
    pub(super) note: Note,
    description: RewindDescription,
}

impl PlannedRewind {
    /// Compares the database of the cluster with what it was.
    ///
    /// Fails if the database is not in the backup or not in the cluster, or if the backup does not hold the moment.
    pub fn make(options: &RewindOptions, http: &Http, reporter: &dyn Reporter) -> Result<Self> {
        reporter.phase("inspecting the node", None);
        target::check_admin(http)?;
        let report = |text: &str| reporter.phase(text, None);
        let open = OpenOptions {
            threads: options.threads,
            only: Some(vec![options.from.clone()]),
            at: options.at.clone(),
        };
        let snapshot = Snapshot::open(&options.backup, &open, &report)?;
        let source = snapshot.database(&options.from)?.ok_or_else(|| {
            Failure::refused(
                Code::new("CC-H11"),
                format!(
                    "{} holds no database {}, so there is nothing to bring back",
                    options.backup, options.from
                ),
                "`couchcopy ls ARCHIVE` lists the databases.",
            )
        })?;
        let target = Target::new(http, &options.database);
        if target.ranges()?.is_none() {
            return Err(Failure::refused(
                Code::new("CC-H12"),
                format!(
                    "there is no database {} in the cluster, so nothing can be edited in it",
                    options.database
                ),
                "Restore it without --rewind: couchcopy restore --db NAME ARCHIVE NODE.",
            ));
        }
        let note = Note {
            backup: snapshot.identity().to_owned(),
            database: options.from.clone(),
            begun: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            ..Note::default()
        };
        let found = target.local(note::ID)?.as_ref().and_then(Note::read);
        let unfinished =
            found.filter(|found| (&found.backup, &found.database) == (&note.backup, &note.database));
        // Opens every shard, so that none is found missing when half of it is done.
        let documents = source.info()?.documents;
        let description = RewindDescription {
            backup: options.backup.clone(),
            made: snapshot.about().date.clone(),
            from: options.from.clone(),
            database: options.database.clone(),
            url: http.url().to_owned(),
            deletes_new: options.exact,
            resumes: unfinished.is_some(),
            ..RewindDescription::default()
        };
        let planned = Self {
            source,
            database: options.database.clone(),
            entries: Entries::new()?,
            designs: Entries::new()?,
            note: unfinished.unwrap_or(note),
            description,
        };
        planned.compare(options, target, documents, reporter)
    }

    fn compare(
        mut self,
        options: &RewindOptions,
        target: Target<'_>,
        documents: u64,
        reporter: &dyn Reporter,
    ) -> Result<Self> {
        let (interrupted, steps) = (AtomicBool::new(false), Steps::new(&Silent));
        let sender = Sender::new(target, &interrupted, &steps);
        reporter.phase(&format!("comparing {}", self.database), Some(documents));
        let source = Arc::clone(&self.source);
        let mut comparison = Comparison {
            options,
            sender: &sender,
            source: &source,
            reporter,
            compared: 0,
            pending: Vec::new(),
            bytes: 0,
            planned: &mut self,
        };
        match &options.choice {
            Choice::All => comparison.all(&Walk::default())?,
            Choice::Prefix(prefix) => comparison.all(&Walk::prefix(prefix))?,
            Choice::These(ids) => comparison.these(ids)?,
            Choice::ChangedSince(since) => {
                let ids = changed_since(&sender, since)?;
                comparison.these(&ids.into_iter().map(|id| (id, None)).collect())?;
            }
        }
        comparison.flush()?;
        self.source = source;
        Ok(self)
    }

    /// Describes what the rewind will do.
    pub fn describe(&self) -> &RewindDescription {
        &self.description
    }

    /// The number of documents in the plan.
    pub fn len(&self) -> u64 {
        self.entries.count() + self.designs.count()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, entry: &Entry) -> Result<()> {
        let description = &mut self.description;
        match entry.was {
            Was::Changed => description.changed += 1,
            Was::Deleted => description.deleted += 1,
            Was::Gone => description.gone += 1,
            Was::New | Was::Conflicted => {}
        }
        description.conflicts += entry.resolve.len() as u64;
        self.list(&entry.id, entry.was);
        if entry.id.starts_with("_design/") { self.designs.push(entry) } else { self.entries.push(entry) }
    }

    fn list(&mut self, id: &str, was: Was) {
        if self.description.listed.len() < LISTED {
            self.description.listed.push(Listed { id: id.to_owned(), was });
        }
    }
}

/// The ids of documents that have changed in the cluster since a sequence.
fn changed_since(sender: &Sender<'_>, since: &str) -> Result<BTreeSet<String>> {
    let (mut ids, mut since) = (BTreeSet::new(), since.to_owned());
    loop {
        let path = sender
            .target
            .path(&format!("/_changes?limit={CHANGES}&since={}", encode(since.trim_matches('"'))));
        let answer = live::ask(sender, &Method::GET, &path, None)?;
        let rows = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        ids.extend(rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)));
        if ids.len() > CHOSEN {
            return Err(Failure::refused(
                Code::new("CC-H13"),
                format!("more than {CHOSEN} documents of {} have changed since then", sender.target.name),
                "Omit --changed-since: all documents are compared then, and those that are what they were stay as they are.",
            ));
        }
        match &answer["last_seq"] {
            Value::String(last) if rows.len() >= CHANGES => since.clone_from(last),
            _ => return Ok(ids),
        }
    }
}

/// A document that is still to be judged.
struct Pending<'d> {
    id: String,
    /// What it was, if it existed then.
    then: Option<Document<'d>>,
    /// Its newest revision, if it is known to exist.
    rev: Option<String>,
    expected: Option<Expected>,
}

struct Comparison<'c, 'd> {
    options: &'c RewindOptions,
    sender: &'c Sender<'c>,
    source: &'d SnapshotDatabase,
    reporter: &'c dyn Reporter,
    compared: u64,
    pending: Vec<Pending<'d>>,
    bytes: u64,
    planned: &'c mut PlannedRewind,
}

impl<'d> Comparison<'_, 'd> {
    /// All documents of the backup and of the cluster, both in the order of their ids.
    fn all(&mut self, walk: &Walk) -> Result<()> {
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

    fn these(&mut self, ids: &BTreeMap<String, Option<Expected>>) -> Result<()> {
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
    fn flush(&mut self) -> Result<()> {
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

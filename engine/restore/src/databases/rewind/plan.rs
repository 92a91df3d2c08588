//! Finds what has to be done, and changes nothing.

mod comparison;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use node::{Http, Method, encode};
use outcome::report::{Reporter, Silent, Steps};
use outcome::{Code, Failure, Result};
use serde_json::Value;
use snapshot::{Moment, OpenOptions, Snapshot, SnapshotDatabase, Walk};
use store::Place;

use comparison::Comparison;

use super::super::sender::Sender;
use super::super::target::{self, Target};
use super::entries::{Entries, Entry};
use super::live;
use super::note::{self, Note};
use super::report::{LISTED, Listed, RewindDescription, Was};

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
        // Opens every shard, so that none is found missing when half of it is done. Of documents that are named, the comparison opens
        // those that it needs: the moment need not be known of others.
        let documents = match &options.choice {
            Choice::These(ids) => ids.len() as u64,
            _ => source.info()?.documents,
        };
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
        let mut comparison = Comparison::new(options, &sender, &source, reporter, &mut self);
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

//! Brings single databases of an archive into a running cluster, over HTTP and beside whatever else it has.
//!
//! Every leaf revision is written as replication writes it, so that documents keep their revisions, conflicts and deletions.
//! A note in the database says what is being restored into it until all of it is there: a restore that was interrupted is given
//! again, asks what is missing and sends that. Nothing is stopped, and no other database is touched.

mod batches;
mod bulk;
mod compare;
mod local;
mod multipart;
mod note;
mod order;
mod pass;
mod sender;
mod target;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use node::Http;
use serde::Serialize;
use snapshot::{OpenOptions, Snapshot, SnapshotDatabase};

use crate::error::{OperationError, Result};
use crate::report::{Notice, Reporter, Severity, Steps};
use crate::selection::{Rename, check_new_name};

use note::Note;
use sender::Sender;
use target::{Found, Target};

/// What to bring back, and how.
#[derive(Debug, Clone)]
pub struct DatabasesOptions {
    /// The archive.
    pub archive: PathBuf,
    /// The databases, and the names that they get.
    pub databases: Vec<Rename>,
    /// Copies of every range of new databases; `None`: as many as in the archive, as far as there are nodes.
    pub copies: Option<usize>,
    /// Whether documents may be added to databases that have some already.
    pub merge: bool,
    /// Whether local documents, such as checkpoints of replications, are brought back too.
    pub local: bool,
    /// Number of threads that read an archive without table of contents; 0: as many as there are cores.
    pub threads: usize,
}

/// What is going to be done, for the user to agree to.
#[derive(Debug, Clone, Serialize)]
pub struct DatabasesDescription {
    /// The archive.
    pub archive: PathBuf,
    /// When it was made, as it says.
    pub made: Option<String>,
    /// Where CouchDB answers.
    pub url: String,
    /// The databases.
    pub databases: Vec<DatabaseDescription>,
}

/// What is going to be done with a database.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseDescription {
    /// Its name in the archive.
    pub from: String,
    /// The name that it gets.
    pub to: String,
    /// Documents in the archive.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// What is there now.
    pub found: FoundDescription,
    /// Number of ranges of a new database.
    pub q: usize,
    /// Copies of each range that a new database is made with.
    pub n: usize,
    /// Whether documents are placed by the first part of their ids.
    pub partitioned: bool,
}

/// What there is under the name that a database gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundDescription {
    /// Nothing: it is made.
    Nothing,
    /// An empty database.
    Empty,
    /// What an interrupted restore of the same database has left: it goes on.
    Unfinished,
    /// A database with documents: those of the archive are added.
    Documents,
}

/// What was brought back.
#[derive(Debug, Clone, Serialize)]
pub struct DatabasesResult {
    /// Where CouchDB answers.
    pub url: String,
    /// The databases, in the order in which they were asked for.
    pub databases: Vec<DatabaseResult>,
    /// Seconds in all.
    pub seconds: f64,
}

/// A database that was brought back.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseResult {
    /// Its name in the archive.
    pub from: String,
    /// The name that it got.
    pub to: String,
    /// What was there before.
    pub found: FoundDescription,
    /// Documents in the archive, deleted ones among them.
    pub documents: u64,
    /// Whether it was brought to its end; else the same command goes on.
    pub finished: bool,
    /// Revisions that were sent.
    pub revisions: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Local documents that were sent.
    pub local: u64,
    /// Revisions that CouchDB does not take or that are damaged in the archive, and why; the first thousand of them.
    pub refused: Vec<Refused>,
    /// Number of these.
    pub refused_revisions: u64,
    /// Seconds.
    pub seconds: f64,
}

/// A revision that was not brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The document.
    pub id: String,
    /// The revision.
    pub rev: String,
    /// Why.
    pub reason: String,
}

impl DatabasesResult {
    /// Whether everything asked for is there.
    pub fn is_complete(&self) -> bool {
        self.databases.iter().all(|database| database.finished && database.refused_revisions == 0)
    }
}

/// Reads `NAME` or `NAME=NEWNAME`.
pub fn parse_database(text: &str) -> Result<Rename> {
    let (from, to) = text.split_once('=').unwrap_or((text, text));
    if from.is_empty() || to.is_empty() {
        return Err(OperationError::refused(
            format!("{text:?} names no database"),
            "Write --db NAME, or --db NAME=NEWNAME for another name.",
        ));
    }
    check_new_name(to)?;
    let last = to.rsplit('/').next().unwrap_or(to);
    if matches!(last, "_dbs" | "_nodes") {
        return Err(OperationError::refused(
            format!("{to} is a list that every node keeps for itself, no database of the cluster"),
            "Give another name.",
        ));
    }
    Ok(Rename { from: from.to_owned(), to: to.to_owned() })
}

/// A restore of databases that has been planned, and has changed nothing yet.
pub struct PlannedDatabases {
    options: DatabasesOptions,
    snapshot: Arc<Snapshot>,
    databases: Vec<PlannedDatabase>,
}

struct PlannedDatabase {
    names: Rename,
    source: Arc<SnapshotDatabase>,
    info: snapshot::Info,
    shape: target::Shape,
    found: Found,
}

impl PlannedDatabases {
    /// Looks at the archive and at the cluster.
    ///
    /// Fails where a database is not in the archive or its shards are not, and where its place is taken.
    pub fn make(options: &DatabasesOptions, http: &Http, reporter: &dyn Reporter) -> Result<Self> {
        check_once(&options.databases)?;
        reporter.phase("looking at the node", None);
        target::check_admin(http)?;
        let only = options.databases.iter().map(|names| names.from.clone()).collect();
        let tell = |text: &str| reporter.phase(text, None);
        let open = OpenOptions { threads: options.threads, only: Some(only) };
        let snapshot = Snapshot::open(&options.archive, &open, &tell)?;
        reporter.phase("looking at the databases", None);
        let mut databases = Vec::with_capacity(options.databases.len());
        for names in &options.databases {
            let source = snapshot.database(&names.from)?.ok_or_else(|| {
                OperationError::refused(
                    format!("{} holds no database {}", options.archive.display(), names.from),
                    "`couchcopy ls ARCHIVE` lists those it holds.",
                )
            })?;
            // Opens every shard, so that none is found missing when half of it is done.
            let info = source.info()?;
            let shape = target::Shape::of(source.map(), options.copies);
            let note = Note::new(&snapshot, names, options.merge);
            let found = Target::new(http, &names.to).look(&shape, &note)?;
            databases.push(PlannedDatabase { names: names.clone(), source, info, shape, found });
        }
        Ok(Self { options: options.clone(), snapshot, databases })
    }

    /// What will be done.
    pub fn describe(&self, http: &Http) -> DatabasesDescription {
        DatabasesDescription {
            archive: self.options.archive.clone(),
            made: self.snapshot.about().date.clone(),
            url: http.url().to_owned(),
            databases: self
                .databases
                .iter()
                .map(|planned| DatabaseDescription {
                    from: planned.names.from.clone(),
                    to: planned.names.to.clone(),
                    documents: planned.info.documents,
                    deleted: planned.info.deleted,
                    found: planned.found.description(),
                    q: planned.shape.q,
                    n: planned.shape.n,
                    partitioned: planned.shape.partitioned,
                })
                .collect(),
        }
    }

    /// Whether documents are added to databases that have some already: something to agree to.
    pub fn merges(&self) -> bool {
        self.databases.iter().any(|planned| planned.found == Found::Documents)
    }

    /// Carries it out, one database after the other. Where that fails, or `interrupted` is set, what has been done so far
    /// stays, and the same command goes on with it. An interruption is no error: the last database told is not finished then.
    pub fn carry_out(
        &self,
        http: &Http,
        interrupted: &AtomicBool,
        reporter: &dyn Reporter,
    ) -> Result<DatabasesResult> {
        let begun = Instant::now();
        let steps = Steps::new(reporter);
        let mut databases = Vec::with_capacity(self.databases.len());
        for planned in &self.databases {
            let target = Target::new(http, &planned.names.to);
            let sender = Sender::new(target, interrupted, &steps);
            let begun = Instant::now();
            let done = self.bring_back(planned, &sender, reporter);
            if !sender.gave_up() {
                done?;
            }
            let (refused, refused_revisions) = sender.take_refused();
            let Rename { from, to } = planned.names.clone();
            databases.push(DatabaseResult {
                from,
                to,
                found: planned.found.description(),
                documents: planned.documents(),
                finished: !sender.gave_up(),
                revisions: sender.revisions(),
                bytes: sender.bytes(),
                local: sender.locals(),
                refused,
                refused_revisions,
                seconds: begun.elapsed().as_secs_f64(),
            });
            if sender.gave_up() {
                break;
            }
        }
        Ok(DatabasesResult { url: http.url().to_owned(), databases, seconds: begun.elapsed().as_secs_f64() })
    }

    fn bring_back(
        &self,
        planned: &PlannedDatabase,
        sender: &Sender<'_>,
        reporter: &dyn Reporter,
    ) -> Result<()> {
        let begun = Instant::now();
        let PlannedDatabase { names, source, info, shape, found } = planned;
        let target = &sender.target;
        let documents = planned.documents();
        let shown =
            if names.from == names.to { names.to.clone() } else { format!("{} as {}", names.from, names.to) };
        let unpacked = order::unpacked(source, info.file_size, sender, reporter)?;
        let source = unpacked.as_ref().unwrap_or(source);
        reporter.phase(&format!("restoring {shown}"), Some(documents));
        if *found == Found::Nothing {
            target.create(shape)?;
            sender.step("database made");
        }
        let note = if let Found::Unfinished(note) = found {
            note.clone()
        } else {
            let note = Note::new(&self.snapshot, names, self.options.merge && *found == Found::Documents);
            target.put_note(&note)?;
            sender.step("note written");
            note
        };
        if !note.merge {
            target.lift_revs_limit(source.revs_limit()?)?;
            sender.step("limit lifted");
        }
        let ask_first = matches!(found, Found::Unfinished(_) | Found::Documents);
        pass::documents(source, sender, info.file_size, ask_first, reporter)?;
        if self.options.local {
            local::send(source, sender)?;
        }
        // They come last: a function in them that validates documents would judge those that were valid before it was there.
        pass::design_documents(source, sender, info.file_size, ask_first)?;
        sender.step("design documents sent");
        reporter.timing(&format!("{shown} sent"), begun.elapsed().as_secs_f64());

        reporter.phase(&format!("comparing {shown}"), Some(documents));
        let compared = Instant::now();
        compare::documents(source, sender, reporter)?;
        if !note.merge {
            if sender.refused_revisions() == 0 && !shape.overlaps {
                compare::counts(info, sender)?;
            }
            target.settle(source)?;
        }
        sender.step("compared");
        reporter.timing(&format!("{shown} compared"), compared.elapsed().as_secs_f64());
        let refused = sender.refused_revisions();
        if refused > 0 {
            reporter.notice(&Notice {
                severity: Severity::Problem,
                text: format!("{shown}: {refused} revisions are not restored"),
            });
            return Ok(());
        }
        target.remove_note()?;
        sender.step("note removed");
        Ok(())
    }
}

impl PlannedDatabase {
    /// Deleted ones among them.
    fn documents(&self) -> u64 {
        self.info.documents.saturating_add(self.info.deleted)
    }
}

fn check_once(databases: &[Rename]) -> Result<()> {
    for (i, names) in databases.iter().enumerate() {
        if databases[..i].iter().any(|other| other.to == names.to) {
            return Err(OperationError::refused(
                format!("two databases would be named {}", names.to),
                "Give each database a name of its own: --db NAME=NEWNAME.",
            ));
        }
    }
    if databases.is_empty() {
        return Err(OperationError::refused("no database is named", "Give --db NAME."));
    }
    Ok(())
}

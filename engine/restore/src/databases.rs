//! Restores single databases of an archive into a running cluster, over HTTP, next to its other databases.
//!
//! Every leaf revision is written as replication writes it, so that documents keep their revisions, conflicts and deletions. A
//! note in the database records what is being restored into it until the restore is complete: if an interrupted restore is run
//! again, it queries what is missing and sends that. Nothing is stopped, and no other database is touched.

mod batches;
mod bulk;
mod compare;
mod limits;
mod local;
mod multipart;
mod note;
mod order;
mod pass;
mod peruser;
mod placing;
mod report;
pub mod rewind;
mod security;
mod sender;
mod taken;
mod target;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use couchfile::json::Json;
use node::Http;
use note::Note;
use outcome::report::{Notice, Reporter, Severity, Steps};
use outcome::{Code, Failure, Result};
use peruser::PerUser;
use placing::Creation;
use security::{UserDatabase, Wanted};
use sender::Sender;
use snapshot::{OpenOptions, Snapshot, SnapshotDatabase};
use target::{Found, Target};

use crate::selection::{Rename, check_new_name};

pub use report::{
    DatabaseDescription, DatabaseResult, DatabasesDescription, DatabasesOptions, DatabasesResult,
    FoundDescription, Refused,
};
pub use security::SecurityResult;

/// Reads `NAME` or `NAME=NEWNAME`.
pub fn parse_database(text: &str) -> Result<Rename> {
    let (from, to) = text.split_once('=').unwrap_or((text, text));
    if from.is_empty() || to.is_empty() {
        return Err(Failure::refused(
            Code::new("CC-R20"),
            format!("{text:?} is not a database name"),
            "Give --db NAME, or --db NAME=NEWNAME for another name.",
        ));
    }
    check_new_name(to)?;
    let last = to.rsplit('/').next().unwrap_or(to);
    if matches!(last, "_dbs" | "_nodes") {
        return Err(Failure::refused(
            Code::new("CC-R21"),
            format!("{to} is a list that every node keeps for itself, not a database of the cluster"),
            "Choose another name.",
        ));
    }
    Ok(Rename { from: from.to_owned(), to: to.to_owned() })
}

/// A planned restore of databases that has changed nothing yet.
pub struct PlannedDatabases {
    options: DatabasesOptions,
    snapshot: Arc<Snapshot>,
    users: UserDatabase,
    databases: Vec<PlannedDatabase>,
}

struct PlannedDatabase {
    names: Rename,
    source: Arc<SnapshotDatabase>,
    info: snapshot::Info,
    shape: target::Shape,
    found: Found,
    security: Wanted,
    warnings: Vec<String>,
}

impl PlannedDatabases {
    /// Inspects the archive and the cluster.
    ///
    /// Fails if a database or one of its shards is not in the archive, or if its new name is taken.
    pub fn make(options: &DatabasesOptions, http: &Http, reporter: &dyn Reporter) -> Result<Self> {
        check_once(&options.databases)?;
        reporter.phase("inspecting the node", None);
        target::check_admin(http)?;
        let only = options.databases.iter().map(|names| names.from.clone()).collect();
        let report = |text: &str| reporter.phase(text, None);
        let open = OpenOptions { threads: options.threads, only: Some(only), at: options.at.clone() };
        let snapshot = Snapshot::open(&options.archive, &open, &report)?;
        reporter.phase("inspecting the databases", None);
        let users = UserDatabase::of(http);
        let per_user = PerUser::of(http);
        options.places.check(|| Ok(options.databases.iter().map(|names| names.from.clone()).collect()))?;
        let mut creation: Option<Creation> = None;
        let mut databases = Vec::with_capacity(options.databases.len());
        for names in &options.databases {
            let source = snapshot.database(&names.from)?.ok_or_else(|| {
                Failure::refused(
                    Code::new("CC-C08"),
                    format!("{} holds no database {}", options.archive, names.from),
                    "`couchcopy ls ARCHIVE` lists the databases.",
                )
            })?;
            // Opens every shard, so that none is found missing when half of it is done.
            let info = source.info()?;
            let chosen_q = options.ranges.of(&names.from);
            let mut shape = target::Shape::of(source.map(), chosen_q, options.copies);
            if let Some(filter) = &options.filter {
                // A filter that takes no settings is found before anything is written.
                filter.session(&names.from)?;
            }
            let note = Note::new(&snapshot, names, options.filter.as_deref(), options.merge);
            let target = Target::new(http, &names.to);
            let found = target.look(&shape, &note)?;
            let mut warnings: Vec<String> =
                placing::warning(&options.places, names, &found).into_iter().collect();
            if found == Found::Nothing {
                let creation = match &creation {
                    Some(creation) => creation,
                    None => creation.insert(Creation::learn(http, &options.places)?),
                };
                warnings.extend(creation.settle(&names.from, &mut shape, options.copies)?);
            }
            let security = Wanted::of(&source, &names.to, &users)?;
            let mut planned =
                PlannedDatabase { names: names.clone(), source, info, shape, found, security, warnings };
            planned.check(&target, &users, per_user.as_ref())?;
            databases.push(planned);
        }
        Ok(Self { options: options.clone(), snapshot, users, databases })
    }

    /// Describes what the restore will do.
    pub fn describe(&self, http: &Http) -> DatabasesDescription {
        DatabasesDescription {
            archive: self.options.archive.clone(),
            made: self.snapshot.about().date.clone(),
            url: http.url().to_owned(),
            filter: self.options.filter.as_ref().map(|filter| filter.identity()),
            meaning: self.options.filter.as_ref().map(|filter| filter.meaning()),
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
                    zones: planned.shape.zones.clone(),
                    partitioned: planned.shape.partitioned,
                    warnings: planned.warnings.clone(),
                })
                .collect(),
        }
    }

    /// Whether documents are added to databases that already have some, which requires confirmation.
    pub fn merges(&self) -> bool {
        self.databases.iter().any(|planned| planned.found == Found::Documents)
    }

    /// Restores one database after the other. If that fails, or `interrupted` is set, what has been restored so far stays, and
    /// the same command resumes. An interruption is not an error: the last database in the result is then not finished.
    pub fn carry_out(
        &self,
        http: &Http,
        interrupted: &AtomicBool,
        reporter: &dyn Reporter,
    ) -> Result<DatabasesResult> {
        let begun = Instant::now();
        let steps = Steps::new(reporter);
        if let Some(filter) = &self.options.filter {
            let text = filter.meaning();
            reporter.notice(&Notice { severity: Severity::Warning, text });
        }
        for text in self.databases.iter().flat_map(|planned| &planned.warnings) {
            reporter.notice(&Notice { severity: Severity::Warning, text: text.clone() });
        }
        let mut databases = Vec::with_capacity(self.databases.len());
        for planned in &self.databases {
            let target = Target::new(http, &planned.names.to);
            let sender = Sender::new(target, interrupted, &steps);
            let begun = Instant::now();
            let done = self.bring_back(planned, &sender, reporter);
            let security = match done {
                Ok(security) => security,
                Err(_) if sender.gave_up() => SecurityResult::Unfinished,
                Err(error) => return Err(error),
            };
            let (refused, refused_revisions) = sender.take_refused();
            let Rename { from, to } = planned.names.clone();
            databases.push(DatabaseResult {
                from,
                to,
                found: planned.found.description(),
                documents: planned.documents(),
                finished: !sender.gave_up(),
                revisions: sender.revisions(),
                left_out: sender.left_out(),
                bytes: sender.bytes(),
                local: sender.locals(),
                refused,
                refused_revisions,
                security,
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
    ) -> Result<SecurityResult> {
        let begun = Instant::now();
        let PlannedDatabase { names, source, info, shape, found, .. } = planned;
        let filter = self.options.filter.as_deref();
        let target = &sender.target;
        let documents = planned.documents();
        let shown = planned.display_name();
        let unpacked = order::unpacked(source, info.file_size, sender, reporter)?;
        let source = unpacked.as_ref().unwrap_or(source);
        reporter.phase(&format!("restoring {shown}"), Some(documents));
        if *found == Found::Nothing {
            target.create(shape)?;
            sender.step("database created");
        }
        let mut note = match found {
            Found::Unfinished(note) => note.clone(),
            _ => Note::new(&self.snapshot, names, filter, self.options.merge && *found == Found::Documents),
        };
        // Before there is anything in it. What is complete but for some revisions is in use by now.
        if !note.merge && !note.settled {
            target.close(&self.users)?;
            sender.step("closed");
        }
        if !matches!(found, Found::Unfinished(_)) {
            target.put_note(&note)?;
            sender.step("note written");
        }
        if !note.merge {
            target.lift_revs_limit(source.revs_limit()?)?;
            sender.step("limit lifted");
        }
        let ask_first = matches!(found, Found::Unfinished(_) | Found::Documents);
        pass::documents(source, sender, filter, info.file_size, ask_first, reporter)?;
        if self.options.local {
            local::send(source, sender)?;
        }
        // They come last: a function in them that validates documents would judge those that were valid before it was there.
        pass::design_documents(source, sender, filter, info.file_size, ask_first)?;
        sender.step("design documents sent");
        reporter.timing(&format!("{shown} sent"), begun.elapsed().as_secs_f64());

        reporter.phase(&format!("comparing {shown}"), Some(documents));
        let compared = Instant::now();
        let arrived = compare::documents(source, sender, filter, reporter)?;
        let is_complete = sender.refused_revisions() == 0;
        if !note.merge && is_complete && !shape.overlaps {
            let expected = if filter.is_some() { arrived } else { compare::Expected::of(info) };
            compare::counts(expected, sender)?;
        }
        let security = self.settle(planned, &note, target)?;
        sender.step("compared");
        reporter.timing(&format!("{shown} compared"), compared.elapsed().as_secs_f64());
        let is_set = !matches!(security, SecurityResult::NotSet { .. });
        if is_complete && is_set {
            target.remove_note()?;
            sender.step("note removed");
        } else if !note.merge && is_set && !note.settled {
            note.settled = true;
            target.put_note(&note)?;
        }
        if !is_complete {
            let refused = sender.refused_revisions();
            let text = format!("{shown}: {refused} revisions are not restored");
            reporter.notice(&Notice { severity: Severity::Problem, text });
        }
        Ok(security)
    }

    /// Sets the limits of a database and, last, its security object: until then only server admins can read it.
    fn settle(&self, planned: &PlannedDatabase, note: &Note, target: &Target<'_>) -> Result<SecurityResult> {
        if note.merge {
            return Ok(SecurityResult::Kept);
        }
        target.set_limits(&planned.source)?;
        let text = |security: &Json| String::from_utf8_lossy(&security.to_vec()).into_owned();
        let done = match &planned.security {
            Wanted::Archive(_) => SecurityResult::Restored,
            Wanted::Closed { archive } => SecurityResult::Closed { archive: text(archive) },
        };
        // Whoever has changed it since it was set meant that.
        if note.settled {
            return Ok(done);
        }
        let wanted = planned.security.object();
        match target.set_security(&wanted)? {
            None => Ok(done),
            Some(reason) if self.users.is(target.name) => {
                let found = text(&target.security()?);
                Ok(SecurityResult::NotSet { archive: text(&wanted), found, reason })
            }
            Some(reason) => Err(target.error(&format!("PUT {}", target.path("/_security")), 403, reason)),
        }
    }
}

impl PlannedDatabase {
    /// Finds what the user should know before the restore, and refuses what must not be done.
    fn check(&mut self, target: &Target<'_>, users: &UserDatabase, per_user: Option<&PerUser>) -> Result<()> {
        let to = &self.names.to;
        if self.found == Found::Documents && !users.is(to) {
            let security = target.security()?;
            if security::is_open(&security) && security::holds_users(&self.source) {
                return Err(Failure::refused(
                    Code::new("CC-R22"),
                    format!(
                        "{} holds users with their password hashes, and everybody may read {to}",
                        self.names.from
                    ),
                    format!(
                        "Restore it under a free name (--db {}=NEWNAME), or first give {to} a security object with members: {}.",
                        self.names.from,
                        target.url("/_security")
                    ),
                ));
            }
        }
        if self.found == Found::Empty
            && let Some((q, n)) = target.ranges()?
            && q != self.shape.q as u64
        {
            let wanted = self.shape.q;
            let (why, ranges) = if self.shape.q_is_chosen {
                (format!("--q asks for {wanted} ranges"), "other ranges")
            } else {
                (format!("the archive has {wanted} ranges"), "the ranges of the archive")
            };
            self.warnings.push(format!(
                "{to} exists already, empty, with {q} ranges and {n} copies of each; it keeps them, although {why}. To use {ranges}, \
                 delete it first: curl -u ADMIN -X DELETE '{}'",
                target.url("")
            ));
        }
        if self.found != Found::Documents && matches!(self.security, Wanted::Closed { .. }) {
            self.warnings.push(format!(
                "{to} will be accessible to server admins only: it holds users with their password hashes, which the archive's \
                 security object would show to others"
            ));
        }
        if self.found != Found::Documents
            && !users.lets_set_security_of(to)
            && target.look_at_security()?.unwrap_or_else(security::closed) != self.security.object()
        {
            self.warnings.push(format!(
                "the security object of {to} cannot be restored: CouchDB does not allow setting it while [couchdb] \
                 users_db_security_editable is false. To restore it, set that first: curl -u ADMIN -X PUT '{}' -d '\"true\"'",
                target.http.url().to_owned() + "/_node/_local/_config/couchdb/users_db_security_editable"
            ));
        }
        if let Some(per_user) = per_user {
            self.warnings.extend(per_user.warning(target.http, users, to));
            if users.is(to) {
                self.warnings.extend(per_user.warning_of_users(to, self.info.deleted));
            }
        }
        Ok(())
    }

    /// The name of a database in messages.
    fn display_name(&self) -> String {
        let Rename { from, to } = &self.names;
        if from == to { to.clone() } else { format!("{from} as {to}") }
    }

    /// The number of documents, including deleted ones.
    fn documents(&self) -> u64 {
        self.info.documents.saturating_add(self.info.deleted)
    }
}

fn check_once(databases: &[Rename]) -> Result<()> {
    for (i, names) in databases.iter().enumerate() {
        if databases[..i].iter().any(|other| other.to == names.to) {
            return Err(Failure::refused(
                Code::new("CC-R23"),
                format!("two databases would be named {}", names.to),
                "Give each database a name of its own: --db NAME=NEWNAME.",
            ));
        }
    }
    if databases.is_empty() {
        return Err(Failure::refused(Code::new("CC-R24"), "no database is named", "Give --db NAME."));
    }
    Ok(())
}

//! Writes complete data directories for nodes that are not running.
//!
//! Everything is written into a staging directory inside each target and renamed only when all of it is on disk, the shard maps
//! last. A directory without `_dbs.couch` looks empty to CouchDB, so an interrupted restore never looks complete.

mod checksums;
pub(crate) mod destination;
mod flusher;
pub(crate) mod maps;
pub(crate) mod plan;
pub(crate) mod proof;
pub(crate) mod shard;
pub(crate) mod staging;
pub(crate) mod suffix;
pub(crate) mod visitor;

use std::path::PathBuf;
use std::time::Instant;

use contents::{Contents, FileProblem};
use node::Version;
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result, parallel};
use serde::Serialize;

use crate::RestoreChoices;
use crate::selection::Rename;

pub use checksums::OLDEST_TARGET;
pub(crate) use checksums::only_md5;
use destination::Destination;
pub use plan::NodeShare;
use staging::Staging;
use store::Place;
pub use suffix::Suffixes;
use suffix::TakenSuffixes;

/// The options of an offline restore.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// The archive.
    pub archive: Place,
    /// The nodes.
    pub targets: Vec<Target>,
    /// What the user chose.
    pub choices: RestoreChoices,
    /// The oldest CouchDB that will open the files, if it is known: for versions before 3.4, checksums are replaced by MD5.
    pub for_couchdb: Option<Version>,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
}

impl RestoreOptions {
    /// The names of the nodes.
    pub(crate) fn node_names(&self) -> Vec<String> {
        self.targets.iter().map(|target| target.node.clone()).collect()
    }
}

/// A target node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its data directory, which does not exist yet or is empty.
    pub folder: PathBuf,
    /// Its name, for example `couchdb@127.0.0.1`.
    pub node: String,
}

/// A finished restore.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RestoreResult {
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Databases restored.
    pub databases: u64,
    /// Shard files written, all copies.
    pub shard_files: u64,
    /// View index files written, all copies.
    pub view_files: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Databases that were left out, and why.
    pub left_out: Vec<FileProblem>,
    /// View indexes that were left out. CouchDB rebuilds them.
    pub views_left_out: Vec<FileProblem>,
    /// Databases of the archive that were not selected.
    pub not_chosen: u64,
    /// Databases that were renamed.
    pub renamed: Vec<Rename>,
    /// Databases that got another number of ranges. CouchDB rebuilds their view indexes.
    pub reshaped: u64,
    /// The name and version of the plugin that all documents have passed through, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transformed_by: Option<String>,
    /// Documents that this plugin left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub documents_left_out: u64,
    /// Files whose checksums the nodes' CouchDB cannot read and that got MD5 instead, all copies.
    pub files_rewritten: u64,
    /// The new suffix that all databases got in the names of their files, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_suffix: Option<String>,
    /// What each node got.
    pub placed: Vec<NodeShare>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands references over
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl RestoreResult {
    /// Whether every database of the archive was restored.
    pub fn is_complete(&self) -> bool {
        self.left_out.is_empty()
    }
}

/// Restores an archive into the data directories of nodes that are not running.
///
/// Fails before anything is written if a target is not empty, a name is not a node name, or the archive lacks a shard that its
/// maps name.
pub fn restore_offline(options: &RestoreOptions, reporter: &dyn Reporter) -> Result<RestoreResult> {
    restore_folders(options, Lasting::Durably, reporter)
}

/// How durable the restored data must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Survives a failure of the machine.
    Durably,
    /// Lasts as long as the machine runs.
    ForNow,
}

/// Restores an archive into directories.
pub fn restore_folders(
    options: &RestoreOptions,
    lasting: Lasting,
    reporter: &dyn Reporter,
) -> Result<RestoreResult> {
    check_targets(&options.targets)?;
    for target in &options.targets {
        staging::check_empty(&target.folder)?;
    }
    let threads = parallel::threads(options.threads);
    let begun = Instant::now();
    let mut contents = options.choices.open(&options.archive, threads, reporter)?;
    proof::Damage::lost(&contents)?.note_in(&mut contents);
    reporter.timing("archive contents read", begun.elapsed().as_secs_f64());
    let (plan, destinations, written) = loop {
        let begun = Instant::now();
        let mut plan = plan::Plan::make(&contents, options)?;
        // A range of the new division can have the name of an old one.
        let needed = options.choices.fresh_uuids || !plan.reshaped.is_empty();
        plan.choose_suffix(&options.choices.suffixes, needed, &TakenSuffixes::default());
        if !options.choices.allow_empty && plan.orphans > 0 {
            plan.refuse_empty(contents.name())?;
        }
        options.choices.transformation.try_out(plan.first_reshaped())?;
        plan.tell(reporter);
        reporter.timing("restore planned", begun.elapsed().as_secs_f64());
        let destinations: Vec<Destination> = options
            .targets
            .iter()
            .zip(&plan.bytes)
            .map(|(target, &bytes)| {
                let staging = Staging::create(&target.folder, bytes)?;
                Ok(Destination::Folder(match lasting {
                    Lasting::Durably => staging,
                    Lasting::ForNow => staging.for_now(),
                }))
            })
            .collect::<Result<_>>()?;
        match write(&contents, &plan, options, &destinations, true, reporter)? {
            Ok(written) => break (plan, destinations, written),
            Err(damage) => {
                for staging in destinations.iter().filter_map(Destination::folder) {
                    staging.discard()?;
                }
                damage.note_in(&mut contents);
                tell_damage(&damage, reporter);
            }
        }
    };

    reporter.phase("making the data durable", None);
    let begun = Instant::now();
    let stagings: Vec<&Staging> = destinations.iter().filter_map(Destination::folder).collect();
    for staging in &stagings {
        staging.sync()?;
    }
    // The shard maps of all nodes come last, one right after the other.
    for staging in &stagings {
        staging.name_data()?;
    }
    for staging in stagings {
        staging.complete()?;
    }
    reporter.timing("data durable", begun.elapsed().as_secs_f64());
    let reshaped = plan.with_other_ranges();
    let placed = plan.shares(&options.node_names(), &options.choices);
    Ok(RestoreResult {
        placed,
        nodes: options.node_names(),
        databases: plan.databases,
        shard_files: written.shards,
        view_files: written.views,
        bytes: written.bytes,
        left_out: plan.left_out,
        views_left_out: plan.views_left_out,
        not_chosen: plan.chosen.not_chosen,
        renamed: options.choices.selection.rename.clone(),
        reshaped,
        transformed_by: options.choices.transformation.name().map(str::to_owned),
        documents_left_out: written.passed.left_out(),
        files_rewritten: written.rewritten,
        new_suffix: plan.new_suffix,
    })
}

/// Reports that damage was found, and what follows.
pub(crate) fn tell_damage(damage: &proof::Damage, reporter: &dyn Reporter) {
    reporter.notice(&Notice {
        severity: Severity::Warning,
        text: format!(
            "damaged in the archive: {} shards, {} view indexes. Nothing was replaced; the copied data is removed",
            damage.shards.len(),
            damage.views.len()
        ),
    });
}

/// Writes all files to their destinations, with the shard maps if they are wanted, and checks each file. If files are damaged,
/// returns the damage; the written data is then useless.
pub(crate) fn write(
    contents: &Contents,
    plan: &plan::Plan,
    options: &RestoreOptions,
    destinations: &[Destination],
    maps: bool,
    reporter: &dyn Reporter,
) -> Result<std::result::Result<visitor::WrittenFiles, proof::Damage>> {
    let threads = parallel::threads(options.threads);
    if maps {
        reporter.phase("rewriting the shard maps", None);
        let begun = Instant::now();
        maps::write(contents, plan, options, destinations)?;
        reporter.timing("maps rewritten", begun.elapsed().as_secs_f64());
    }
    reporter.phase_of_bytes("restoring", Some(plan.shards.len() as u64), Some(plan.content_bytes));
    let begun = Instant::now();
    let writer = visitor::Writer::new(contents, plan, options, destinations, reporter);
    let visit = || contents.source.visit(threads, &|name| writer.wants(name), &writer);
    let visited = flusher::flushing(destinations, visit)?;
    if let Err(failure) = visited.and_then(|_| writer.send_later()) {
        return unreadable(contents, failure, threads, &|name| writer.wants(name), reporter).map(Err);
    }
    // Nothing is flushed on the way: most often the temporary files would be written to the disk with the others.
    if let Err(failure) = writer.reshape() {
        return unreadable(contents, failure, threads, &|name| writer.reads(name), reporter).map(Err);
    }
    let written = writer.finish()?;
    reporter.timing("files written", begun.elapsed().as_secs_f64());
    Ok(written)
}

/// Finds the files that cannot be read, after one could not be read. If there are none, that is the failure.
fn unreadable(
    contents: &Contents,
    failure: Failure,
    threads: usize,
    wanted: &(dyn Fn(&str) -> bool + Sync),
    reporter: &dyn Reporter,
) -> Result<proof::Damage> {
    let files =
        contents.source.files().filter(|files| files.is_in_objects() && contents::is_damage(&failure));
    let Some(files) = files else { return Err(failure) };
    reporter.phase_of_bytes("looking for damaged files", None, Some(contents.content_bytes));
    let lost = contents::damaged_files(files, threads, wanted, &|bytes| reporter.advance(0, bytes))?;
    let damage = proof::Damage::of_files(contents, lost);
    if damage.is_empty() { Err(failure) } else { Ok(damage) }
}

/// Whether Erlang would accept a node's name: `NAME@HOST`.
pub(crate) fn is_node_name(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'))
    };
    text.len() <= 255 && text.split_once('@').is_some_and(|(name, host)| plain(name) && plain(host))
}

/// Refuses node names that Erlang would refuse, and targets that are given twice.
pub(crate) fn check_targets(targets: &[Target]) -> Result<()> {
    for (i, target) in targets.iter().enumerate() {
        if !is_node_name(&target.node) {
            return Err(Failure::refused(
                Code::new("CC-R03"),
                format!("{:?} is not a node name", target.node),
                "Give the node's name as NAME@HOST, as after -name in its vm.args, for example couchdb@127.0.0.1.",
            ));
        }
        let same = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        for other in &targets[..i] {
            if other.node == target.node || same(&other.folder) == same(&target.folder) {
                return Err(Failure::refused(
                    Code::new("CC-R04"),
                    format!("{},{} gives a node or a directory twice", target.folder.display(), target.node),
                    "Give every node once, with its own directory.",
                ));
            }
        }
    }
    Ok(())
}

impl plan::Plan {
    /// Reports what will differ from the saved state.
    pub(crate) fn tell(&self, reporter: &dyn Reporter) {
        for (list, what) in
            [(&self.left_out, "database left out"), (&self.views_left_out, "view index left out")]
        {
            for problem in list {
                reporter.notice(&Notice {
                    severity: Severity::Warning,
                    text: format!("{what}: {}: {}", problem.path, problem.problem),
                });
            }
        }
        for db in &self.deleted_meanwhile {
            reporter.notice(&Notice {
                severity: Severity::Info,
                text: format!("{db} was deleted while the backup ran and is not restored"),
            });
        }
        if self.with_other_ranges() > 0 {
            reporter.notice(&Notice {
                severity: Severity::Info,
                text: format!(
                    "{} databases get another number of ranges: their view indexes are not restored, and CouchDB builds them again",
                    self.with_other_ranges()
                ),
            });
        }
        if !self.configured.is_empty() {
            reporter.notice(&Notice {
                severity: Severity::Warning,
                text: format!(
                    "configuration files are never restored; the archive holds some of {} (`couchcopy info` lists them, \
                     `couchcopy cat` shows one)",
                    self.configured.join(", ")
                ),
            });
        }
        if self.orphans > 0 {
            reporter.notice(&Notice {
                severity: Severity::Info,
                text: format!("{} shards belong to no database and are not restored", self.orphans),
            });
        }
    }
}

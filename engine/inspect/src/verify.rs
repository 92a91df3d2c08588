//! Verifies that an archive is intact: gzip, tar, hashes, every database file inside, and every shard map against the files.

mod visitor;

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use contents::{BackupSummary, Contents, Counted, FileProblem, Source, UnusableFile};
use couchfile::check::Report;
use outcome::Result;
use outcome::report::{Notice, Reporter, Severity};
use serde::Serialize;
use store::Place;

/// What a verification found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VerifyResult {
    /// Whether the archive has a manifest, whose hashes were compared.
    pub manifest: bool,
    /// Databases with a shard map.
    pub databases: u64,
    /// Shards checked.
    pub shards: u64,
    /// View indexes checked.
    pub views: u64,
    /// Documents that exist.
    pub documents: u64,
    /// Documents that are deleted.
    pub deleted: u64,
    /// Leaf revisions of existing and deleted documents.
    pub leaf_revisions: u64,
    /// Bodies whose checksum was compared.
    pub bodies: u64,
    /// Attachments whose MD5 was compared.
    pub attachments: u64,
    /// Bytes of these attachments.
    pub attachment_bytes: u64,
    /// Local documents.
    pub local_documents: u64,
    /// Remembered purges.
    pub purges: u64,
    /// Bytes of all files.
    pub content_bytes: u64,
    /// Everything that is wrong.
    pub problems: Vec<FileProblem>,
    /// View indexes that a restore will leave out. CouchDB rebuilds them.
    pub unfit_views: Vec<FileProblem>,
    /// Databases that were deleted while the backup ran and will not be restored.
    pub deleted_meanwhile: Vec<String>,
    /// Shards that belong to no database.
    pub orphans: u64,
    /// Shards that hold the same documents as other shards, because their database was saved during shard splitting. They are
    /// checked, but not counted.
    pub surplus_shards: u64,
    /// The share of the files that was checked, if not all of them were: from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<f64>,
    /// What was verified.
    #[serde(skip)]
    pub verified: VerifiedBackup,
}

/// A backup that was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifiedBackup {
    /// What identifies it: its id in a repository, or the hash of its manifest.
    pub identity: String,
    /// The id of the repository that holds it, if one does.
    pub repository: Option<String>,
    /// Names of the nodes that it holds, as far as it records them.
    pub nodes: Vec<String>,
}

impl VerifiedBackup {
    /// What this backup is.
    pub fn of(source: &dyn Source) -> Self {
        let files = source.files();
        let summary = files.and_then(|files| BackupSummary::of(files.record()));
        Self {
            identity: source.identity().to_owned(),
            repository: files.and_then(|files| files.repository()).map(str::to_owned),
            nodes: summary.map(|summary| summary.nodes).unwrap_or_default(),
        }
    }
}

/// Some of the files of a backup, another choice each time.
#[derive(Debug, Clone)]
pub struct Sample {
    share: f64,
    seed: [u8; 32],
}

impl Sample {
    /// About this share of the files, from 0 to 1.
    pub fn new(share: f64) -> Self {
        let now = jiff::Timestamp::now().as_nanosecond();
        let seed = blake3::hash(format!("{now} {}", std::process::id()).as_bytes());
        Self { share, seed: *seed.as_bytes() }
    }

    fn has(&self, name: &str) -> bool {
        let hash = blake3::keyed_hash(&self.seed, name.as_bytes());
        let number = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        number as f64 / u64::MAX as f64 <= self.share
    }
}

impl VerifyResult {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, report: &Report) {
        self.documents += report.documents;
        self.deleted += report.deleted;
        self.leaf_revisions += report.leaves;
        self.bodies += report.bodies;
        self.attachments += report.attachments;
        self.attachment_bytes += report.attachment_bytes;
        self.local_documents += report.local_documents;
        self.purges += report.purges;
    }

    fn problem(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.problems.push(FileProblem { path: path.into(), problem: problem.into() });
    }
}

/// Verifies an archive.
///
/// Fails if the archive itself (gzip, tar, hashes) is damaged; damage inside its files is in the result.
pub fn verify(place: &Place, threads: usize, reporter: &dyn Reporter) -> Result<VerifyResult> {
    verify_sample(place, None, threads, reporter)
}

/// As [`verify`]; of the files only those in the sample, if there is one. That all files are there is checked in any case.
pub fn verify_sample(
    place: &Place,
    sample: Option<&Sample>,
    threads: usize,
    reporter: &dyn Reporter,
) -> Result<VerifyResult> {
    let begun = Instant::now();
    let contents = Contents::open(place, threads, reporter)?;
    reporter.timing("archive contents read", begun.elapsed().as_secs_f64());
    let mut result = VerifyResult {
        manifest: contents.is_indexed(),
        content_bytes: contents.content_bytes,
        deleted_meanwhile: contents.deleted_meanwhile().to_vec(),
        sample: sample.map(|sample| sample.share),
        verified: VerifiedBackup::of(&*contents.source),
        ..VerifyResult::default()
    };
    let begun = Instant::now();
    let mapped = check_maps(&contents, &mut result)?;
    reporter.timing("shard maps compared with the files", begun.elapsed().as_secs_f64());
    let total = contents.shards.len() + contents.views.values().map(Vec::len).sum::<usize>() + 1;
    let (total, bytes) = match sample {
        None => (Some(total as u64), Some(contents.content_bytes)),
        Some(_) => (None, None),
    };
    reporter.phase_of_bytes("verifying", total, bytes);
    let begun = Instant::now();
    let visitor = visitor::Checker::new(&contents, &mapped, result, threads, reporter);
    match sample {
        None => contents.source.verify(threads, &visitor)?,
        Some(sample) => {
            contents.source.visit(threads, &|name| sample.has(name), &visitor)?;
        }
    }
    visitor.check_large(threads)?;
    reporter.timing("files checked", begun.elapsed().as_secs_f64());
    let mut result = visitor.into_result();
    check_views(&contents, &mut result);
    result.problems.sort();
    if result.is_whole()
        && sample.is_none()
        && let Err(e) = contents::record_verified(&*contents.source)
    {
        // A restore checks everything again then.
        let text = format!("cannot record the result for restores on this machine: {e}");
        reporter.notice(&Notice { severity: Severity::Info, text });
    }
    Ok(result)
}

/// What the shard maps record about the files.
#[derive(Default)]
struct Mapped<'s> {
    /// Names of the partitioned databases.
    partitioned: HashSet<String>,
    /// Paths of the shards that make up the databases. Other shards are not counted.
    counted: HashSet<&'s str>,
}

/// Compares every shard map with the files.
fn check_maps<'s>(contents: &'s Contents, result: &mut VerifyResult) -> Result<Mapped<'s>> {
    let could_not_be_saved: HashMap<&str, &str> = contents
        .summary
        .iter()
        .flat_map(|summary| &summary.problems)
        .map(|problem| (problem.path.as_str(), problem.problem.as_str()))
        .collect();
    let deleted: HashSet<&str> = contents.deleted_meanwhile().iter().map(String::as_str).collect();
    let mut mapped = Mapped::default();
    let walked = contents.maps.for_each(|document| {
        if document.id.starts_with("_design/") {
            return Ok(());
        }
        let map = match document.map {
            Ok(map) => map,
            Err(problem) => {
                result.problem(format!("_dbs.couch/{}", document.id), format!("not a shard map: {problem}"));
                return Ok(());
            }
        };
        let Counted { map, surplus, .. } = contents.counted(map);
        result.surplus_shards += surplus.len() as u64;
        for shard in map.shards() {
            let path = shard.path();
            if let Some((path, _)) = contents.shards.get_key_value(path.as_str()) {
                mapped.counted.insert(path);
            } else if !deleted.contains(map.db.as_str()) {
                let why = could_not_be_saved.get(path.as_str()).map_or_else(
                    || "the shard map names it, but it is not in the archive".to_owned(),
                    |why| format!("it is not in the archive; the backup recorded: {why}"),
                );
                result.problem(path, why);
            }
        }
        if deleted.contains(map.db.as_str()) {
            return Ok(());
        }
        result.databases += 1;
        if !map.covers_everything() {
            result.problem(format!("_dbs.couch/{}", map.db), "its ranges leave gaps");
        }
        if map.is_partitioned() {
            mapped.partitioned.insert(map.db);
        }
        Ok(())
    });
    match walked {
        Ok(()) => {}
        // What is wrong with the file itself is told by its check, too.
        Err(failure) => match failure.take::<UnusableFile>()? {
            UnusableFile { source, .. } if !source.is_io() => {
                result.problem("_dbs.couch", source.to_string());
            }
            unread => return Err(unread.into()),
        },
    }
    result.orphans = (contents.shards.len() - mapped.counted.len()) as u64 - result.surplus_shards;
    Ok(mapped)
}

fn check_views(contents: &Contents, result: &mut VerifyResult) {
    for (path, views) in &contents.views {
        for view in views {
            let unfit = match contents.shards.get(path) {
                Some(shard) => view.unfit_for(shard),
                None => Some("its shard is not in the archive".into()),
            };
            if let Some(problem) = unfit {
                let path = format!("{path}: view index {}", view.signature);
                result.unfit_views.push(FileProblem { path, problem });
            }
        }
    }
    result.unfit_views.sort();
}

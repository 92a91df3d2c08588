//! The complete operation: every shard of all inputs, the new files, the report.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use outcome::report::{Counter, Notice, Reporter, Severity};
use outcome::{Code, Failure, Result, sync_folder};
use serde::Serialize;
use store::Place;

use crate::inputs::{self, Inputs};
use crate::report::{Counts, DocumentLine, Grade, ShardReport};
use crate::shard::{Output, ShardError, salvage_shard};

/// Directory of the proven documents in the output: a data directory.
const PROVEN: &str = "data";
/// Directory of those that nothing proves.
const UNPROVEN: &str = "unproven";
/// The report by document.
const REPORT: &str = "report.jsonl";

/// What to recover, and where to.
#[derive(Clone)]
pub struct SalvageOptions {
    /// Data directories, archives, repositories, single files.
    pub inputs: Vec<Place>,
    /// The new directory; `None`: only report.
    pub to: Option<PathBuf>,
    /// Only these databases; empty: all.
    pub databases: Vec<String>,
    /// Whether the report lists documents that are whole.
    pub list_whole: bool,
    /// See [`crate::Shard::strict`].
    pub strict: bool,
    /// Number of threads for reading archives; 0: as many as there are cores.
    pub threads: usize,
}

/// What was recovered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Salvaged {
    /// Numbers of documents of all databases.
    pub documents: Counts,
    /// Documents that headers count and of which not even the id was found.
    pub nameless: u64,
    /// Each shard, in the order of the paths.
    pub shards: Vec<ShardReport>,
    /// Inputs that could not be used, and why.
    pub unusable: Vec<String>,
    /// Whether there is a shard map in the output.
    pub has_shard_map: bool,
    /// The new directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<PathBuf>,
}

impl Salvaged {
    /// Whether everything is whole, as far as the files show.
    pub fn is_whole(&self) -> bool {
        self.documents.is_all_whole()
            && self.documents.perhaps_not_newest == 0
            && self.nameless == 0
            && self.unusable.is_empty()
            && self.shards.iter().all(ShardReport::shows_newest_state)
    }
}

/// Recovers everything that can be read. Any damage ends in the report.
///
/// Fails if nothing can be read or written, and if the new directory holds something already.
pub fn salvage(
    options: &SalvageOptions,
    reporter: &dyn Reporter,
    each: &mut dyn FnMut(&DocumentLine) -> Result<()>,
) -> Result<Salvaged> {
    let scratch = options.to.clone().unwrap_or_else(std::env::temp_dir);
    if let Some(to) = &options.to {
        reserve(to)?;
    }
    let mut found = Inputs::find(&options.inputs, options.threads, reporter);
    if !options.databases.is_empty() {
        found.shards.retain(|path, _| options.databases.contains(&inputs::shard(path, false).database));
    }
    if found.shards.is_empty() {
        return Err(Failure::refused(
            Code::new("CC-W02"),
            "there is no database file in what was given",
            "Give a data directory of CouchDB, files that end in .couch, .couch.compact or .couch.compact.data, an archive or a \
             repository. With --db, check the database's name.",
        ));
    }
    let bytes = found.shards.values().flatten().map(|member| member.size).sum();
    reporter.phase_of_bytes("salvaging", Some(found.shards.len() as u64), Some(bytes));
    let counter = Counter::new(reporter);
    let mut lines = Lines::new(options)?;
    let mut salvaged = Salvaged {
        unusable: found.unusable.clone(),
        to: options.to.clone(),
        has_shard_map: found.shards.contains_key("_dbs.couch"),
        ..Salvaged::default()
    };
    for (path, members) in &found.shards {
        if reporter.is_interrupted() {
            return Err(Failure::interrupted());
        }
        let mut notes = Vec::new();
        let copies = found.open(members, &mut notes);
        let shard = inputs::shard(path, options.strict);
        let mut output = Directory { to: options.to.as_deref(), path, lines: &mut lines, each, failed: None };
        let done = salvage_shard(&shard, copies, &scratch, &mut output, &mut |n| counter.add(0, n));
        if let Some(failure) = output.failed {
            return Err(failure);
        }
        let mut report = done.map_err(|error| failure(error, &scratch))?;
        report.notes.splice(0..0, notes);
        for note in &report.notes {
            let text = format!("{path}: {note}");
            reporter.notice(&Notice { severity: Severity::Warning, text });
        }
        salvaged.documents.merge(&report.documents);
        salvaged.nameless += report.nameless();
        salvaged.shards.push(report);
        counter.add(1, 0);
    }
    lines.finish()?;
    if let Some(to) = &options.to {
        sync_folder(to).map_err(|e| Failure::io("sync", to, e))?;
    }
    Ok(salvaged)
}

fn failure(error: ShardError, scratch: &Path) -> Failure {
    match error {
        ShardError::Io(e) | ShardError::File(couchfile::CouchFileError::Write(e)) => {
            Failure::io("write below", scratch, e)
        }
        ShardError::File(error) => Failure::bug(format!("salvage: {error}")),
    }
}

/// Makes the new directory, or takes an empty one.
fn reserve(to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| Failure::io("create", to, e))?;
    let mut entries = fs::read_dir(to).map_err(|e| Failure::io("read the directory", to, e))?;
    if entries.next().is_some() {
        return Err(Failure::refused(
            Code::new("CC-W01"),
            format!("{} is not empty, so nothing is written to it", to.display()),
            "Give a new or an empty directory with --to.",
        ));
    }
    Ok(())
}

/// The report by document.
struct Lines {
    file: Option<(PathBuf, BufWriter<File>)>,
    list_whole: bool,
}

impl Lines {
    fn new(options: &SalvageOptions) -> Result<Self> {
        let file = match &options.to {
            Some(to) => {
                let path = to.join(REPORT);
                let file = File::create(&path).map_err(|e| Failure::io("create", &path, e))?;
                Some((path, BufWriter::new(file)))
            }
            None => None,
        };
        Ok(Self { file, list_whole: options.list_whole })
    }

    /// Whether the line belongs into the report; if so, it is written.
    fn add(&mut self, line: &DocumentLine) -> io::Result<bool> {
        if line.grade == Grade::Whole && line.lost_conflicts == 0 && !self.list_whole {
            return Ok(false);
        }
        if let Some((_, file)) = &mut self.file {
            serde_json::to_writer(&mut *file, line)?;
            file.write_all(b"\n")?;
        }
        Ok(true)
    }

    fn finish(self) -> Result<()> {
        let Some((path, file)) = self.file else { return Ok(()) };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).map_err(|e| Failure::io("write", path, e))
    }
}

/// Writes one shard.
struct Directory<'d> {
    to: Option<&'d Path>,
    path: &'d str,
    lines: &'d mut Lines,
    each: &'d mut dyn FnMut(&DocumentLine) -> Result<()>,
    failed: Option<Failure>,
}

impl Output for Directory<'_> {
    fn create(&mut self, apart: bool) -> io::Result<Option<Box<dyn Write>>> {
        let Some(to) = self.to else { return Ok(None) };
        let path = to.join(if apart { UNPROVEN } else { PROVEN }).join(self.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::create_new(path)?;
        Ok(Some(Box::new(Durable(BufWriter::with_capacity(256 << 10, file)))))
    }

    fn document(&mut self, line: &DocumentLine) -> io::Result<()> {
        if self.lines.add(line)?
            && let Err(failure) = (self.each)(line)
        {
            self.failed = Some(failure);
            return Err(io::Error::other("the report cannot be printed"));
        }
        Ok(())
    }
}

/// A file that is on the disk when it is flushed.
struct Durable(BufWriter<File>);

impl Write for Durable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.get_ref().sync_all()
    }
}

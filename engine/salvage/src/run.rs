//! The complete operation: every shard of all inputs, the new files, the report.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use contents::{Destination, ReservedDestination};
use couchfile::data_dir::{SHARD_MAPS, locate};
use outcome::report::{Counter, Notice, Reporter, Severity};
use outcome::{Code, Failure, Result, sync_folder};
use serde::Serialize;
use store::Place;
use tempfile::TempDir;

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
    /// Where it goes; `None`: only report.
    pub to: Option<Target>,
    /// Only these databases; empty: all.
    pub databases: Vec<String>,
    /// Whether the report lists documents that are whole.
    pub list_whole: bool,
    /// See [`crate::Shard::strict`].
    pub strict: bool,
    /// Number of threads for reading archives; 0: as many as there are cores.
    pub threads: usize,
}

/// Where what is recovered goes.
#[derive(Clone)]
pub enum Target {
    /// A new or empty directory, with what nothing proves and the report.
    Directory(PathBuf),
    /// A backup.
    Backup {
        /// The archive, or the repository.
        destination: Destination,
        /// A new or empty directory for what nothing proves and the report.
        apart: Option<PathBuf>,
    },
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
    /// Files `.compact.meta` in the inputs, which hold no documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_needed: Vec<String>,
    /// Whether there is a shard map in the output.
    pub has_shard_map: bool,
    /// The new directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<PathBuf>,
    /// The archive or the repository with the proven documents, if they are not in the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
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
    let places = Places::reserve(options)?;
    let scratch = places.scratch.clone();
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
    if places.backup.is_some() && !found.shards.contains_key(SHARD_MAPS) {
        return Err(Failure::refused(
            Code::new("CC-W03"),
            "there is no shard map (_dbs.couch) among the inputs, and a backup needs it",
            "Add the _dbs.couch of another node or of an old backup, or give a directory with --to.",
        ));
    }
    let bytes = found.shards.values().flatten().map(|member| member.size).sum();
    reporter.phase_of_bytes("salvaging", Some(found.shards.len() as u64), Some(bytes));
    let counter = Counter::new(reporter);
    let mut lines = Lines::new(&places, options.list_whole)?;
    let mut salvaged = Salvaged {
        unusable: found.unusable.clone(),
        not_needed: found.not_needed.clone(),
        to: places.apart.clone(),
        backup: places.backup.as_ref().map(|backup| backup.name.clone()),
        has_shard_map: found.shards.contains_key(SHARD_MAPS),
        ..Salvaged::default()
    };
    for (path, members) in &found.shards {
        if reporter.is_interrupted() {
            return Err(Failure::interrupted());
        }
        let mut notes = Vec::new();
        let copies = found.open(members, &mut notes);
        let shard = inputs::shard(path, options.strict);
        let mut output = Directory { places: &places, path, lines: &mut lines, each, failed: None };
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
    if let Some(apart) = &places.apart {
        sync_folder(apart).map_err(|e| Failure::io("sync", apart, e))?;
    }
    if let (Some(backup), Some(proven)) = (places.backup, &places.proven) {
        let homeless = salvaged.shards.iter().filter(|shard| locate(&shard.path).is_none());
        let homeless = homeless.map(|shard| {
            format!("{}: it is no shard, so it is not in the backup; give a directory with --to", shard.path)
        });
        let homeless: Vec<String> = homeless.collect();
        salvaged.unusable.extend(homeless);
        crate::backup::write(proven, backup.reserved, &salvaged.shards, options.threads, reporter)?;
    }
    Ok(salvaged)
}

/// Where everything is written.
struct Places {
    /// The data directory with the proven documents.
    proven: Option<PathBuf>,
    /// The directory with what nothing proves and the report.
    apart: Option<PathBuf>,
    /// For temporary files.
    scratch: PathBuf,
    backup: Option<NewBackup>,
    /// Is removed in the end.
    _temporary: Option<TempDir>,
}

/// A backup that is made of the data directory.
struct NewBackup {
    name: String,
    reserved: ReservedDestination,
}

impl Places {
    fn reserve(options: &SalvageOptions) -> Result<Self> {
        let nowhere =
            Self { proven: None, apart: None, scratch: std::env::temp_dir(), backup: None, _temporary: None };
        Ok(match &options.to {
            None => nowhere,
            Some(Target::Directory(to)) => {
                reserve(to)?;
                Self {
                    proven: Some(to.join(PROVEN)),
                    apart: Some(to.clone()),
                    scratch: to.clone(),
                    ..nowhere
                }
            }
            Some(Target::Backup { destination, apart }) => {
                if let Some(apart) = apart {
                    reserve(apart)?;
                }
                let folder = destination.temporary_folder();
                let reserved = destination.reserve()?;
                let temporary = tempfile::Builder::new().prefix(".couchcopy-salvage-").tempdir_in(&folder);
                let temporary = temporary.map_err(|e| Failure::io("create a directory in", &folder, e))?;
                Self {
                    proven: Some(temporary.path().join(PROVEN)),
                    apart: apart.clone(),
                    scratch: temporary.path().to_owned(),
                    backup: Some(NewBackup { name: destination.name(), reserved }),
                    _temporary: Some(temporary),
                }
            }
        })
    }
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
    fn new(places: &Places, list_whole: bool) -> Result<Self> {
        let file = match &places.apart {
            Some(apart) => {
                let path = apart.join(REPORT);
                let file = File::create(&path).map_err(|e| Failure::io("create", &path, e))?;
                Some((path, BufWriter::new(file)))
            }
            None => None,
        };
        Ok(Self { file, list_whole })
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
    places: &'d Places,
    path: &'d str,
    lines: &'d mut Lines,
    each: &'d mut dyn FnMut(&DocumentLine) -> Result<()>,
    failed: Option<Failure>,
}

impl Output for Directory<'_> {
    fn create(&mut self, apart: bool) -> io::Result<Option<Box<dyn Write>>> {
        let unproven = || self.places.apart.as_ref().map(|apart| apart.join(UNPROVEN));
        let folder = if apart { unproven() } else { self.places.proven.clone() };
        let Some(folder) = folder else { return Ok(None) };
        let path = folder.join(self.path);
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

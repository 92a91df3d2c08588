//! The mirror of one node.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use couchfile::blocks::Blocks;
use couchfile::data_dir::SHARD_MAPS;
use couchfile::header;
use couchfile::read_at::{FileBytes, ReadAt};
use node::{FileStat, NodeFiles, NodeStreams, PackedFile, RestOf, is_of_the_way};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Failure, Result};

use super::walk;
use crate::remote::PAUSES;

/// Smaller files are fetched completely: the node starts a program for each file that is fetched in part.
const SMALLEST_REST: u64 = 64 << 10;
/// The bytes before a mirrored file's last header that must be on the node as well, for it to be the same file. The header itself
/// holds the database's uuid and the position of its trees; the top of these trees is right before it.
const BEFORE_HEADER: u64 = 4096;
/// The most files whose rest one command fetches; what is expected of them is held in memory.
const RESTS: usize = 1000;
/// The most bytes that one command fetches.
const EXPECTED: usize = 8 << 20;
/// Bytes written at a time.
const PIECE: u64 = 256 << 10;

/// Files of a node on this machine.
pub(crate) struct NodeMirror {
    files: Arc<dyn NodeFiles>,
    data: PathBuf,
    /// Access to the node's files.
    pub(crate) folder: PathBuf,
    /// One update at a time.
    updating: Mutex<()>,
}

/// Reports files that are done and bytes that have arrived.
pub(super) type Step<'s> = dyn Fn(u64, u64) + 's;

impl NodeMirror {
    pub(super) fn new(files: Arc<dyn NodeFiles>, data: PathBuf, folder: PathBuf) -> Self {
        Self { files, data, folder, updating: Mutex::default() }
    }

    /// Updates files, by their paths below the data directory. Files that the node does not have at this time are removed from
    /// the mirror.
    ///
    /// A connection that breaks is established again as long as data arrives.
    pub(super) fn update(&self, paths: &[String], step: &Step<'_>, reporter: &dyn Reporter) -> Result<()> {
        let report = |text| reporter.notice(&Notice { severity: Severity::Warning, text });
        self.update_reporting(paths, step, &report)
    }

    /// Updates the shard maps, opens them and returns when they were last changed. `None` if the node has none.
    pub(crate) fn open_maps(&self) -> Result<Option<(FileBytes, u64)>> {
        self.update_reporting(&[SHARD_MAPS.to_owned()], &|_, _| {}, &|_| {})?;
        let path = self.folder.join(SHARD_MAPS);
        let opened = File::open(&path).and_then(|file| {
            let mtime = file.metadata()?.mtime().max(0).unsigned_abs();
            Ok((FileBytes::new(file)?, mtime))
        });
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Failure::io("open", path, e)),
        }
    }

    fn update_reporting(&self, paths: &[String], step: &Step<'_>, report: &dyn Fn(String)) -> Result<()> {
        let _one = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(streams) = self.files.streams() else { return Ok(()) };
        let mut update =
            Update { mirror: self, streams, step, done: vec![false; paths.len()], came: 0, last: None };
        let mut attempts = 0;
        loop {
            let before = update.came;
            let error = match update.run(paths) {
                Err(error) if is_of_the_way(&error) => error,
                ended => return ended,
            };
            attempts = if update.came > before { 0 } else { attempts };
            let Some(pause) = PAUSES.get(attempts) else { return Err(error) };
            attempts += 1;
            report(format!("{error}. couchcopy tries again."));
            std::thread::sleep(*pause);
        }
    }

    /// Removes every file that is in none of these sorted lists, except the shard maps.
    pub(super) fn keep_only(&self, lists: &[&Vec<String>]) -> Result<()> {
        walk(&self.folder, &mut |path, _| {
            let below = path.strip_prefix(&self.folder).ok().and_then(Path::to_str);
            let is_kept = below.is_some_and(|below| {
                below == SHARD_MAPS
                    || lists.iter().any(|list| list.binary_search_by(|kept| kept.as_str().cmp(below)).is_ok())
            });
            if is_kept { Ok(()) } else { self.remove(path) }
        })
    }

    /// Removes a file, and the directories that hold nothing else.
    fn remove(&self, path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::io("remove", path, e));
            }
            _ => {}
        }
        let above = path.ancestors().skip(1).take_while(|folder| *folder != self.folder);
        for folder in above {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Files on their way into the mirror.
struct Update<'m> {
    mirror: &'m NodeMirror,
    streams: &'m dyn NodeStreams,
    step: &'m Step<'m>,
    /// The state of each file, by number of the path.
    done: Vec<bool>,
    /// Bytes that have arrived.
    came: u64,
    /// The file that arrived last: nothing confirms yet that it is complete.
    last: Option<(usize, PathBuf)>,
}

/// A file of which only the rest is fetched.
struct Grown {
    /// Number of the path.
    number: usize,
    rest: RestOf,
    /// The number of bytes of the mirrored file that stay.
    keep: u64,
    /// The current state of the node's file.
    stat: FileStat,
}

impl Update<'_> {
    fn path(&self, path: &str) -> PathBuf {
        self.mirror.folder.join(path)
    }

    fn finish(&mut self, number: usize) {
        self.done[number] = true;
        (self.step)(1, 0);
    }

    /// Discards the file that arrived last, after a stream that broke: bytes may be missing in it, with later bytes in their
    /// place.
    fn doubt(&mut self) -> Result<()> {
        let Some((number, path)) = self.last.take() else { return Ok(()) };
        self.done[number] = false;
        self.mirror.remove(&path)
    }

    /// Fetches the files that are not done yet.
    fn run(&mut self, paths: &[String]) -> Result<()> {
        let wanted: Vec<usize> = (0..paths.len()).filter(|&i| !self.done[i]).collect();
        let asked: Vec<String> = wanted.iter().map(|&i| paths[i].clone()).collect();
        let stats = self.streams.stats(&self.mirror.data, &asked)?;
        drop(asked);
        let mut whole = Vec::new();
        let mut grown = Vec::new();
        let mut expected = 0;
        for (number, stat) in wanted.into_iter().zip(stats) {
            let path = self.path(&paths[number]);
            let Some(stat) = stat else {
                self.mirror.remove(&path)?;
                self.finish(number);
                continue;
            };
            match look(&path, stat) {
                Mirrored::AsItIs => self.finish(number),
                Mirrored::Beginning { from, expected: bytes, keep } => {
                    expected += bytes.len();
                    let rest = RestOf {
                        path: paths[number].clone(),
                        from,
                        expected: bytes,
                        len: stat.size.saturating_sub(from),
                    };
                    grown.push(Grown { number, rest, keep, stat });
                    if grown.len() >= RESTS || expected >= EXPECTED {
                        whole.extend(self.fetch_rests(std::mem::take(&mut grown))?);
                        expected = 0;
                    }
                }
                Mirrored::Nothing => whole.push(number),
            }
        }
        whole.extend(self.fetch_rests(grown)?);
        whole.sort_unstable();
        self.fetch_whole(paths, &whole)
    }

    /// Fetches what has been appended to files; returns the numbers of files that have been replaced.
    fn fetch_rests(&mut self, grown: Vec<Grown>) -> Result<Vec<usize>> {
        let rests: Vec<RestOf> = grown.iter().map(|grown| grown.rest.clone()).collect();
        let mut failed = None;
        let (mirror, streams) = (self.mirror, self.streams);
        let fetched = streams.rests(&mirror.data, &rests, &mut |i, content| {
            let Some(Grown { number, rest, keep, stat }) = grown.get(i) else { return Ok(false) };
            let path = mirror.folder.join(&rest.path);
            let opened = OpenOptions::new().write(true).open(&path).and_then(|mut file| {
                // What lies behind the last header is not sure to stay.
                file.set_len(*keep)?;
                file.seek(SeekFrom::End(0))?;
                Ok(file)
            });
            let rest = FileStat { size: stat.size - keep, ..*stat };
            self.take(*number, &path, opened, content, rest, &mut failed)
        });
        if let Some(failed) = failed {
            return Err(failed);
        }
        if let Err(error) = fetched {
            self.doubt()?;
            return Err(error.into());
        }
        self.last = None;
        Ok(grown.into_iter().map(|grown| grown.number).filter(|&number| !self.done[number]).collect())
    }

    /// Appends arriving data to the opened file of this number. `false` if it cannot be written here, with the reason in
    /// `failed`; an error if it cannot be read from the node.
    fn take(
        &mut self,
        number: usize,
        path: &Path,
        opened: io::Result<File>,
        content: &mut dyn Read,
        stat: FileStat,
        failed: &mut Option<Failure>,
    ) -> io::Result<bool> {
        self.last = None;
        let written = opened.map_err(CopyError::Write).and_then(|file| {
            copy(content, file, stat, &mut |bytes| {
                self.came += bytes;
                (self.step)(0, bytes);
            })
        });
        match written {
            Ok(()) => {
                self.finish(number);
                self.last = Some((number, path.to_owned()));
                Ok(true)
            }
            Err(CopyError::Read(e)) => Err(e),
            Err(CopyError::Write(e)) => {
                *failed = Some(Failure::io("write", path, e));
                Ok(false)
            }
        }
    }

    /// Fetches complete files.
    fn fetch_whole(&mut self, paths: &[String], numbers: &[usize]) -> Result<()> {
        let wanted: Vec<String> = numbers.iter().map(|&number| paths[number].clone()).collect();
        let mut failed = None;
        let (mirror, streams) = (self.mirror, self.streams);
        let fetched = streams.pack(&mirror.data, &wanted, &mut |file| {
            let PackedFile { path, size, mtime, content } = file;
            // Nobody asked for anything else.
            let Ok(found) = wanted.binary_search(&path) else { return Ok(true) };
            let path = mirror.folder.join(&path);
            let stat = FileStat { size, mtime };
            self.take(numbers[found], &path, create(&path), content, stat, &mut failed)
        });
        if let Some(failed) = failed {
            return Err(failed);
        }
        if let Err(error) = fetched {
            self.doubt()?;
            return Err(error.into());
        }
        self.last = None;
        for &number in numbers {
            if !self.done[number] {
                // Gone this moment. Whoever wants it asks for it with patience.
                mirror.remove(&self.path(&paths[number]))?;
                self.finish(number);
            }
        }
        Ok(())
    }
}

/// The state of a file in the mirror.
enum Mirrored {
    /// The complete file.
    AsItIs,
    /// Its beginning, if these bytes are on the node too; `keep` bytes of the mirrored file then stay.
    Beginning { from: u64, expected: Vec<u8>, keep: u64 },
    /// Nothing useful.
    Nothing,
}

fn look(path: &Path, stat: FileStat) -> Mirrored {
    let Ok(found) = fs::symlink_metadata(path) else { return Mirrored::Nothing };
    if !found.is_file() {
        return Mirrored::Nothing;
    }
    // Whoever appends changes the size, and whoever replaces a file by one as large does it at another time.
    if found.len() == stat.size && found.mtime() == stat.mtime.cast_signed() {
        return Mirrored::AsItIs;
    }
    if stat.size < SMALLEST_REST {
        return Mirrored::Nothing;
    }
    beginning(path, stat.size).ok().flatten().unwrap_or(Mirrored::Nothing)
}

fn beginning(path: &Path, size: u64) -> io::Result<Option<Mirrored>> {
    let bytes = FileBytes::new(File::open(path)?)?;
    let Ok(Some(last)) = header::find_last(&Blocks::new(&bytes)) else { return Ok(None) };
    if last.end > size {
        return Ok(None);
    }
    let from = last.offset.saturating_sub(BEFORE_HEADER);
    let mut expected = vec![0; (last.end - from) as usize];
    bytes.read_exact_at(&mut expected, from)?;
    Ok(Some(Mirrored::Beginning { from, expected, keep: last.end }))
}

/// A new file that replaces an existing one; a process that has the existing file open keeps it.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Appends the available bytes to a file and, when all have arrived, sets its time to that of the node's file.
fn copy(
    content: &mut dyn Read,
    mut file: File,
    stat: FileStat,
    came: &mut dyn FnMut(u64),
) -> Result<(), CopyError> {
    let mut piece = vec![0; stat.size.min(PIECE) as usize];
    let mut left = stat.size;
    while left > 0 {
        let wanted = left.min(PIECE) as usize;
        let count = match content.read(&mut piece[..wanted]) {
            Ok(0) => return Err(CopyError::Read(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(CopyError::Read(e)),
        };
        file.write_all(&piece[..count]).map_err(CopyError::Write)?;
        left -= count as u64;
        came(count as u64);
    }
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(stat.mtime)).map_err(CopyError::Write)
}

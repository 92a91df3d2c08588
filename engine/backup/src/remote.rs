//! Files of nodes that cannot be opened on this machine. They arrive as streams and go straight into the archive; nothing is
//! written on the node.
//!
//! Memory is bounded: small files take up to [`BUDGET`] for all nodes together, a large file two MiB per stream, and what was appended
//! to files up to ten MiB per node.

mod alone;
mod copies;
mod headers;
mod lane;
mod passing;
mod tails;
mod wanted;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use archive::FileStat;
use contents::{IndexHeader, ShardHeader};
use couchfile::data_dir::SHARD_MAPS;
use couchfile::error::CouchFileError;
use couchfile::header::HeaderScan;
use couchfile::read_at::FileBytes;
use node::{FoundFile, NodeError, NodeFiles, Packing, is_of_the_way};

pub(super) use self::copies::{Distant, documents, order_all};
use self::headers::{grown_shard, scanned_view};
pub(super) use self::headers::{passed_shard, passed_view};
pub(super) use self::lane::PAUSES;
use self::lane::{Arrived, Lane, Notify, Taken};
pub(super) use self::passing::Passing;
use self::passing::{BrokenOff, Passed};
pub(super) use self::tails::GrownFile;
use self::tails::{Tail, TailLane, TakenTail};
pub(super) use self::wanted::{Candidate, Wanted, wanted};
use crate::file::FileFailure;
use crate::folder::{MapsBytes, NodeFolder};
use outcome::{Code, Failure, Result};

/// Bytes of small files of all nodes that may wait in memory.
const BUDGET: usize = 32 << 20;
/// From this number of files on a node gets a second stream: one stream waits while the node opens files, the other one transfers
/// data.
const MANY: usize = 4000;
/// Files that arrive through one of two streams before it is the other stream's turn.
const TURN: usize = 256;
/// Shard maps up to this size stay in memory.
const MAPS_IN_MEMORY: u64 = 16 << 20;

/// Fetches `_dbs.couch` and returns when it was last changed. `None` if it does not exist. Tries again if the connection breaks,
/// as streams do: this is the last action of a backup.
pub(super) fn fetch_maps(files: &dyn NodeFiles, folder: &Path) -> Result<Option<(MapsBytes, u64)>> {
    for pause in PAUSES {
        match fetch_maps_once(files, folder) {
            Err(error) if is_of_the_way(&error) => std::thread::sleep(pause),
            done => return done,
        }
    }
    fetch_maps_once(files, folder)
}

fn fetch_maps_once(files: &dyn NodeFiles, folder: &Path) -> Result<Option<(MapsBytes, u64)>> {
    let mut fetched = None;
    let mut spool_failed = None;
    let pack = |take: &mut node::TakeFile<'_>| match files.streams() {
        Some(streams) => streams.pack(folder, &[SHARD_MAPS.to_owned()], take),
        None => Ok(Packing::Whole),
    };
    let packed = pack(&mut |found| {
        if found.size <= MAPS_IN_MEMORY {
            let mut bytes = Vec::with_capacity(found.size as usize);
            found.content.read_to_end(&mut bytes)?;
            fetched = Some((MapsBytes::new(bytes), found.mtime));
            return Ok(true);
        }
        let mut buffer = vec![0; 1 << 20];
        let spool = tempfile::tempfile().map_err(|e| spool_failed = Some(e)).ok();
        let Some(mut spool) = spool else { return Ok(false) };
        loop {
            let count = found.content.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            if let Err(e) = spool.write_all(&buffer[..count]) {
                spool_failed = Some(e);
                return Ok(false);
            }
        }
        fetched = Some((MapsBytes::new(FileBytes::new(spool)?), found.mtime));
        Ok(true)
    });
    if let Some(e) = spool_failed {
        return Err(Failure::io("write a file in", std::env::temp_dir(), e));
    }
    if let Err(error) = packed {
        // Of a folder that is not there tar sends nothing at all.
        if matches!(error, NodeError::Program { .. }) {
            has_readable_maps(files, folder)?;
        }
        return Err(error.into());
    }
    if fetched.is_none() {
        confirm_missing(files, folder)?;
    }
    Ok(fetched)
}

/// Fails if the shard maps did not arrive although they are there: tar leaves out what it may not read, and what is not there just
/// while CouchDB replaces it, and neither must look like a directory without shard maps.
pub(super) fn confirm_missing(files: &dyn NodeFiles, folder: &Path) -> Result<()> {
    if !has_readable_maps(files, folder)? {
        return Ok(());
    }
    Err(NodeError::Incomplete {
        node: files.node(),
        doing: "read the shard maps".into(),
        command: "tar".into(),
        problem: format!("{} is there, and was not sent", folder.join(SHARD_MAPS).display()),
    }
    .into())
}

/// Whether there are shard maps.
///
/// Fails if the directory or the file may not be read.
fn has_readable_maps(files: &dyn NodeFiles, folder: &Path) -> Result<bool> {
    let listed = files.list(folder)?;
    let place = format!("{}:{}", files.node(), folder.display());
    match listed {
        None => Err(Failure::refused(
            Code::new("CC-B04"),
            format!("the directory {place} does not exist or is not accessible"),
            "Give the directory that `[couchdb] database_dir` names in the node's configuration. If only root or CouchDB's user \
             may access it, give --use-sudo.",
        )),
        Some(entries) if entries.iter().any(|entry| entry.name == SHARD_MAPS) => {
            if files.tail(&folder.join(SHARD_MAPS), 1)?.is_some() {
                return Ok(true);
            }
            Err(Failure::refused(
                Code::new("CC-B05"),
                format!(
                    "the user that runs commands on the node has no permission to read {place}/{SHARD_MAPS}"
                ),
                "Give --use-sudo, or --via ssh:user=… with the user that owns CouchDB's data.",
            ))
        }
        Some(_) => Ok(false),
    }
}

/// All view indexes of a node, by their paths below its data directory, and other entries among them.
pub(super) fn find_views(files: &dyn NodeFiles, folder: &Path) -> Result<Vec<FoundFile>> {
    let Some(streams) = files.streams() else { return Ok(Vec::new()) };
    let mut found = streams.find(&folder.join(".shards"))?;
    for file in &mut found {
        file.path.insert_str(0, ".shards/");
    }
    Ok(found)
}

/// What a list says of a file.
pub(super) fn stat_of(file: &FoundFile) -> FileStat {
    FileStat {
        length: file.size,
        changed: file.changed.saturating_mul(1_000_000_000),
        device: file.device,
        inode: file.inode,
    }
}

/// Whether a file that did not arrive exists on its node, and so cannot be read there.
pub(super) fn is_there(files: &dyn NodeFiles, folder: &Path, path: &str) -> Result<bool> {
    let Some(streams) = files.streams() else { return Ok(false) };
    Ok(streams.size(&folder.join(path))?.is_some())
}

/// A file of another machine to be saved.
pub(super) enum Fetched<H> {
    /// A small file: its bytes up to its last header are in the caller's buffer.
    Small {
        /// The facts in its header.
        header: H,
        /// Time of its last change, in seconds since 1970.
        mtime: u64,
    },
    /// A large file of which only the end has come, because everything before it is in the backup that the new one builds on.
    Grown {
        /// The facts in its header.
        header: H,
        /// Its content.
        content: GrownFile,
        /// Time of its last change, in seconds since 1970.
        mtime: u64,
    },
    /// A large file that is being transferred; its header is known at the end.
    Large {
        /// Its content.
        content: Passing,
        /// Reports its headers at the end.
        passed: Passed,
        /// Time of its last change, in seconds since 1970.
        mtime: u64,
    },
}

/// Why a file of another machine cannot be saved.
pub(super) enum Absence {
    /// The file is missing or damaged.
    File(FileFailure),
    /// The node cannot be reached any more; the backup has to end.
    Node(Failure),
}

/// Streams from all nodes on other machines, for the files of one phase.
pub(super) struct Streams {
    /// The streams, by number of the data directory.
    lanes: HashMap<u16, Vec<Lane>>,
    /// The streams of what was appended to files, by number of the data directory.
    tails: HashMap<u16, TailLane>,
    notices: Notices,
}

/// Notices of streams, until they can be reported.
#[derive(Clone, Default)]
struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    fn notify(&self) -> Notify {
        let notices = self.clone();
        Arc::new(move |text| notices.0.lock().unwrap_or_else(PoisonError::into_inner).push(text))
    }
}

impl Streams {
    /// Begins to read the files, in the order in which they will be requested.
    pub(super) fn start(folders: &[NodeFolder], wanted: Vec<Wanted<'_>>) -> Result<Self> {
        let mut paths: HashMap<u16, Vec<String>> = HashMap::new();
        let mut grown: HashMap<u16, Vec<Tail>> = HashMap::new();
        for Wanted { folder: number, path, grown: known } in wanted {
            if !folders[usize::from(number)].origin.is_streamed() {
                continue;
            }
            match known {
                Some((stat, known)) => {
                    grown.entry(number).or_default().push(Tail { path: path.to_owned(), stat, known });
                }
                None => paths.entry(number).or_default().push(path.to_owned()),
            }
        }
        let notices = Notices::default();
        let count: usize = paths.values().map(|paths| if paths.len() > MANY { 2 } else { 1 }).sum();
        let budget = (BUDGET / count.max(1)).max(1);
        let mut lanes = HashMap::new();
        for (number, paths) in paths {
            let folder = &folders[usize::from(number)];
            let Some(files) = folder.origin.far() else { continue };
            let mut parts = if paths.len() > MANY { vec![Vec::new(), Vec::new()] } else { vec![Vec::new()] };
            let several = parts.len();
            for (i, path) in paths.into_iter().enumerate() {
                parts[(i / TURN) % several].push(path);
            }
            let start = |paths| {
                Lane::start(Arc::clone(files), folder.path.clone(), paths, budget, notices.notify())
                    .map_err(|e| Failure::io("start a thread for", &folder.path, e))
            };
            lanes.insert(number, parts.into_iter().map(start).collect::<Result<Vec<_>>>()?);
        }
        let mut tails = HashMap::new();
        for (number, wanted) in grown {
            let folder = &folders[usize::from(number)];
            let Some(files) = folder.origin.far() else { continue };
            let lane = TailLane::start(Arc::clone(files), folder.path.clone(), wanted, notices.notify())
                .map_err(|e| Failure::io("start a thread for", &folder.path, e))?;
            tails.insert(number, lane);
        }
        Ok(Self { lanes, tails, notices })
    }

    /// Notices of the streams since the last call.
    pub(super) fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends all waits for files.
    pub(super) fn stop(&self) {
        for lane in self.lanes.values().flatten() {
            lane.stop();
        }
        for lane in self.tails.values() {
            lane.stop();
        }
    }

    /// Why a stream failed permanently, if one did.
    pub(super) fn failure(&self) -> Option<NodeError> {
        let of_lanes = self.lanes.values().flatten().find_map(Lane::failure);
        of_lanes.or_else(|| self.tails.values().find_map(TailLane::failure))
    }

    /// What was appended to a file of which the beginning is known; `None` if that is not known, or the file is another one now.
    fn grown<H>(
        &self,
        folder: u16,
        path: &str,
        header: impl Fn(&HeaderScan) -> std::result::Result<H, CouchFileError>,
    ) -> Result<Option<Fetched<H>>, Absence> {
        let Some(lane) = self.tails.get(&folder) else { return Ok(None) };
        match lane.take(path) {
            TakenTail::Grown(content) => {
                let mtime = content.mtime();
                // What is strange is looked at completely.
                let header = content.look(&header).ok();
                Ok(header.map(|header| Fetched::Grown { header, content, mtime }))
            }
            TakenTail::Another => Ok(None),
            TakenTail::Failed => Err(Absence::Node(cut_off())),
        }
    }

    fn take(&self, folder: u16, path: &str) -> Option<Taken> {
        let lanes = self.lanes.get(&folder)?;
        lanes.iter().find_map(|lane| lane.number(path).map(|number| lane.take(number)))
    }

    /// A view index as it arrived. `None` if it did not arrive: it was deleted with its design document, or is just being swapped
    /// by a compaction. There is no wait, because CouchDB can rebuild the index.
    pub(super) fn view(
        &self,
        folder: u16,
        path: &str,
        folders: &[NodeFolder],
        buf: &mut Vec<u8>,
    ) -> Result<Option<Fetched<IndexHeader>>, Absence> {
        if let Some(grown) = self.grown(folder, path, scanned_view)? {
            return Ok(Some(grown));
        }
        let taken = match self.take(folder, path) {
            // It was expected to have grown, and is another one.
            None if self.tails.get(&folder).is_some_and(|lane| lane.has(path)) => {
                let Some(files) = folders[usize::from(folder)].origin.far() else { return Ok(None) };
                let folder = &folders[usize::from(folder)].path;
                alone::fetch_once(files, folder, path, &self.notices.notify()).map_err(Absence::Node)?
            }
            taken => taken,
        };
        match taken {
            Some(Taken::Arrived(arrived)) => {
                checked(arrived, buf, |buf| contents::index_header(&buf)).map(Some).map_err(Absence::File)
            }
            Some(Taken::NotThere) | None => Ok(None),
            Some(Taken::Failed) => Err(Absence::Node(cut_off())),
        }
    }

    /// A shard as it arrived or, if it did not arrive completely, fetched alone with retries. `gone` reports whether its database
    /// is known to be deleted.
    pub(super) fn shard(
        &self,
        folders: &[NodeFolder],
        number: u16,
        path: &str,
        buf: &mut Vec<u8>,
        gone: impl Fn() -> Result<bool>,
    ) -> Result<Fetched<ShardHeader>, Absence> {
        let folder = &folders[usize::from(number)];
        let Some(files) = folder.origin.far() else { return Err(Absence::File(FileFailure::Missing)) };
        if let Some(grown) = self.grown(number, path, grown_shard)? {
            return Ok(grown);
        }
        match self.take(number, path) {
            Some(Taken::Arrived(arrived)) => {
                match checked(arrived, buf, |buf| contents::shard_header(&buf)) {
                    Err(newer @ FileFailure::Damaged(CouchFileError::Newer { .. })) => {
                        return Err(Absence::File(newer));
                    }
                    // Made this moment, perhaps.
                    Err(FileFailure::Damaged(_)) => {}
                    done => return done.map_err(Absence::File),
                }
            }
            Some(Taken::Failed) => return Err(Absence::Node(cut_off())),
            // Nobody waits for what is deleted, on this node or the next one.
            Some(Taken::NotThere) | None if gone().map_err(Absence::Node)? => {
                return Err(Absence::File(FileFailure::Missing));
            }
            Some(Taken::NotThere) | None => {}
        }
        alone::shard(files, &folder.path, path, &folder.patience, buf, &self.notices.notify())
    }
}

/// The error for whoever waited; [`Streams::failure`] returns the reason.
fn cut_off() -> Failure {
    let error = std::io::Error::other("the connection failed");
    Failure::io("read", "the files of a node", error)
}

/// The error for a large file that did not arrive completely, if that is the cause of an error of the archive.
pub(super) fn broken_off(error: &std::io::Error) -> Option<NodeError> {
    let BrokenOff { node, path, why } = error.get_ref()?.downcast_ref::<BrokenOff>()?;
    Some(NodeError::Connection { node: node.clone(), doing: format!("read {path}"), problem: why.clone() })
}

/// Checks a small file like a file of this machine, and cuts off what follows its last header.
fn checked<H>(
    arrived: Arrived,
    buf: &mut Vec<u8>,
    header: impl Fn(&[u8]) -> std::result::Result<(H, u64), CouchFileError>,
) -> std::result::Result<Fetched<H>, FileFailure> {
    match arrived {
        Arrived::Small { bytes, mtime } => {
            *buf = bytes;
            let (header, len) = header(buf).map_err(FileFailure::Damaged)?;
            buf.truncate(len as usize);
            Ok(Fetched::Small { header, mtime })
        }
        Arrived::Large { content, mtime } => Ok(Fetched::Large { passed: content.passed(), content, mtime }),
    }
}

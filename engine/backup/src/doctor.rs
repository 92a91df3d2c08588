//! Examines a cluster without a backup: the files of its nodes, against the shard maps and against each other.
//!
//! This is a module of the crate that makes backups, not a crate of its own, because nearly everything that it needs is private
//! to that crate: where a node's files come from (`Origin`), how shard maps are merged (`known`), which files no shard map names
//! (`leftovers`), and patience with files that CouchDB is about to swap (`file`).
//!
//! CouchDB goes on writing while its files are examined, so copies differ by nature. Whatever is found is therefore looked at
//! again after a pause, and is a finding only if it is still there. Copies that hold other documents are compared *then against
//! now*: a file only ever grows, so the state in which a copy was seen first can be opened again later, and a copy that does not
//! have *now* what another copy had *then* is behind. What was written in between does not matter.

mod contents_of_copies;
mod copy;
mod database;
mod files;
mod finding;
mod indexes;
mod members;
mod round;
mod shard_maps;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outcome::report::{Reporter, Silent};
use outcome::{Failure, Result, parallel};
use store::Limiter;

pub use finding::{Finding, FindingKind, FindingSeverity};
pub use verdict::Diagnosis;

use crate::FolderArgument;
use crate::asked::Asked;
use crate::folder;
use crate::rebuild::{RebuildMaps, rebuild};
use round::{Round, Suspects};
use verdict::Verdict;

/// How often what is found is looked at, at most: what CouchDB changes in the meantime cannot be compared.
const LOOKS: u32 = 4;
/// How long a pause sleeps before it checks whether the user has interrupted it.
const NAP: Duration = Duration::from_millis(100);

/// What to examine, and how.
#[derive(Clone)]
pub struct DoctorOptions {
    /// Data directories of the nodes of one cluster.
    pub folders: Vec<FolderArgument>,
    /// Check trees, bodies and attachments of every copy, and compare the copies document by document.
    pub deep: bool,
    /// With `deep`: the most bytes a second that are read from all nodes together.
    pub limit_rate: Option<u64>,
    /// How long to wait before what was found is looked at again. Internal replication collects changes for five seconds.
    pub pause: Duration,
    /// Where files of other machines that are checked completely are kept for as long as that takes.
    pub temporary_folder: PathBuf,
    /// Number of threads; 0: the number of cores.
    pub threads: usize,
}

/// Examines the nodes. Changes nothing.
///
/// Fails if a node is not reached, or if files may not be read: then it is not known how the cluster is.
pub fn doctor(options: &DoctorOptions, reporter: &dyn Reporter) -> Result<Diagnosis> {
    let asked = Asked::new(&options.folders, reporter)?;
    let rate = options.limit_rate.filter(|_| options.deep);
    let limiter = rate.map(|rate| Arc::new(Limiter::new(rate as f64)));
    let mut verdict = Verdict::new(options.deep);
    let mut suspects = Suspects::all();
    for look in 1..=LOOKS {
        if look > 1 {
            reporter.phase("waiting before looking again at what was found", None);
            pause(options.pause, reporter)?;
        }
        let mut folders = folder::open_all(&options.folders, &asked, None, limiter.as_ref())?;
        if folders.iter().all(|folder| folder.maps.is_err()) {
            // Better maps that are made of the files than none to compare the files with. Where that is not possible either, the
            // lost maps are all that is found.
            let _ =
                rebuild(&mut folders, &RebuildMaps::default(), parallel::threads(options.threads), &Silent);
        }
        let round =
            Round { folders: &folders, options, threads: parallel::threads(options.threads), reporter };
        (verdict, suspects) = round.look(&suspects, verdict)?;
        if suspects.is_empty() {
            break;
        }
    }
    verdict.note_unsettled(&suspects);
    Ok(verdict.into_diagnosis())
}

/// Waits, unless the user interrupts the wait.
fn pause(length: Duration, reporter: &dyn Reporter) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < length {
        if reporter.is_interrupted() {
            return Err(Failure::interrupted());
        }
        std::thread::sleep(NAP.min(length));
    }
    Ok(())
}

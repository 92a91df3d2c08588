//! What files do not hold and CouchDB itself reports, if a name and password are known.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cluster::agreement::{Look, maps, unconnected};
use contents::{ClusterRecord, DatabaseLimits, NodeRecord};
use node::{Http, NodeError, encode};
use outcome::report::{Notice, Reporter, Severity};
use outcome::{Code, Failure, Result};

use crate::FolderArgument;

/// If there are more databases than this, their limits are queried only on request (`--limits`).
const LIMITS_ASKED: usize = 20_000;
/// Requests at the same time.
const REQUESTS: usize = 4;
/// How many differences between shard maps are reported.
const DIFFERENCES_TOLD: usize = 10;
/// CouchDB's default of both limits.
const DEFAULT_LIMIT: u64 = 1000;

/// A node whose CouchDB answers.
struct Answering<'a> {
    http: &'a Http,
    name: String,
    version: String,
}

/// The nodes whose CouchDB can be queried.
pub(super) struct Asked<'a> {
    nodes: Vec<Answering<'a>>,
}

impl<'a> Asked<'a> {
    /// Queries the names of the nodes, and sets the names that the user has not given.
    ///
    /// Fails if a node's name is not the one that the user gave. A node that cannot be queried is reported and still saved: its
    /// CouchDB may be down.
    pub(super) fn new(folders: &'a [FolderArgument], reporter: &dyn Reporter) -> Result<Self> {
        let mut nodes = Vec::new();
        for folder in folders {
            let Some(http) = &folder.http else { continue };
            match http.node_name().and_then(|name| Ok((name, http.version()?))) {
                Ok((name, version)) => {
                    if let Some(given) = folder.node.as_ref().filter(|given| **given != name) {
                        return Err(Failure::refused(
                            Code::new("CC-B07"),
                            format!(
                                "{} was given as node {given}, but its CouchDB reports the name {name}",
                                http.node()
                            ),
                            "Give each host with the data directory and the name of its own node.",
                        ));
                    }
                    nodes.push(Answering { http, name, version: version.to_string() });
                }
                Err(error) => cannot_ask(&error, reporter),
            }
        }
        let asked = Self { nodes };
        asked.tell_differences(reporter);
        Ok(asked)
    }

    /// Reports which nodes do not see each other, and how their shard maps differ: data that only one side knows may be missing
    /// in the backup.
    fn tell_differences(&self, reporter: &dyn Reporter) {
        let warn = |text: String| reporter.notice(&Notice { severity: Severity::Warning, text });
        let mut apart = false;
        for node in &self.nodes {
            // Who does not answer is told elsewhere.
            let Ok(membership) = node.http.membership() else { continue };
            for unseen in unconnected(&membership, &membership.cluster) {
                let answers = self.nodes.iter().any(|other| other.name == unseen);
                apart |= answers;
                warn(format!(
                    "{} does not see {unseen}, a member of its cluster{}",
                    node.name,
                    if answers {
                        ", though CouchDB there answers: compare the cookies (-setcookie in vm.args) and the firewalls"
                    } else {
                        ""
                    }
                ));
            }
        }
        if !apart {
            return;
        }
        let asked: Vec<maps::Asked<'_>> =
            self.nodes.iter().map(|node| (node.name.clone(), node.http)).collect();
        if let Look::NotYet(differences) = maps::compare(&asked, 0) {
            for difference in differences.iter().take(DIFFERENCES_TOLD) {
                warn(format!("the nodes do not have the same shard maps: {difference}"));
            }
        }
    }

    /// Whether no node can be queried.
    pub(super) fn is_nobody(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The name that a node reported.
    pub(super) fn name_of(&self, folder: &FolderArgument) -> Option<&str> {
        let http = folder.http.as_deref()?;
        self.nodes.iter().find(|node| std::ptr::eq(node.http, http)).map(|node| node.name.as_str())
    }

    /// Queries everything that a backup records; `None` if no node answers.
    pub(super) fn record(
        &self,
        databases: &[String],
        limits_wanted: bool,
        reporter: &dyn Reporter,
    ) -> Option<ClusterRecord> {
        let first = self.nodes.first()?;
        let mut record = ClusterRecord {
            nodes: self
                .nodes
                .iter()
                .map(|node| NodeRecord { name: node.name.clone(), version: node.version.clone() })
                .collect(),
            ..ClusterRecord::default()
        };
        let asked = (|| {
            record.members = first.http.membership()?.cluster;
            record.q = first.http.config("cluster", "q")?;
            record.n = first.http.config("cluster", "n")?;
            Ok(())
        })();
        if let Err(error) = asked {
            cannot_ask(&error, reporter);
            return Some(record);
        }
        if databases.len() > LIMITS_ASKED && !limits_wanted {
            let text = format!(
                "there are {} databases: their limits (_revs_limit, _purged_infos_limit) are taken from the files. Give \
                 --limits to query CouchDB for them.",
                databases.len()
            );
            reporter.notice(&Notice { severity: Severity::Info, text });
            return Some(record);
        }
        match self.limits(databases, reporter) {
            Ok(limits) => {
                record.limits = limits;
                record.limits_asked = true;
            }
            Err(error) => cannot_ask(&error, reporter),
        }
        Some(record)
    }

    /// Limits that are not the defaults.
    fn limits(
        &self,
        databases: &[String],
        reporter: &dyn Reporter,
    ) -> Result<BTreeMap<String, DatabaseLimits>, NodeError> {
        reporter.phase("querying limits", Some(databases.len() as u64));
        let next = AtomicUsize::new(0);
        let found = Mutex::new(BTreeMap::new());
        let work = |http: &Http| -> Result<(), NodeError> {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(name) = databases.get(i) else { return Ok(()) };
                let limits = limits_of(http, name).inspect_err(|_| {
                    // The others need not go on.
                    next.store(databases.len(), Ordering::Relaxed);
                })?;
                if let Some(limits) = limits {
                    found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), limits);
                }
                reporter.advance(i as u64 + 1, 0);
            }
        };
        let work = &work;
        let ended: Vec<Result<(), NodeError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .nodes
                .iter()
                .cycle()
                .take(REQUESTS)
                .map(|node| scope.spawn(move || work(node.http)))
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        ended.into_iter().collect::<Result<(), NodeError>>()?;
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The limits of a database; `None` if they are the defaults, or the database does not exist any more.
fn limits_of(http: &Http, name: &str) -> Result<Option<DatabaseLimits>, NodeError> {
    let ask = |what: &str| -> Result<Option<u64>, NodeError> {
        match http.get(&format!("/{}/{what}", encode(name))) {
            Ok(answer) => Ok(answer.as_u64()),
            // Deleted meanwhile.
            Err(NodeError::Http { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let (Some(revs_limit), Some(purged_infos_limit)) = (ask("_revs_limit")?, ask("_purged_infos_limit")?)
    else {
        return Ok(None);
    };
    let limits = DatabaseLimits { revs_limit, purged_infos_limit };
    let usual = DatabaseLimits { revs_limit: DEFAULT_LIMIT, purged_infos_limit: DEFAULT_LIMIT };
    Ok((limits != usual).then_some(limits))
}

fn cannot_ask(error: &NodeError, reporter: &dyn Reporter) {
    let text = format!("{error}. Information that only CouchDB has is not in the archive.");
    reporter.notice(&Notice { severity: Severity::Warning, text });
}

//! `couchcopy backup`.

mod configured;
mod every;
mod text;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup::{BackupOptions, BackupResult, FolderArgument, RebuildMaps, backup};
use clap::Args;
use configuration::ClusterTable;
use contents::{Destination, NamePatterns};
use outcome::report::Reporter;
use outcome::{Code, Failure, Result};
use site::plugins::Plugins;
use site::{SiteNode, TunnelMode};
use store::Location;

use self::text::{print, print_round};
use crate::attended::Configured;
use crate::commands::repo::KeepFlags;
use crate::configured::is_path;
use crate::exit::Outcome;
use crate::flags::access::AccessFlags;
use crate::flags::archive_file::ArchiveFileFlags;
use crate::flags::http::{AskForPassword, HttpFlags};
use crate::flags::impact::ImpactFlags;
use crate::flags::repository::{host_name, seconds};
use crate::flags::store::location;
use crate::session::Session;

/// Save the data of one or more nodes of a cluster into an archive or a repository while CouchDB runs.
#[derive(Debug, Default, Args)]
#[command(
    override_usage = "couchcopy backup [OPTIONS]\n       \
        couchcopy backup [OPTIONS] NODE... ARCHIVE\n       \
        couchcopy backup [OPTIONS] --cluster FILE [NODE...] ARCHIVE\n       \
        couchcopy backup [OPTIONS] --repo REPO NODE...",
    after_long_help = "A node is written as HOST,DATA_DIR or HOST,DATA_DIR,NODENAME. DATA_DIR is the value of `[couchdb] \
    database_dir` in the node's configuration. couchcopy reaches other machines than localhost by ssh, unless --via or \
    --cluster names another access chain. Such a machine needs tar, find, stat, tail, xargs and env; couchcopy writes nothing \
    on it.\n\n\
    For a cluster, name enough nodes that together hold every range of every database. Each range is saved once, from a node \
    that is not behind.\n\n\
    The archive also holds the shard maps, which record where each database lies, and the view indexes. With --with-config \
    it holds the nodes' configuration files, which contain passwords and keys: CouchDB's own files in the directory `etc` next \
    to the data directory, otherwise in /opt/couchdb/etc, otherwise in /etc/couchdb, or the files in the directories that \
    --config-dir names. `couchcopy info` lists these files and the secrets in them, `couchcopy cat` prints a file, and a \
    restore never writes them. An archive never holds TLS key files or the search indexes of clouseau and nouveau.\n\n\
    Without NODE and ARCHIVE, couchcopy saves the cluster of the configuration file into its repository, and applies the \
    repository's rules (keep), as --keep-… does. `couchcopy run` also frees space and verifies.\n\n\
    Examples:\n  \
    couchcopy backup localhost,/opt/couchdb/data \\\n    /backups/couch-$(date +%F).tar.gz\n  \
    couchcopy backup db1.example.com,/opt/couchdb/data \\\n    db2.example.com,/opt/couchdb/data --use-sudo backup.tar.gz\n  \
    couchcopy backup --cluster prod.toml backup.tar.gz\n  \
    couchcopy backup --repo s3://backups/couchdb localhost,/opt/couchdb/data\n  \
    couchcopy backup --with-config --config-dir /opt/couchdb/etc \\\n    db1.example.com,/var/lib/couchdb backup.tar.gz\n  \
    couchcopy backup --rsync-reuse-dir /backups/mirror \\\n    db1.example.com,/opt/couchdb/data /backups/couch-$(date +%F).tar.gz"
)]
// The short help fits on a screen; `repo expire -h` shows the rules.
#[command(mut_args(|arg| {
    let is_rule = arg.get_id().as_str().starts_with("keep_");
    if is_rule { arg.hide_short_help(true) } else { arg }
}))]
pub(crate) struct Backup {
    /// Nodes, each as [USER:PASSWORD@]HOST[:PORT],DATA_DIR[,NODENAME], then the archive to make, unless --repo is given.
    ///
    /// A node can also be the name of a node in the --cluster file. Without nodes, all nodes in that file are saved. The archive
    /// gets its name when it is complete. Without any of both, the configuration file names them.
    // One list: if there were two, the parser could not separate the nodes from the archive once an option is between them.
    #[arg(value_names = ["NODE", "ARCHIVE"], num_args = 1..)]
    places: Vec<String>,

    #[command(flatten)]
    repository: RepositoryFlags,

    #[command(flatten)]
    saved: SavedFlags,

    #[command(flatten)]
    archive_file: ArchiveFileFlags,

    #[command(flatten)]
    impact: ImpactFlags,

    #[command(flatten)]
    access: AccessFlags,

    #[command(flatten)]
    http: HttpFlags,
}

/// A repository in place of an archive.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Repository")]
struct RepositoryFlags {
    /// Add the backup to this repository, and store only what is new since the last backup of the same nodes.
    ///
    /// Name no ARCHIVE then. `couchcopy repo init` makes a repository. couchcopy does not open files that have not changed.
    /// Of files that have grown, it reads only the new part.
    #[arg(long, value_name = "REPO", value_parser = location(), conflicts_with_all = ["overwrite", "level", "recipient", "recipients_file"])]
    repo: Option<Location>,

    /// Open every file, even if its size and time have not changed.
    #[arg(long)]
    paranoid: bool,

    /// Keep running, and add a backup every DURATION, for example 60s, if something has changed.
    ///
    /// SIGTERM or Ctrl-C ends the process. If a backup fails, couchcopy reports it and tries again after a pause, which grows with
    /// each failure. It reports to systemd that it is ready and alive (Type=notify, WatchdogSec).
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    every: Option<u64>,

    /// The store locks objects for DURATION, for example 30d: save the data again that old objects hold.
    ///
    /// A new backup then needs no object that is older than a half of DURATION. `couchcopy repo init --object-lock` sets DURATION for
    /// all backups; 0s saves nothing again.
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    object_lock: Option<u64>,

    /// With --every and a configuration file: answer Prometheus at http://ADDRESS:PORT/metrics.
    #[arg(long, requires = "every", value_name = "ADDRESS:PORT", hide_short_help = true)]
    metrics_listen: Option<SocketAddr>,

    #[command(flatten)]
    keep: KeepFlags,
}

/// What is saved, and how.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What to save")]
struct SavedFlags {
    /// Save only the databases whose names match. Can be repeated.
    ///
    /// `*` matches any characters, including `/`; `?` matches one character. A system database such as _users is saved only if a
    /// pattern matches it. The backup holds the shard maps of these databases only. In a repository, ::latest means a backup of all
    /// databases, if there is one; name this one by ::latest@'--only PATTERN'.
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    only: Vec<String>,

    /// Leave out the databases whose names match. Can be repeated.
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    except: Vec<String>,

    /// Save the nodes' configuration files, too. They hold passwords and keys.
    ///
    /// These are local.ini, vm.args and similar files.
    #[arg(long)]
    with_config: bool,

    /// Directory with configuration files on every node. Can be repeated.
    ///
    /// It replaces the usual directories. `config` in the --cluster file names the directories of a single node.
    #[arg(long, value_name = "DIR", requires = "with_config")]
    config_dir: Vec<PathBuf>,

    /// Check the trees, bodies and attachments of every shard.
    ///
    /// The shards are checked while they are saved. If a copy is damaged, the copy of another given node is saved. For other machines, large shards pass through a temporary
    /// file next to the archive.
    #[arg(long)]
    check: bool,

    /// Keep a mirror in DIR, so that the next backup transfers only new data.
    ///
    /// The mirror holds the nodes' files. Name a new directory, or the directory of an earlier backup. From a file that the mirror holds, only the bytes that were
    /// appended since then come over the network. The mirror needs as much space as the data. Nodes on this machine need none.
    #[arg(long, visible_alias = "rsync-reuse-folder", value_name = "DIR")]
    rsync_reuse_dir: Option<PathBuf>,

    /// Query the limits (_revs_limit, _purged_infos_limit) of any number of databases.
    ///
    /// Without this option, couchcopy queries CouchDB for the limits only if there are at most 20,000 databases.
    #[arg(long, hide_short_help = true)]
    limits: bool,

    /// Save shard maps that name no database although there are shards on the nodes.
    ///
    /// Without this option couchcopy refuses such a backup: the shard maps were probably lost.
    #[arg(long, hide_short_help = true)]
    accept_empty_maps: bool,

    /// Make shard maps from the shards, for databases that no node's shard maps name.
    ///
    /// For nodes that have lost _dbs.couch. The paths and headers of the shards hold names, ranges and properties. Each range gets
    /// the copies that the given nodes hold.
    #[arg(long, conflicts_with = "accept_empty_maps", hide_short_help = true)]
    rebuild_maps: bool,

    /// With --rebuild-maps: record at least N copies of every range.
    #[arg(long, value_name = "N", requires = "rebuild_maps", value_parser = clap::value_parser!(u16).range(1..), hide_short_help = true)]
    map_copies: Option<u16>,

    /// With --rebuild-maps: name of a node that is not given and holds copies, too. Can be repeated.
    #[arg(long, value_name = "NODENAME", requires = "rebuild_maps", hide_short_help = true)]
    map_node: Vec<String>,
}

impl SavedFlags {
    /// Which databases are saved. Options count in place of the configuration file.
    fn databases(&self, table: Option<&ClusterTable>) -> Result<NamePatterns> {
        if !self.only.is_empty() || !self.except.is_empty() {
            return NamePatterns::new(&self.only, &self.except);
        }
        table.map_or_else(
            || Ok(NamePatterns::default()),
            |table| NamePatterns::new(&table.only, &table.except),
        )
    }
}

impl Backup {
    /// Arguments that are missing: the list of places is too short, or an option needs a repository.
    pub(crate) fn missing(&self, has_configuration: bool) -> Option<&'static str> {
        let is_file = self.access.cluster.as_deref().is_some_and(is_path);
        if has_configuration && self.places.is_empty() && !is_file {
            return None;
        }
        let repository = &self.repository;
        let needs_repository =
            repository.every.is_some() || repository.paranoid || repository.object_lock.is_some();
        if needs_repository && repository.repo.is_none() {
            return Some("--repo <REPO>");
        }
        let nodes = usize::from(self.access.cluster.is_none());
        let needed = nodes + usize::from(self.repository.repo.is_none());
        (self.places.len() < needed).then_some(match self.repository.repo {
            Some(_) => "NODE...: one or more nodes (or --cluster FILE)",
            None => "NODE... ARCHIVE: one or more nodes (or --cluster FILE), and last the archive to make",
        })
    }

    /// A backup of a cluster in the configuration file.
    pub(super) fn of_configuration(access: &AccessFlags, http: &HttpFlags) -> Self {
        Self { access: access.clone(), http: http.clone(), ..Self::default() }
    }

    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        self.impact.apply()?;
        if let Some(configured) = self.configured(session)? {
            return self.run_configured(&configured, session);
        }
        if self.repository.metrics_listen.is_some() {
            return Err(Failure::refused(
                Code::new("CC-M11"),
                "--metrics-listen reports on a cluster of the configuration file, and the command names nodes itself",
                "Describe the cluster in the configuration file (docs/running.md), and name no node and no repository.",
            ));
        }
        // The plugins have to live as long as the nodes.
        let (options, _plugins) = self.options(None, session)?;
        if let Some(every) = self.every() {
            every::repeat(every, session.interruptible()?, session.reporter(), |reporter| {
                let result = self.round(&options, None, reporter)?;
                print_round(session, &options, &result);
                Ok(())
            })?;
            return Ok(Outcome::Done);
        }
        let result = self.make(&options, None, session.reporter())?;
        print(session, &options, &result);
        Ok(Outcome::of(result.is_complete()))
    }

    /// What the configuration file says, if the command line names neither nodes nor a place for the backup.
    fn configured(&self, session: &Session) -> Result<Option<Configured>> {
        if !self.places.is_empty() || self.repository.repo.is_some() {
            return Ok(None);
        }
        Configured::of(session, self.access.cluster.as_deref()).map(Some)
    }

    fn every(&self) -> Option<Duration> {
        self.repository.every.map(|seconds| Duration::from_secs(seconds.max(1)))
    }

    /// One backup, and what it makes superfluous is thrown away.
    fn make(
        &self,
        options: &BackupOptions,
        configured: Option<&Configured>,
        reporter: &dyn Reporter,
    ) -> Result<BackupResult> {
        let pausing = self.impact.pausing(reporter, &options.folders);
        pausing.wait();
        let result = backup(options, &pausing)?;
        if !result.is_unchanged {
            self.expire(options, configured)?;
        }
        Ok(result)
    }

    /// One backup of many.
    fn round(
        &self,
        options: &BackupOptions,
        configured: Option<&Configured>,
        reporter: &dyn Reporter,
    ) -> Result<BackupResult> {
        // Keys may have changed.
        let mut options = options.clone();
        if let Destination::Repository { repository, .. } = &mut options.destination {
            *repository = repository.reopened()?;
        }
        self.make(&options, configured, reporter)
    }

    /// Throws old backups away, if a rule is given.
    fn expire(&self, options: &BackupOptions, configured: Option<&Configured>) -> Result<()> {
        let mut policy = self.repository.keep.policy();
        if let Some(configured) = configured.filter(|_| policy.is_empty()) {
            policy = configured.repository.table.keep.policy();
        }
        if let (Destination::Repository { repository, .. }, false) = (&options.destination, policy.is_empty())
        {
            repository.expire(&policy, false)?;
        }
        Ok(())
    }

    /// The nodes, and the archive to make if it does not go into a repository.
    fn places(&self) -> (&[String], Option<&str>) {
        match self.places.split_last().filter(|_| self.repository.repo.is_none()) {
            Some((archive, nodes)) => (nodes, Some(archive.as_str())),
            None => (&self.places, None),
        }
    }

    fn destination(
        &self,
        session: &Session,
        configured: Option<&Configured>,
        archive: Option<&str>,
    ) -> Result<Destination> {
        let location = configured.map(|configured| &configured.repository.location);
        if let Some(repository) = self.repository.repo.as_ref().or(location) {
            return Ok(Destination::Repository {
                repository: crate::flags::repository::open(session, repository)?,
                host: host_name(),
                paranoid: self.repository.paranoid
                    || configured.is_some_and(|configured| configured.cluster.table.paranoid),
                made: None,
                only_if_changed: self.repository.every.is_some(),
                object_lock: self.repository.object_lock,
            });
        }
        if !self.repository.keep.policy().is_empty() {
            return Err(Failure::refused(
                Code::new("CC-X24"),
                "--keep-… throws away backups of a repository, and none is named",
                "Add --repo REPO, or leave out --keep-….",
            ));
        }
        let archive_file = &self.archive_file;
        let location = Location::parse(OsStr::new(archive.unwrap_or_default()))?;
        let cluster = self.access.cluster.as_deref();
        Ok(Destination::Archive {
            place: session.new_place(&location, cluster, &archive_file.recipients)?,
            overwrite: archive_file.overwrite,
            level: archive_file.level,
        })
    }

    pub(super) fn options(
        &self,
        configured: Option<&Configured>,
        session: &Session,
    ) -> Result<(BackupOptions, Option<Plugins>)> {
        let (names, archive) = match configured {
            Some(_) => (&[][..], None),
            None => self.places(),
        };
        let table = configured.map(|configured| &configured.cluster.table);
        let config = if self.saved.with_config {
            Some(self.saved.config_dir.clone())
        } else {
            table.filter(|table| table.with_config).map(|table| table.config_dir.clone())
        };
        let (folders, plugins) = folders(names, &self.access, Some(&self.http), session)?;
        let saved = &self.saved;
        let options = BackupOptions {
            folders,
            databases: saved.databases(table)?,
            destination: self.destination(session, configured, archive)?,
            threads: session.threads(),
            limit_rate: session.limit_rate(),
            limits: saved.limits,
            config,
            mirror: saved.rsync_reuse_dir.clone().or_else(|| table?.rsync_reuse_dir.clone()),
            check: saved.check || table.is_some_and(|table| table.check),
            accept_empty_maps: saved.accept_empty_maps,
            rebuild_maps: saved.rebuild_maps.then(|| RebuildMaps {
                copies: saved.map_copies.map(usize::from),
                nodes: saved.map_node.clone(),
            }),
        };
        Ok((options, plugins))
    }
}

/// The data directories of these nodes, and the plugins that reach them, which have to live as long as these. Without `http`,
/// only their files are reached.
pub(super) fn folders(
    names: &[String],
    access: &AccessFlags,
    http: Option<&HttpFlags>,
    session: &Session,
) -> Result<(Vec<FolderArgument>, Option<Plugins>)> {
    let mut nodes = access.nodes(names, session)?;
    match http {
        Some(http) => nodes = http.complete(nodes, AskForPassword::IfUserIsNamed, session)?,
        None => nodes.iter_mut().for_each(|node| node.http.credentials = None),
    }
    let paths: Vec<PathBuf> = nodes.iter().map(SiteNode::data_folder).collect::<Result<_>>()?;
    // Nodes on this machine need no plugins: setting the sandbox up would take longer than a small backup.
    let is_remote = nodes.iter().any(|node| !node.via.is_empty());
    let plugins = if is_remote { Some(access.grants.plugins(session)?) } else { None };
    let tunnel = http.map_or(TunnelMode::Never, HttpFlags::tunnel);
    let folder = |(node, path): (SiteNode, PathBuf)| {
        let (files, http) = match &plugins {
            Some(plugins) if !node.via.is_empty() => {
                let (files, http) = plugins.files(&node, tunnel)?;
                (Some(Arc::from(files)), http)
            }
            _ => (None, node.direct_http()?),
        };
        let (http, config) = (http.map(Arc::new), node.config);
        Ok(FolderArgument { path, node: node.id.name, files, http, config, shows: None })
    };
    let folders = nodes.into_iter().zip(paths).map(folder).collect::<Result<_>>()?;
    Ok((folders, plugins))
}

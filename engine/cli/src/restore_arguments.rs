//! The arguments of the commands that replace data on nodes.

use std::time::Duration;

use clap::{Args, ValueEnum};
use node::Version;
use outcome::Result;
use restore::folders::{OLDEST_TARGET, Suffixes};
use restore::selection::Selection;

use crate::plugin_arguments::{HttpFlags, PluginFlags};

/// Replace the data of a cluster by an archive's databases; or, with --db, bring single databases back into it; or, with
/// --offline, write them into empty folders.
#[derive(Debug, Args)]
#[command(
    after_help = "A node is [user:password@]HOST[:port],DATA_DIR[,NODENAME]; `,` `:` `@` in a password are written %2C %3A %40. A URL can \
    stand in place of the host: https://db1.example.com:6984,/opt/couchdb/data. \
    Give all nodes of the cluster, or a --cluster file that names them. Node names may differ from those in the \
    archive, and so may the number of nodes: every database keeps its ranges, properties, security and limits, and its copies are \
    spread over the nodes.\n\n\
    What happens: nodes and archive are checked first. New data is copied beside the old one while CouchDB runs, and each file \
    is checked as `couchcopy verify` does: damage ends the restore before any node is stopped. Then all nodes are \
    stopped, old and new data change places by renaming, all nodes start. When they agree the old data is \
    removed. Whatever fails before that brings the old data back. A restore that was killed is finished with --resume or undone \
    with --roll-back; `couchcopy status` tells where it stands.\n\n\
    --db brings single databases back beside all others, without stopping anything.\n\n\
    --offline writes into new or empty folders of nodes that are not running, named as DIR,NODENAME.\n\n\
    Examples:\n  couchcopy restore backup.tar.gz admin:password@localhost:5984,/opt/couchdb/data\n  \
    couchcopy restore backup.tar.gz --cluster prod.toml --dry-run\n  \
    couchcopy restore --db shop=shop-yesterday backup.tar.gz admin:password@localhost:5984\n  \
    couchcopy restore --resume --cluster prod.toml\n  \
    couchcopy restore --offline backup.tar.gz /mnt/a,couchdb@a.example.com /mnt/b,couchdb@b.example.com\n  \
    couchcopy restore --offline --for-couchdb 3.3 backup.tar.gz /mnt/a,couchdb@a.example.com\n  \
    couchcopy restore --offline --only 'team/*' --rename team/a=team/z backup.tar.gz /mnt/a,couchdb@a.example.com"
)]
pub(crate) struct Restore {
    /// The archive (of this couchcopy, of the Python one, or a data folder packed with tar), then the nodes. With --resume and
    /// --roll-back the archive may be left out.
    #[arg(value_name = "ARCHIVE] [NODE")]
    pub(crate) arguments: Vec<String>,

    /// The nodes are not running, and their folders are on this machine: NODE is DIR,NODENAME.
    #[arg(long, conflicts_with_all = ["resume", "roll_back", "dry_run", "keep_old", "maps", "wait"])]
    pub(crate) offline: bool,

    /// With --offline: the version of the CouchDB that will open the folders, e.g. 3.3. CouchDB up to 3.3 reads no checksum but
    /// MD5: files that CouchDB 3.5 wrote get MD5. Without --offline the nodes are asked.
    #[arg(long, value_name = "VERSION", requires = "offline", value_parser = couchdb_version)]
    pub(crate) for_couchdb: Option<Version>,

    /// Copies of every range; without it each database has as many as before, or one per node if that is less.
    #[arg(long, value_name = "COPIES", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) n: Option<u16>,

    /// Give every copy a new uuid: where an older state returns to the same nodes, so that consumers of _changes read once
    /// from the start instead of missing changes. Always so where a node has a name that the archive knows, but for --offline.
    #[arg(long)]
    pub(crate) fresh_uuids: bool,

    /// Give databases a new suffix in the names of their shard files, as CouchDB does with a database that is made again, so that
    /// view and search indexes outside the data folder cannot take them for what they knew. Always so where every copy gets a new
    /// uuid, and on running nodes where they hold a database of the same name and suffix, or keep view indexes elsewhere.
    #[arg(long, conflicts_with_all = ["keep_suffix", "resume", "roll_back"])]
    pub(crate) new_suffix: bool,

    /// Let databases keep the suffix that they have in the archive. Indexes outside the data folder that have seen a newer state
    /// then give wrong answers for ever: remove them first.
    #[arg(long, conflicts_with_all = ["resume", "roll_back"])]
    pub(crate) keep_suffix: bool,

    /// Remove files below `shards` that belong to no database with the old data. Without it a restore that would remove such files
    /// is refused: they may be the last copies of databases.
    #[arg(long, conflicts_with_all = ["offline", "resume", "roll_back"])]
    pub(crate) remove_orphans: bool,

    /// Restore an archive whose shard maps name no database. A running cluster loses all its databases.
    #[arg(long, conflicts_with_all = ["resume", "roll_back"])]
    pub(crate) allow_empty: bool,

    /// Leave out databases that are damaged or incomplete in the archive instead of refusing. A running cluster loses them.
    #[arg(long)]
    pub(crate) skip_damaged: bool,

    #[command(flatten)]
    pub(crate) selection: SelectionFlags,

    #[command(flatten)]
    pub(crate) databases: DatabaseFlags,

    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Prove everything, tell what would be done, and do nothing.
    #[arg(long, conflicts_with_all = ["resume", "roll_back"])]
    pub(crate) dry_run: bool,

    /// Finish a restore that was interrupted.
    #[arg(long, conflicts_with = "roll_back")]
    pub(crate) resume: bool,

    /// Bring back the data that a restore has replaced, as long as it is there.
    #[arg(long)]
    pub(crate) roll_back: bool,

    /// Keep the old data beside the new one; `couchcopy clean` removes it.
    #[arg(long)]
    pub(crate) keep_old: bool,

    /// How shard maps come to the nodes: as files before they start, or through HTTP afterwards.
    #[arg(long, value_enum, default_value_t = Maps::File, value_name = "HOW")]
    pub(crate) maps: Maps,

    /// What to wait for in the end: that all nodes agree, or also that no node has anything to send to another one.
    #[arg(long, value_enum, default_value_t = Wait::Agreement, value_name = "WHAT")]
    pub(crate) wait: Wait,

    /// How long to wait, in seconds; after that the old data is brought back.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) timeout: u64,

    /// How long to have databases opened in the end, to see that all their documents are there: seconds, or `all` for as long as
    /// it takes until every node has opened every database. CouchDB opens some hundred in a second.
    #[arg(long, value_name = "SECONDS|all", default_value = "15", value_parser = open_for)]
    pub(crate) open: OpenFor,

    #[command(flatten)]
    pub(crate) plugins: PluginFlags,

    #[command(flatten)]
    pub(crate) http: HttpFlags,
}

/// Which of an archive's databases, and under which names.
#[derive(Debug, Args)]
pub(crate) struct SelectionFlags {
    /// Restore the databases whose names match; repeat it for more. `*` stands for any characters, `/` among them, `?` for one;
    /// a system database like _users is restored only if a pattern matches it. A running cluster loses all others.
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["resume", "roll_back"])]
    pub(crate) only: Vec<String>,

    /// Leave out the databases whose names match; repeat it for more. A running cluster loses them.
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["resume", "roll_back"])]
    pub(crate) except: Vec<String>,

    /// Give a database another name; repeat it for more. Its view indexes go along.
    #[arg(long, value_name = "OLD=NEW", conflicts_with_all = ["resume", "roll_back"])]
    pub(crate) rename: Vec<String>,
}

impl SelectionFlags {
    /// What they choose.
    pub(crate) fn selection(&self) -> Result<Selection> {
        Selection::parse(&self.only, &self.except, &self.rename)
    }
}

/// Single databases into a running cluster.
#[derive(Debug, Args)]
pub(crate) struct DatabaseFlags {
    /// Bring this database back into a running cluster over HTTP, under another name if one is given; repeat it for more. Nothing
    /// is stopped, all other databases stay as they are. NODE is any one node, [http[s]://][user:password@]HOST[:port]. Given again after an
    /// interruption it goes on.
    #[arg(
        long = "db",
        value_name = "NAME[=NEWNAME]",
        conflicts_with_all = [
            "offline", "resume", "roll_back", "fresh_uuids", "new_suffix", "keep_suffix", "remove_orphans", "allow_empty",
            "skip_damaged", "keep_old", "maps", "wait", "timeout", "open",
            "only", "except", "rename",
        ]
    )]
    pub(crate) db: Vec<String>,

    /// With --db: add the documents to a database that has some already; both sides' revisions stay, as after a replication.
    #[arg(long, requires = "db")]
    pub(crate) merge: bool,

    /// With --db: local documents too, such as checkpoints of replications and clients.
    #[arg(long, requires = "db")]
    pub(crate) local: bool,
}

fn couchdb_version(text: &str) -> std::result::Result<Version, String> {
    let numbers = text.split('.').map(|part| part.parse::<u64>().is_ok());
    if !numbers.clone().all(|is_number| is_number) || !(2..=3).contains(&numbers.count()) {
        return Err("it has to be a version of CouchDB, e.g. 3.3 or 3.3.3".into());
    }
    let version = Version::parse(text);
    if version.at_least(OLDEST_TARGET.0, OLDEST_TARGET.1) {
        return Ok(version);
    }
    Err("data is restored to CouchDB 3.1 or newer".into())
}

impl Restore {
    /// Which suffix databases get.
    pub(crate) fn suffixes(&self) -> Suffixes {
        match (self.new_suffix, self.keep_suffix) {
            (true, _) => Suffixes::New,
            (false, true) => Suffixes::Keep,
            (false, false) => Suffixes::AsNeeded,
        }
    }
}

/// How long to have databases opened; `None` until all are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenFor(pub(crate) Option<Duration>);

fn open_for(text: &str) -> std::result::Result<OpenFor, String> {
    if text == "all" {
        return Ok(OpenFor(None));
    }
    let seconds = text.parse().map_err(|_| "it has to be a number of seconds, or `all`")?;
    Ok(OpenFor(Some(Duration::from_secs(seconds))))
}

/// How shard maps come to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Maps {
    /// As files, before the nodes start.
    File,
    /// Through the HTTP interface of the first node.
    Http,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// That all nodes agree and every database opens with all its documents.
    Agreement,
    /// That, and internal replication done.
    Replication,
}

/// Rehearse a restore: look at nodes, their files, service and HTTP interface, and tell what would not do and how to mend it.
#[derive(Debug, Args)]
#[command(
    after_help = "Changes nothing; a folder is made in each data folder and removed at once.\n\nExample:\n  couchcopy check \
    admin:password@db1:5984,/opt/couchdb/data admin:password@db2:5984,/opt/couchdb/data --use-sudo"
)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) nodes: Nodes,
}

/// Tell where nodes stand: whether a restore is unfinished, or has left old data.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) nodes: Nodes,
}

/// Remove old data that restores have left beside the data in place.
#[derive(Debug, Args)]
pub(crate) struct Clean {
    #[command(flatten)]
    pub(crate) nodes: Nodes,
}

/// Nodes, and how to reach them.
#[derive(Debug, Args)]
pub(crate) struct Nodes {
    /// The nodes: [http[s]://][user:password@]HOST[:port],DATA_DIR[,NODENAME], or names of nodes in the --cluster file, whose nodes it is all
    /// without.
    #[arg(value_name = "NODE", required_unless_present = "cluster")]
    pub(crate) names: Vec<String>,

    #[command(flatten)]
    pub(crate) plugins: PluginFlags,

    #[command(flatten)]
    pub(crate) http: HttpFlags,
}

//! `couchcopy restore`.

mod databases;
mod live;
mod live_text;
mod offline;
mod one_node;
mod placed_text;
mod request;
pub(super) mod rewind;
mod values;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgGroup, Args};
use filter::{Choice, Filter};
use node::Version;
use outcome::Result;
use restore::folders::Suffixes;
use restore::{Ranges, RestoreChoices, Transformation};
use site::{PluginReference, with_settings_of_file};

use crate::exit::Outcome;
use crate::flags::access::AccessFlags;
use crate::flags::http::HttpFlags;
use crate::flags::moment::MomentFlags;
use crate::flags::placement::PlacementFlags;
use crate::flags::selection::SelectionFlags;
use crate::session::Session;
pub(super) use databases::{Consent, Way, first as first_node, restore_over_http};
use request::RestoreRequest;
use values::{Maps, Wait, couchdb_version};
pub(super) use values::{OpenFor, open_for};

/// Replace a cluster's data, restore single databases, or write data directories.
#[derive(Debug, Args)]
#[command(
    override_usage = "couchcopy restore [OPTIONS] ARCHIVE NODE...\n       \
        couchcopy restore --db NAME[=NEWNAME] [OPTIONS] ARCHIVE NODE\n       \
        couchcopy restore --node NAME [OPTIONS] ARCHIVE NODE...\n       \
        couchcopy restore --offline [OPTIONS] ARCHIVE DIR,NODENAME...\n       \
        couchcopy restore --resume [OPTIONS] [ARCHIVE] NODE...\n       \
        couchcopy restore --roll-back [OPTIONS] NODE...",
    group = ArgGroup::new("anew").args(["ranges", "transform"]).multiple(true),
    after_help = "Run `couchcopy restore --help` for all options, details and examples.",
    after_long_help = "A node is written as [user:password@]HOST[:port],DATA_DIR[,NODENAME]; in a password, write `,` as %2C, `:` as %3A and `@` \
    as %40. A URL can replace the host: https://db1.example.com:6984,/opt/couchdb/data. Name all nodes of the cluster, or use a \
    --cluster file that lists them. Node names and the number of nodes may differ from those in the archive: every database \
    keeps its ranges, properties, security and limits, and its copies are spread over the nodes.\n\n\
    What happens: couchcopy checks the nodes and the archive first. While CouchDB runs, it copies the new data next to the old \
    data and checks each file as `couchcopy verify` does; damage ends the restore before any node is stopped. Then it stops \
    all nodes, swaps old and new data by renaming, and starts all nodes. When the nodes agree, it removes the old data. If \
    anything fails before that, it restores the old data. To finish a restore that was killed, use --resume; to undo it, \
    use --roll-back. `couchcopy status` shows the state of each node, and `couchcopy check` checks the nodes without \
    restoring anything.\n\n\
    --db restores single databases into a running cluster, next to all others, and stops nothing.\n\n\
    --node brings one node of a cluster back, for example after its disk was lost, while the other nodes run on.\n\n\
    --offline writes new or empty data directories on this machine, for nodes that are not running.\n\n\
    Examples:\n  \
    couchcopy restore backup.tar.gz \\\n    admin:password@localhost:5984,/opt/couchdb/data\n  \
    couchcopy restore backup.tar.gz --cluster prod.toml --dry-run\n  \
    couchcopy restore --db shop=shop-yesterday backup.tar.gz \\\n    admin:password@localhost:5984\n  \
    couchcopy restore --node couchdb@db2.example.com backup.tar.gz \\\n    --cluster prod.toml\n  \
    couchcopy restore --resume --cluster prod.toml\n  \
    couchcopy restore --offline backup.tar.gz \\\n    /mnt/a,couchdb@a.example.com /mnt/b,couchdb@b.example.com\n  \
    couchcopy restore --q 'logs/*=8' backup.tar.gz --cluster prod.toml\n  \
    couchcopy restore --place 'logs/*=z1:1' backup.tar.gz --cluster prod.toml\n  \
    couchcopy restore --offline --transform anonymise \\\n    --transform-settings a.toml backup.tar.gz /mnt/a,couchdb@127.0.0.1\n  \
    couchcopy restore --offline --for-couchdb 3.3 backup.tar.gz \\\n    /mnt/a,couchdb@a.example.com\n  \
    couchcopy restore --offline --only 'team/*' --rename team/a=team/z \\\n    backup.tar.gz /mnt/a,couchdb@a.example.com"
)]
pub(crate) struct Restore {
    /// The archive, then the nodes.
    ///
    /// The archive can be one of this couchcopy, one of the Python couchcopy, or a data directory packed with tar. With --resume
    /// and --roll-back the archive can be omitted. With --cluster and no nodes, all nodes in the file are taken. With a
    /// configuration file, ::latest names the newest backup in its repository, and its nodes are taken if none are named.
    #[arg(value_names = ["ARCHIVE", "NODE"], num_args = 1..)]
    arguments: Vec<String>,

    #[command(flatten)]
    mode: ModeFlags,

    #[command(flatten)]
    databases: DatabaseFlags,

    #[command(flatten)]
    selection: SelectionFlags,

    #[command(flatten)]
    data: DataFlags,

    #[command(flatten)]
    placement: PlacementFlags,

    #[command(flatten)]
    waiting: WaitFlags,

    #[command(flatten)]
    access: AccessFlags,

    #[command(flatten)]
    http: HttpFlags,
}

/// What kind of restore it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mode")]
struct ModeFlags {
    /// Write data directories of nodes that are not running. NODE is DIR,NODENAME.
    #[arg(long, conflicts_with_all = ["resume", "roll_back", "dry_run", "keep_old", "maps", "wait"])]
    offline: bool,

    /// With --offline: version of the CouchDB that will open the directories, e.g. 3.3.
    ///
    /// CouchDB up to 3.3 reads only MD5 checksums, so files that CouchDB 3.5 wrote get MD5 checksums. Without --offline,
    /// couchcopy queries the nodes for their version.
    #[arg(long, value_name = "VERSION", requires = "offline", value_parser = couchdb_version, hide_short_help = true)]
    for_couchdb: Option<Version>,

    /// Bring one node of a running cluster back; the other nodes are not changed.
    ///
    /// Name all nodes of the cluster; the node itself need not run. It gets the shards that the shard maps of the other nodes name
    /// for it, with their contents in the archive. What was written since the backup comes from the other nodes.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = [
            "offline", "resume", "roll_back", "db", "copies", "fresh_uuids", "new_suffix", "keep_suffix", "maps", "only", "except",
            "rename", "skip_damaged", "allow_empty", "ranges", "place", "even_out", "transform",
        ]
    )]
    node: Option<String>,

    /// Finish an interrupted restore.
    #[arg(long, conflicts_with = "roll_back")]
    resume: bool,

    /// Restore the data that a restore has replaced, as long as that data exists.
    #[arg(long)]
    roll_back: bool,

    /// Check everything and show what would be done, without doing it.
    #[arg(long, conflicts_with_all = ["resume", "roll_back"])]
    dry_run: bool,

    /// Continue without confirmation.
    #[arg(short, long)]
    yes: bool,
}

/// Single databases into a running cluster.
#[derive(Debug, Args)]
#[command(next_help_heading = "Single databases")]
struct DatabaseFlags {
    /// Restore this database into a running cluster over HTTP. Can be repeated.
    ///
    /// With NEWNAME, the database is restored under another name. Nothing is stopped, and all other databases stay as they are.
    /// NODE is any one node of the cluster, written as [http[s]://][user:password@]HOST[:port]. If interrupted, run the same
    /// command again to resume.
    #[arg(
        long = "db",
        value_name = "NAME[=NEWNAME]",
        conflicts_with_all = [
            "offline", "resume", "roll_back", "fresh_uuids", "new_suffix", "keep_suffix", "remove_orphans", "allow_empty",
            "skip_damaged", "keep_old", "maps", "wait", "timeout", "open",
            "only", "except", "rename",
        ]
    )]
    db: Vec<String>,

    /// With --db: add the documents to a database that already contains documents.
    ///
    /// The revisions of both sides stay, as after a replication.
    #[arg(long, requires = "db", hide_short_help = true)]
    merge: bool,

    /// With --db: restore local documents, too, such as checkpoints of replications and clients.
    #[arg(long, requires = "db", hide_short_help = true)]
    local: bool,

    /// With --db: make documents what they were, by edits on top.
    ///
    /// Newer edits and deletions are overridden on every node and on every replica; documents that are equal, and documents made
    /// since then, stay as they are. A document that somebody edits in the meantime is not overridden, but reported. If
    /// interrupted, run the same command again to go on.
    #[arg(long, requires = "db", conflicts_with_all = ["merge", "local", "copies", "ranges", "place", "transform"])]
    rewind: bool,

    #[command(flatten)]
    chosen: ChosenFlags,

    #[command(flatten)]
    rewound: rewind::RewindFlags,

    #[command(flatten)]
    moment: MomentFlags,
}

/// Which documents of single databases are restored.
#[derive(Debug, Args)]
struct ChosenFlags {
    /// With --db: restore only documents that match this Mango selector.
    ///
    /// JSON is what a query to _find has in `selector`, for example '{"type": "order"}'. As in a replication with a selector, each
    /// conflicting revision counts on its own, and design documents and deleted documents have to match, too.
    #[arg(long, value_name = "JSON", requires = "db", conflicts_with = "rewind", hide_short_help = true)]
    selector: Option<String>,

    /// With --db: leave out deleted documents and deleted revisions.
    #[arg(long, requires = "db", conflicts_with = "rewind", hide_short_help = true)]
    without_deleted: bool,

    /// With --db: restore only design documents.
    #[arg(long, requires = "db", conflicts_with = "rewind", hide_short_help = true)]
    design_docs_only: bool,

    /// With --db: leave out design documents that define views or other indexes, so that CouchDB builds none.
    #[arg(long, requires = "db", conflicts_with = "rewind", hide_short_help = true)]
    no_views: bool,
}

impl ChosenFlags {
    /// What the options choose; `None`: everything.
    fn filter(&self) -> Result<Option<Arc<dyn Filter>>> {
        let mut filters: Vec<Arc<dyn Filter>> = Vec::new();
        let flags = [
            (self.without_deleted, Choice::WithoutDeleted),
            (self.design_docs_only, Choice::OnlyDesignDocuments),
            (self.no_views, Choice::WithoutViews),
        ];
        for (_, choice) in flags.into_iter().filter(|(is_set, _)| *is_set) {
            filters.push(Arc::new(choice));
        }
        if let Some(selector) = &self.selector {
            filters.push(Arc::new(filter::parse_selector(selector)?));
        }
        Ok(filter::All::of(filters))
    }
}

/// How the data is changed and placed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
struct DataFlags {
    /// Number of copies of every range.
    ///
    /// Without this option each database gets as many copies as before, or one per node if there are fewer nodes than that. A
    /// cluster's own placement in zones decides the number, as in CouchDB; another number is refused then.
    #[arg(long, visible_alias = "n", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    copies: Option<u16>,

    /// Number of ranges (q) of every database, or of those that match PATTERN. Can be repeated.
    ///
    /// The documents move to the ranges in which CouchDB looks for them. If several patterns match a database, the last one counts;
    /// a database that none matches keeps its ranges. CouchDB rebuilds the view indexes of a database whose ranges change, and
    /// consumers of _changes read it once from the start. With --db, a new database gets this number of ranges.
    #[arg(
        long = "q",
        value_name = "[PATTERN=]N",
        conflicts_with_all = ["resume", "roll_back"],
        hide_short_help = true
    )]
    ranges: Vec<String>,

    /// Pass every document through a plugin, which may change it or leave it out: a copy without personal data.
    ///
    /// PLUGIN is NAME[:KEY=VALUE,…]: the built-in plugin `anonymise`, or the name or path of a document filter of your own.
    /// `couchcopy plugin show anonymise` lists its settings. Of each document only its leaf revisions are restored; local documents,
    /// purges and view indexes are left out. Never replicate such a copy with the original: the revision ids are the same.
    #[arg(long, value_name = "PLUGIN", conflicts_with_all = ["resume", "roll_back", "merge", "local"], hide_short_help = true)]
    transform: Option<PluginReference>,

    /// With --transform: TOML file with settings of the plugin, such as a key, which others could see on a command line.
    ///
    /// One setting per line: `key = "…"`, `replace = ["name", "address.street"]`, `drop-attachments = true`.
    #[arg(long, value_name = "FILE", requires = "transform", hide_short_help = true)]
    transform_settings: Option<PathBuf>,

    /// With --q or --transform: directory for temporary files, which need as much space as the largest database.
    ///
    /// Twice as much if all nodes are on other machines. The default is the system's directory for temporary files (TMPDIR).
    #[arg(long, value_name = "DIR", requires = "anew", hide_short_help = true)]
    tmp_dir: Option<PathBuf>,

    /// Give every copy a new uuid, for restoring an older state to the same nodes.
    ///
    /// Consumers of _changes then read once from the start instead of missing changes. Implied, except with --offline, when a
    /// target node's name occurs in the archive.
    #[arg(long, hide_short_help = true)]
    fresh_uuids: bool,

    /// Give databases a new suffix in the names of their shard files.
    ///
    /// CouchDB does the same when a database is deleted and created again. View and search indexes outside the data directory
    /// then cannot mistake the restored database for the database that they indexed. Implied when every copy gets a new uuid,
    /// and on running nodes that hold a database with the same name and suffix or keep view indexes in another directory.
    #[arg(long, conflicts_with_all = ["keep_suffix", "resume", "roll_back"], hide_short_help = true)]
    new_suffix: bool,

    /// Keep the suffix that each database has in the archive.
    ///
    /// Indexes outside the data directory that have seen a newer state then give wrong answers forever: remove them first.
    #[arg(long, conflicts_with_all = ["resume", "roll_back"], hide_short_help = true)]
    keep_suffix: bool,

    /// Together with the old data, remove files below `shards` that belong to no database.
    ///
    /// Without this option couchcopy refuses a restore that would remove such files: they may be the last copies of databases.
    #[arg(long, conflicts_with_all = ["offline", "resume", "roll_back"], hide_short_help = true)]
    remove_orphans: bool,

    /// Keep the old data next to the new data; `couchcopy clean` removes it.
    #[arg(long)]
    keep_old: bool,

    /// Make shard maps from the shards, for databases that the archive's shard maps do not name.
    ///
    /// For a data directory packed with tar that has lost its _dbs.couch. Give the number of copies with --copies: nothing in the
    /// archive records it.
    #[arg(long, conflicts_with_all = ["resume", "roll_back", "db"], hide_short_help = true)]
    rebuild_maps: bool,

    /// How shard maps reach the nodes.
    #[arg(long, value_enum, default_value_t = Maps::File, value_name = "HOW", hide_short_help = true)]
    maps: Maps,
}

/// What a restore waits for after the nodes have started.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
struct WaitFlags {
    /// What to wait for after the nodes have started.
    #[arg(long, value_enum, default_value_t = Wait::Agreement, value_name = "WHAT", hide_short_help = true)]
    wait: Wait,

    /// Restore the old data if the nodes do not agree within SECONDS.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=1_000_000), hide_short_help = true)]
    timeout: u64,

    /// Time for opening databases to verify their document counts.
    ///
    /// After the restore, spend up to this long opening databases to verify their document counts (`all`: no limit, until every
    /// node has opened every database). CouchDB opens a few hundred databases per second.
    #[arg(long, value_name = "SECONDS|all", default_value = "15", value_parser = open_for, hide_short_help = true)]
    open: OpenFor,
}

impl DataFlags {
    /// Which suffix databases get.
    fn suffixes(&self) -> Suffixes {
        match (self.new_suffix, self.keep_suffix) {
            (true, _) => Suffixes::New,
            (false, true) => Suffixes::Keep,
            (false, false) => Suffixes::AsNeeded,
        }
    }
}

impl Restore {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        self.databases.moment.only_with_database(!self.databases.db.is_empty())?;
        match RestoreRequest::parse(self, session.configuration_path().is_some())? {
            RestoreRequest::Offline { archive, targets } => self.write_folders(&archive, targets, session),
            RestoreRequest::Databases { archive, nodes } if self.databases.rewind => {
                self.rewind(&archive, nodes, session)
            }
            RestoreRequest::Databases { archive, nodes } => self.restore_databases(&archive, nodes, session),
            RestoreRequest::OneNode { name, archive, nodes } => {
                self.bring_back(name, &archive, nodes, session)
            }
            RestoreRequest::RollBack { nodes } => self.roll_back(nodes, session),
            RestoreRequest::Resume { archive, nodes } => self.resume(archive.as_ref(), nodes, session),
            RestoreRequest::Replace { archive, nodes } => self.replace(&archive, nodes, session),
        }
    }

    /// What was chosen about the restored data.
    fn choices(&self, session: &Session) -> Result<RestoreChoices> {
        Ok(RestoreChoices {
            copies: self.data.copies.map(usize::from),
            fresh_uuids: self.data.fresh_uuids,
            suffixes: self.data.suffixes(),
            allow_empty: self.selection.allow_empty,
            skip_damaged: self.selection.skip_damaged,
            rebuild_maps: self.data.rebuild_maps,
            selection: self.selection.selection()?,
            ranges: Ranges::parse(&self.data.ranges)?,
            placement: self.placement.placement()?,
            transformation: self.transformation(session)?,
            temporary: self.data.tmp_dir.clone(),
        })
    }

    /// The plugin that documents pass through, if there is one.
    fn transformation(&self, session: &Session) -> Result<Transformation> {
        let Some(plugin) = &self.data.transform else { return Ok(Transformation::None) };
        let plugin = match &self.data.transform_settings {
            Some(file) => with_settings_of_file(plugin.clone(), file)?,
            None => plugin.clone(),
        };
        Ok(Transformation::by(self.access.grants.plugins(session)?.document_filter(&plugin)?))
    }
}

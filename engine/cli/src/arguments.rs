//! The command line.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};

use crate::load_command::Load;
use crate::look_arguments::{Completions, Dump, Get, Ls};
use crate::plugin_arguments::{HttpFlags, PluginCommand, PluginFlags, Service};
use crate::restore_arguments::{Check, Clean, Restore, Status};
use crate::serve_command::Serve;
use crate::unbrand_command::Unbrand;

/// Back up and restore CouchDB: whole nodes and clusters, while they run.
#[derive(Debug, Parser)]
#[command(
    name = "couchcopy",
    version,
    about,
    long_about = "Back up and restore CouchDB: whole nodes and clusters, while they run.\n\n\
        A backup is one .tar.gz that tar, pigz and the Python couchcopy read, too. It can be verified down to every \
        document, listed, and restored to other machines, under other node names, to more or fewer nodes.",
    after_help = "Exit codes: 0 done, 2 wrong arguments, 3 done but something is damaged or was left out, 4 the archive \
        is damaged, 5 refused (nothing was changed), 6 the data is damaged or incomplete (nothing was made), 7 the \
        system refused to read or write, 8 a plugin failed, 9 a node was not reached or failed, 1 a mistake in \
        couchcopy.\n\nExample:\n  couchcopy backup \
        localhost,/opt/couchdb/data backup.tar.gz\n  couchcopy verify backup.tar.gz\n  couchcopy restore backup.tar.gz \
        admin:password@localhost:5984,/opt/couchdb/data",
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    /// Print the result as JSON on standard output, errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Tell progress as JSON, one event a line, on standard error.
    #[arg(long, global = true)]
    pub(crate) events: bool,

    /// Print errors only; no progress, no result.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Tell more, how long each phase took among it.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Number of threads; 0 means as many as there are cores.
    #[arg(long, global = true, default_value_t = 0, value_name = "N")]
    pub(crate) threads: usize,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Backup(Backup),
    Restore(Box<Restore>),
    Check(Check),
    Status(Status),
    Clean(Clean),
    Load(Load),
    Unbrand(Unbrand),
    Verify(Verify),
    Info(Info),
    Ls(Ls),
    Get(Get),
    Dump(Dump),
    Cat(Cat),
    Serve(Serve),
    Service(Service),
    Plugin(PluginCommand),
    Completions(Completions),
}

/// Save the data of one or several nodes of a cluster into one archive, also while they run.
#[derive(Debug, Args)]
#[command(
    override_usage = "couchcopy backup [OPTIONS] NODE... ARCHIVE",
    after_help = "A node is named as HOST,DATA_DIR or HOST,DATA_DIR,NODENAME; DATA_DIR is what \
    `[couchdb] database_dir` names in the node's configuration. Another machine than localhost is reached by ssh unless \
    --via or --cluster says otherwise; it needs tar, find, stat, tail, xargs and env, and nothing is written on it. Of a cluster give as many \
    nodes as hold every range of every database at least once: each range is saved once, from a node that is not \
    behind.\n\n\
    Also in the archive: which database lies where (shard maps), view indexes; with --with-config the nodes' configuration \
    files, which hold passwords and keys: CouchDB's own files in the folder `etc` beside the data folder, else in \
    /opt/couchdb/etc, else in /etc/couchdb, or those in the folders that --config-dir names. `couchcopy info` lists them and \
    what in them is secret, `couchcopy cat` shows one, a restore never writes them. Never in it: key files of TLS, search indexes \
    of clouseau and nouveau.\n\nExamples:\n  couchcopy backup \
    localhost,/opt/couchdb/data /backups/couch-$(date +%F).tar.gz\n  couchcopy backup db1.example.com,/opt/couchdb/data \
    db2.example.com,/opt/couchdb/data --use-sudo backup.tar.gz\n  couchcopy backup --cluster prod.toml backup.tar.gz\n  \
    couchcopy backup db1.example.com,/var/lib/couchdb --with-config --config-dir /opt/couchdb/etc backup.tar.gz\n  \
    couchcopy backup db1.example.com,/opt/couchdb/data --rsync-reuse-dir /backups/mirror /backups/couch-$(date +%F).tar.gz"
)]
pub(crate) struct Backup {
    /// The nodes, each as [USER:PASSWORD@]HOST[:PORT],DATA_DIR[,NODENAME], or the name of a node in the --cluster file (without
    /// nodes it is all of that file); then the archive to make. It gets its name when it is whole.
    // One list: of two, the parser would not tell the nodes from the archive once an option stands between them.
    #[arg(required = true, value_names = ["NODE", "ARCHIVE"], num_args = 1..)]
    pub(crate) places: Vec<String>,

    /// Replace an archive of that name, when the new one is whole.
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Compression: 0 is fastest, 12 is smallest.
    #[arg(long, default_value_t = archive::DEFAULT_LEVEL, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(0..=12))]
    pub(crate) level: i32,

    /// Ask CouchDB for the limits (_revs_limit, _purged_infos_limit) of however many databases; without it only where there
    /// are at most 20,000.
    #[arg(long)]
    pub(crate) limits: bool,

    /// Save the nodes' configuration files, too (local.ini, vm.args and the like). They hold passwords and keys.
    #[arg(long)]
    pub(crate) with_config: bool,

    /// A folder with configuration files on every node, instead of the usual ones; repeat it for more. `config` in the
    /// --cluster file names those of one node.
    #[arg(long, value_name = "DIR", requires = "with_config")]
    pub(crate) config_dir: Vec<PathBuf>,

    /// Check the trees, bodies and attachments of every shard while it is saved. Where a copy is damaged, the copy of another given
    /// node is saved. Of other machines, large shards pass through a temporary file beside the archive.
    #[arg(long)]
    pub(crate) check: bool,

    /// Keep a mirror of the nodes' files in this folder, a new one or that of an earlier backup: of files that it has, only
    /// what was appended since comes over the network. It takes as much room as the data; nodes on this machine do without.
    #[arg(long, visible_alias = "rsync-reuse-folder", value_name = "DIR")]
    pub(crate) rsync_reuse_dir: Option<PathBuf>,

    /// Save shard maps that name no database although there are shards on the nodes. Without it that is refused: the shard maps
    /// were probably lost.
    #[arg(long)]
    pub(crate) accept_empty_maps: bool,

    #[command(flatten)]
    pub(crate) plugins: PluginFlags,

    #[command(flatten)]
    pub(crate) http: HttpFlags,
}

impl Arguments {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let arguments = Self::try_parse()?;
        if let Command::Backup(backup) = &arguments.command
            && backup.nodes().is_empty()
            && backup.plugins.cluster.is_none()
        {
            let mut command = Self::command();
            command.build();
            let backup = command.find_subcommand_mut("backup").map(|command| {
                let missing = "the following required arguments were not provided:\n  NODE... ARCHIVE: one node or more \
                               (or --cluster), and last the archive to make";
                command.error(ErrorKind::MissingRequiredArgument, missing)
            });
            return backup.map_or(Ok(arguments), Err);
        }
        Ok(arguments)
    }
}

impl Backup {
    /// The nodes.
    pub(crate) fn nodes(&self) -> &[String] {
        self.places.split_last().map_or(&[], |(_, nodes)| nodes)
    }

    /// The archive to make.
    pub(crate) fn archive(&self) -> &Path {
        self.places.last().map_or(Path::new(""), Path::new)
    }
}

/// Prove an archive whole: every byte, every tree, every document, every attachment, every shard map.
#[derive(Debug, Args)]
#[command(
    after_help = "Reads everything and writes nothing. Works on archives of the Python couchcopy and of tar, too; \
    there are no hashes in those to compare, so gzip's checksums, CouchDB's own and the agreement of its trees are \
    what is proven."
)]
pub(crate) struct Verify {
    /// The archive.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: PathBuf,
}

/// Sum an archive up: when, where from, how much.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The archive.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: PathBuf,
}

/// Write one file of an archive to standard output.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  couchcopy cat backup.tar.gz metadata.yaml\n  couchcopy cat backup.tar.gz \
    config,couchdb@127.0.0.1,opt,couchdb,etc,local.ini"
)]
pub(crate) struct Cat {
    /// The archive.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: PathBuf,

    /// The file's name in the archive; `couchcopy ls ARCHIVE DB --shards` tells those of a database's shards,
    /// `couchcopy info ARCHIVE` those of configuration.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

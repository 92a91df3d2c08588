//! The subcommands. Each file holds one of them: its arguments, what it calls, and how its result is printed.

pub(crate) mod backup;
pub(crate) mod cat;
pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod dump;
pub(crate) mod get;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod load;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod plugin;
pub(crate) mod rename_node;
pub(crate) mod repo;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod salvage;
pub(crate) mod serve;
pub(crate) mod service;
pub(crate) mod status;
pub(crate) mod unbrand;
pub(crate) mod undelete;
pub(crate) mod verify;

use clap::Subcommand;
use outcome::Result;

use crate::exit::Outcome;
use crate::session::Session;

/// Declares the subcommands in the order of the help, with how each is run.
macro_rules! subcommands {
    ($($name:ident($arguments:ty)),* $(,)?) => {
        /// What to do.
        #[derive(Debug, Subcommand)]
        pub(crate) enum Command {
            $($name($arguments),)*
        }

        impl Command {
            /// Carries it out.
            pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
                match self {
                    $(Self::$name(command) => command.run(session),)*
                }
            }
        }
    };
}

subcommands! {
    Backup(Box<backup::Backup>),
    Run(Box<run::Run>),
    Restore(Box<restore::Restore>),
    Import(Box<import::Import>),
    RenameNode(Box<rename_node::RenameNode>),
    Verify(verify::Verify),
    Info(info::Info),
    Ls(ls::Ls),
    Get(get::Get),
    Dump(dump::Dump),
    Cat(cat::Cat),
    History(history::History),
    Undelete(Box<undelete::Undelete>),
    Serve(serve::Serve),
    Repo(repo::Repo),
    Load(load::Load),
    Unbrand(unbrand::Unbrand),
    Salvage(salvage::Salvage),
    Check(Box<check::Check>),
    Doctor(Box<doctor::Doctor>),
    Health(health::Health),
    Status(Box<status::Status>),
    Clean(Box<clean::Clean>),
    Service(Box<service::Service>),
    Plugin(plugin::Plugin),
    Config(config::Config),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// The command's name and the arguments that it lacks, for a rule that the parser cannot express.
    pub(crate) fn missing(&self, has_configuration: bool) -> Option<(&'static str, &'static str)> {
        const NODES: &str = "NODE...: one or more nodes (or --cluster FILE, or a configuration file)";
        let (command, is_named, missing) = match self {
            Self::Backup(backup) => {
                return backup.missing(has_configuration).map(|missing| ("backup", missing));
            }
            Self::Check(check) => ("check", check.nodes.are_named(), NODES),
            Self::Status(status) => ("status", status.nodes.are_named(), NODES),
            Self::Clean(clean) => ("clean", clean.nodes.are_named(), NODES),
            Self::Doctor(doctor) => ("doctor", doctor.has_nodes(), NODES),
            Self::Service(service) => ("service", service.has_nodes(), NODES),
            Self::Verify(verify) => ("verify", verify.has_archive(), "ARCHIVE (or a configuration file)"),
            Self::Repo(repo) => ("repo", repo.has_repository(), "REPO (or a configuration file)"),
            _ => return None,
        };
        (!is_named && !has_configuration).then_some((command, missing))
    }
}

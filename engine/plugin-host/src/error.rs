//! What can go wrong with a plugin, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use outcome::{Advice, Code, FailureKind};

use crate::description::SettingsError;
use crate::grants::Ungranted;
use crate::kind::Kind;

/// Result of the plugin host.
pub type Result<T, E = PluginError> = std::result::Result<T, E>;

/// What can go wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// There is no plugin with this name.
    #[error("there is no {kind} plugin called {name:?}")]
    NotFound {
        /// As the user wrote it.
        name: String,
        /// The kind of plugin that was needed.
        kind: Kind,
        /// Names of the built-in plugins of that kind.
        built_in: Vec<&'static str>,
        /// The directories that were searched.
        looked: Vec<PathBuf>,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done, as in "cannot …".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error that the system reported.
        source: io::Error,
    },
    /// The file is not a plugin that this couchcopy can load.
    #[error("{plugin} cannot be loaded: {failure}")]
    Load {
        /// Name or path.
        plugin: String,
        /// Why.
        failure: LoadFailure,
    },
    /// The user's settings do not fit.
    #[error("plugin {plugin} {version}: {problem}")]
    Settings {
        /// The plugin's name.
        plugin: String,
        /// Its version.
        version: String,
        /// What is wrong.
        problem: SettingsError,
    },
    /// The plugin is not built in, and the user has not granted it its commands.
    #[error("{0}")]
    NotGranted(Box<Ungranted>),
    /// A call ended without a result.
    #[error("plugin {plugin} {version}: {function} on {node}: {failure}")]
    Call {
        /// The plugin's name.
        plugin: String,
        /// Its version.
        version: String,
        /// The function of the contract.
        function: &'static str,
        /// The node.
        node: String,
        /// What happened.
        failure: CallFailure,
    },
    /// A document filter did not take its settings.
    #[error("plugin {plugin} {version}: configure for the database {database}: {failure}")]
    Configure {
        /// The plugin's name.
        plugin: String,
        /// Its version.
        version: String,
        /// The database.
        database: String,
        /// What happened.
        failure: CallFailure,
    },
    /// A document filter gave no verdict on a document.
    #[error("plugin {plugin} {version}: filter of the document {id:?}: {failure}")]
    Filter {
        /// The plugin's name.
        plugin: String,
        /// Its version.
        version: String,
        /// The document's id.
        id: String,
        /// What happened.
        failure: CallFailure,
    },
    /// The file with the grants, or the configuration, is not usable.
    #[error("{path} {problem}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// wasmtime could not be set up.
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
}

/// Why a file is not a plugin for this couchcopy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadFailure {
    /// The file is too large.
    #[error("it has {mib} MiB, more than the {limit} MiB that a plugin may have")]
    TooLarge {
        /// Size of the file in MiB.
        mib: u64,
        /// The largest size that is read, in MiB.
        limit: u64,
    },
    /// The file is not a component.
    #[error("it is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// The file is a core module.
    #[error("it is a core module, not a component")]
    CoreModule,
    /// The file is a component of another program.
    #[error("it exports nothing of couchcopy:plugin, so it was not built for couchcopy")]
    OtherWorld,
    /// The component implements only a part of a world.
    #[error(
        "it exports {found}, which is not a world of the contract (describe with one of service, access and documents; tunnel only with \
         access)"
    )]
    PartOfAWorld {
        /// What it exports.
        found: String,
    },
    /// The component implements another version of the contract.
    #[error(
        "it was built for version {found} of the plugin contract; this couchcopy supports version {spoken}"
    )]
    OtherVersion {
        /// The version of the plugin.
        found: String,
        /// The version of this couchcopy.
        spoken: &'static str,
        /// Whether the version of the plugin is the newer one.
        newer: bool,
    },
    /// It imports more than plugins may import.
    #[error("it imports {0}, which couchcopy does not offer to plugins of its kind")]
    ForeignImports(String),
    /// Its functions differ from those of the contract.
    #[error("its functions differ from those of the contract: {0}")]
    OtherFunctions(String),
    /// It is a plugin of another kind.
    #[error("it is a {found} plugin; a {wanted} plugin is needed here")]
    OtherKind {
        /// What it is.
        found: Kind,
        /// What was wanted.
        wanted: Kind,
    },
    /// Its description is not valid.
    #[error("its description is not valid: {0}")]
    Description(String),
    /// The compiler did not finish in time.
    #[error("it could not be compiled within {} s", .0.as_secs())]
    SlowToCompile(Duration),
    /// The function `describe` failed.
    #[error("describe: {0}")]
    Describe(CallFailure),
}

/// Why a call ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// It took too long; the command that it was running was stopped.
    #[error("it did not end within {} s", .0.as_secs_f64())]
    Deadline(Duration),
    /// It needed more memory than it may have.
    #[error("it needed more than the {0} MiB of memory that a plugin may have")]
    Memory(usize),
    /// It logged too much.
    #[error("it logged more than {0} MiB")]
    Log(usize),
    /// It passed more data than it may pass.
    #[error("it passed more data than a call may pass ({0})")]
    TooMuchData(String),
    /// It crashed.
    #[error("it crashed: {0}")]
    Trap(String),
    /// It reported a failure.
    #[error("{0}")]
    Failed(String),
    /// It requested, or returned, a command that it may not run.
    #[error("it requested `{command}`, which no pattern of its description allows")]
    NotPermitted {
        /// The command.
        command: String,
    },
}

impl PluginError {
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { doing, path: path.into(), source }
    }
}

impl Advice for PluginError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NotFound { .. }
            | Self::Settings { .. }
            | Self::NotGranted(_)
            | Self::Configuration { .. } => FailureKind::Refused,
            Self::Io { .. } | Self::Engine(_) => FailureKind::System,
            Self::Load { .. } | Self::Call { .. } | Self::Configure { .. } | Self::Filter { .. } => {
                FailureKind::Plugin
            }
        }
    }

    fn code(&self) -> Code {
        let code_of_call = |failure: &CallFailure| match failure {
            CallFailure::Deadline(_) => Code::new("CC-P18"),
            CallFailure::Memory(_) => Code::new("CC-P19"),
            CallFailure::Log(_) => Code::new("CC-P20"),
            CallFailure::TooMuchData(_) => Code::new("CC-P21"),
            CallFailure::Trap(_) => Code::new("CC-P22"),
            CallFailure::Failed(_) => Code::new("CC-P23"),
            CallFailure::NotPermitted { .. } => Code::new("CC-P24"),
        };
        match self {
            Self::NotFound { .. } => Code::new("CC-P01"),
            Self::Io { .. } => Code::new("CC-P02"),
            Self::Load { failure, .. } => match failure {
                LoadFailure::TooLarge { .. } => Code::new("CC-P03"),
                LoadFailure::NotAComponent(_) => Code::new("CC-P04"),
                LoadFailure::CoreModule => Code::new("CC-P05"),
                LoadFailure::OtherWorld => Code::new("CC-P06"),
                LoadFailure::PartOfAWorld { .. } => Code::new("CC-P07"),
                LoadFailure::OtherVersion { .. } => Code::new("CC-P08"),
                LoadFailure::ForeignImports(_) => Code::new("CC-P09"),
                LoadFailure::OtherFunctions(_) => Code::new("CC-P10"),
                LoadFailure::OtherKind { .. } => Code::new("CC-P11"),
                LoadFailure::Description(_) => Code::new("CC-P12"),
                LoadFailure::SlowToCompile(_) => Code::new("CC-P13"),
                LoadFailure::Describe(failure) => code_of_call(failure),
            },
            Self::Settings { problem, .. } => match problem {
                SettingsError::Unknown { .. } => Code::new("CC-P14"),
                SettingsError::Missing { .. } => Code::new("CC-P15"),
                SettingsError::Value { .. } => Code::new("CC-P16"),
            },
            Self::NotGranted(_) => Code::new("CC-P17"),
            Self::Call { failure, .. } | Self::Configure { failure, .. } | Self::Filter { failure, .. } => {
                code_of_call(failure)
            }
            Self::Configuration { .. } => Code::new("CC-P25"),
            Self::Engine(_) => Code::new("CC-P26"),
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { built_in, looked, .. } => format!(
                "Built-in plugins: {}. Other plugins are searched for in {}; or name a path, for example ./plugin.wasm. \
                 `couchcopy plugin list` lists all plugins.",
                built_in.join(", "),
                looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
            ),
            Self::Io { .. } => "Check the path and its permissions.".into(),
            Self::Load { failure, .. } => failure.remedy(),
            Self::Settings { problem, .. } => problem.remedy(),
            Self::NotGranted(ungranted) => ungranted.remedy(),
            Self::Call { plugin, failure, .. } => failure.remedy(plugin),
            Self::Configure { plugin, failure, .. } => failure.remedy_without_commands(plugin),
            Self::Filter { plugin, failure, .. } => format!(
                "{} To try it on this document alone: `couchcopy get ARCHIVE DB ID | couchcopy plugin run {plugin} filter`.",
                failure.remedy_without_commands(plugin)
            ),
            Self::Configuration { .. } => "Fix the file or move it out of the way.".into(),
            Self::Engine(_) => "Please report this message with your processor and operating system.".into(),
        })
    }
}

impl LoadFailure {
    fn remedy(&self) -> String {
        match self {
            Self::CoreModule => {
                "Build it with `couchcopy plugin build`, or convert it to a component with `wasm-tools component new`.".into()
            }
            Self::OtherVersion { newer: true, .. } => {
                "Install a newer couchcopy. The author of the plugin can also build it against the contract that \
                 `couchcopy plugin new` writes."
                    .into()
            }
            Self::OtherVersion { newer: false, .. } => {
                "Install a newer version of the plugin. Its author builds it against the contract that `couchcopy plugin \
                 new` writes."
                    .into()
            }
            Self::OtherKind { .. } => {
                "Service plugins belong after --service, node-access plugins after --via, document filters after --transform.".into()
            }
            Self::NotAComponent(_) | Self::TooLarge { .. } | Self::OtherWorld => {
                "Check that it is the right file, and that the download is complete.".into()
            }
            Self::SlowToCompile(_)
            | Self::PartOfAWorld { .. }
            | Self::ForeignImports(_)
            | Self::OtherFunctions(_)
            | Self::Description(_)
            | Self::Describe(_) => {
                "Report it to its author. `couchcopy plugin check FILE` shows what couchcopy sees.".into()
            }
        }
    }
}

impl CallFailure {
    /// What to do if the plugin runs no commands.
    fn remedy_without_commands(&self, plugin: &str) -> String {
        match self {
            Self::Deadline(_) => "Allow more time with --deadline.".into(),
            Self::Failed(_) => format!("`couchcopy plugin show {plugin}` shows its settings."),
            Self::NotPermitted { .. }
            | Self::Memory(_)
            | Self::Log(_)
            | Self::TooMuchData(_)
            | Self::Trap(_) => "This is a bug in the plugin: report it to its author.".into(),
        }
    }

    fn remedy(&self, plugin: &str) -> String {
        match self {
            Self::Deadline(_) => format!(
                "The command that it was running was stopped. Check the service on the node. Allow more time with \
                 --deadline, or run with -v to see what {plugin} does."
            ),
            Self::Failed(_) => {
                format!("`couchcopy plugin show {plugin}` shows its settings; -v shows the commands that it runs.")
            }
            Self::NotPermitted { .. } => {
                "Nothing was run. Report it to the plugin's author: the description must name every command of the plugin."
                    .into()
            }
            Self::Memory(_) | Self::Log(_) | Self::TooMuchData(_) | Self::Trap(_) => {
                "This is a bug in the plugin: report it to its author.".into()
            }
        }
    }
}

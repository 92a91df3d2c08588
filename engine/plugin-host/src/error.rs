//! What can go wrong with a plugin, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use outcome::{Advice, Code, FailureKind};

use crate::contract::Kind;
use crate::description::SettingsError;
use crate::grants::Ungranted;

/// Result of the plugin host.
pub type Result<T, E = PluginError> = std::result::Result<T, E>;

/// What can go wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// There is no plugin of that name.
    #[error("there is no {kind} plugin called {name:?}")]
    NotFound {
        /// As the user wrote it.
        name: String,
        /// What kind was wanted.
        kind: Kind,
        /// Names of the built-in ones of that kind.
        built_in: Vec<&'static str>,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done, as in "cannot …".
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no plugin that this couchcopy can load.
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
    /// The file with the grants, or the configuration, is not usable.
    #[error("{path} {problem}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// wasmtime could not be set up.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
}

/// Why a file is no plugin for this couchcopy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadFailure {
    /// Too large a file.
    #[error("it has {0} MiB, and no plugin needs more than {max}", max = crate::find::MAX_MIB)]
    TooLarge(u64),
    /// Not a component.
    #[error("it is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// A core module.
    #[error("it is a core module, not a component")]
    CoreModule,
    /// A component of something else.
    #[error("it exports nothing of couchcopy:plugin, so it is not made for couchcopy")]
    OtherWorld,
    /// Only a part of a world.
    #[error(
        "it exports {found}, which is no world of the contract (describe and one of service, access; tunnel beside access)"
    )]
    PartOfAWorld {
        /// What it exports.
        found: String,
    },
    /// Another version of the contract.
    #[error("it was made for version {found} of the plugin contract, this couchcopy speaks {spoken}")]
    OtherVersion {
        /// The plugin's.
        found: String,
        /// Ours.
        spoken: &'static str,
        /// Whether the plugin's is the newer one.
        newer: bool,
    },
    /// It wants more than it can get.
    #[error("it wants to import {0}, which couchcopy gives to no plugin of its kind")]
    ForeignImports(String),
    /// Its functions are others than the contract's.
    #[error("its functions are not as the contract has them: {0}")]
    OtherFunctions(String),
    /// It is of the other kind.
    #[error("it is a {found} plugin, a {wanted} plugin is needed here")]
    OtherKind {
        /// What it is.
        found: Kind,
        /// What was wanted.
        wanted: Kind,
    },
    /// What it says of itself is no description.
    #[error("its description makes no sense: {0}")]
    Description(String),
    /// The compiler does not come to an end with it.
    #[error("it could not be compiled within {} s", .0.as_secs())]
    SlowToCompile(Duration),
    /// It does not answer to `describe`.
    #[error("describe: {0}")]
    Describe(CallFailure),
}

/// Why a call ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// It took too long; whatever it was running was ended.
    #[error("it did not end within {} s", .0.as_secs_f64())]
    Deadline(Duration),
    /// It wanted more memory than it may have.
    #[error("it wanted more than the {0} MiB of memory that a plugin may have")]
    Memory(usize),
    /// It logged without end.
    #[error("it logged more than {0} MiB")]
    Log(usize),
    /// It handed over more data than it may.
    #[error("it handed over more data than a call may ({0})")]
    TooMuchData(String),
    /// It crashed.
    #[error("it crashed: {0}")]
    Trap(String),
    /// It said that it failed.
    #[error("{0}")]
    Failed(String),
    /// It wanted to run, or gave back, a command that it may not.
    #[error("it wanted `{command}`, which no pattern of its description allows")]
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
            Self::Load { .. } | Self::Call { .. } => FailureKind::Plugin,
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
                LoadFailure::TooLarge(_) => Code::new("CC-P03"),
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
            Self::Call { failure, .. } => code_of_call(failure),
            Self::Configuration { .. } => Code::new("CC-P25"),
            Self::Engine(_) => Code::new("CC-P26"),
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { built_in, looked, .. } => format!(
                "Built in are {}. Others are looked for in {}, or give a path, e.g. ./plugin.wasm. `couchcopy plugin list` \
                 shows all.",
                built_in.join(", "),
                looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
            ),
            Self::Io { .. } => "Check the path and who may read it.".into(),
            Self::Load { failure, .. } => failure.remedy(),
            Self::Settings { problem, .. } => problem.remedy(),
            Self::NotGranted(ungranted) => ungranted.remedy(),
            Self::Call { plugin, failure, .. } => failure.remedy(plugin),
            Self::Configuration { .. } => "Mend the file or move it aside.".into(),
            Self::Engine(_) => "Please report it with your processor and system.".into(),
        })
    }
}

impl LoadFailure {
    fn remedy(&self) -> String {
        match self {
            Self::CoreModule => {
                "Build it with `couchcopy plugin build`, or make a component of it with `wasm-tools component new`.".into()
            }
            Self::OtherVersion { newer: true, .. } => {
                "Install a newer couchcopy; or, as its author, build it against the contract that `couchcopy plugin new` \
                 writes."
                    .into()
            }
            Self::OtherVersion { newer: false, .. } => {
                "Install a newer version of the plugin; its author builds it against the contract that \
                 `couchcopy plugin new` writes."
                    .into()
            }
            Self::OtherKind { .. } => {
                "Service plugins belong after --service, node-access plugins after --via.".into()
            }
            Self::NotAComponent(_) | Self::TooLarge(_) | Self::OtherWorld => {
                "Check that it is the right file, and that it came over whole.".into()
            }
            Self::SlowToCompile(_)
            | Self::PartOfAWorld { .. }
            | Self::ForeignImports(_)
            | Self::OtherFunctions(_)
            | Self::Description(_)
            | Self::Describe(_) => {
                "Tell its author; `couchcopy plugin check FILE` shows what couchcopy sees.".into()
            }
        }
    }
}

impl CallFailure {
    fn remedy(&self, plugin: &str) -> String {
        match self {
            Self::Deadline(_) => format!(
                "What it was running was ended. Look at the service on the node; give more time with --deadline, or see \
                 with -v what {plugin} does."
            ),
            Self::Failed(_) => {
                format!("`couchcopy plugin show {plugin}` tells its settings; -v shows what it runs.")
            }
            Self::NotPermitted { .. } => {
                "Nothing was run. Tell the plugin's author: its description has to name all its commands."
                    .into()
            }
            Self::Memory(_) | Self::Log(_) | Self::TooMuchData(_) | Self::Trap(_) => {
                "That is a mistake in the plugin: tell its author.".into()
            }
        }
    }
}

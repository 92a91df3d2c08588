//! `couchcopy plugin`.

mod manual;
mod text;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use outcome::Result;
use serde::Serialize;
use site::plugin_development;
use site::plugins;

use crate::exit::Outcome;
use crate::flags::grants::GrantFlags;
use crate::session::Session;
use crate::text::sizes::bytes;

/// List, inspect, try, write and grant plugins for services, node access and documents.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Plugin {
    /// What to do.
    #[command(subcommand)]
    action: PluginAction,
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
enum PluginAction {
    /// List the plugins that come with couchcopy, and the installed plugins.
    List,
    /// Show a plugin's settings and the commands that it may run.
    Show {
        /// The plugin's name, or the path of its file.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Check that couchcopy can load a plugin, and show what it finds in the file.
    ///
    /// The file is loaded in the sandbox; only its function `describe` runs. To check nodes before a restore, use `couchcopy
    /// check`.
    Check {
        /// The plugin: a WebAssembly component.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    Run(manual::Run),
    /// Create a new plugin: a Rust crate that works, with a test.
    New {
        /// Name of the plugin and of its new directory.
        #[arg(value_name = "NAME")]
        name: String,
        /// What the plugin is for.
        #[arg(long, value_enum, default_value_t = NewKind::Service)]
        kind: NewKind,
    },
    /// Build a plugin's crate into a component.
    Build {
        /// The crate's directory.
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
        /// Where to write the component [default: NAME.wasm in the crate's directory].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List, add and revoke grants of plugins that are not built in.
    Grants {
        /// Remember a grant for this plugin, as its file is now.
        #[arg(long, value_name = "NAME|FILE", conflicts_with = "revoke")]
        add: Option<String>,
        /// Delete the grants of a plugin.
        #[arg(long, value_name = "NAME|FILE|HASH")]
        revoke: Option<String>,
    },
}

/// What a new plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NewKind {
    /// It starts and stops CouchDB.
    Service,
    /// It carries commands to a node.
    Access,
    /// It decides what a restore makes of each document.
    DocumentFilter,
}

impl Plugin {
    /// Carries it out.
    pub(crate) fn run(&self, session: &Session) -> Result<Outcome> {
        let plugins = || GrantFlags::default().plugins(session);
        match &self.action {
            PluginAction::List => {
                let list = plugins()?.list()?;
                session.answer(&list, text::list);
                return Ok(Outcome::of(list.failures.is_empty()));
            }
            PluginAction::Show { name } => {
                session.answer(&plugins()?.show(name)?, |shown| joined(shown, text::description));
            }
            PluginAction::Check { file } => {
                session.answer(&plugins()?.show(&as_path(file))?, |shown| joined(shown, text::check));
            }
            PluginAction::Run(run) => return run.run(session),
            PluginAction::New { name, kind } => create(name, *kind, session)?,
            PluginAction::Build { folder, output } => build(folder, output.as_deref(), session)?,
            PluginAction::Grants { add, revoke } => {
                let (grants, what) = match (add, revoke) {
                    (Some(name), _) => (plugins()?.grant(name)?, "granted"),
                    (None, Some(what)) => (plugins::revoke(what)?, "revoked"),
                    (None, None) => {
                        session.answer(&plugins::grants()?, |grants| text::grants(grants, ""));
                        return Ok(Outcome::Done);
                    }
                };
                session.summary(&grants, |grants| text::grants(grants, what));
            }
        }
        Ok(Outcome::Done)
    }
}

fn joined<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// A path that cannot be taken for a plugin's name.
fn as_path(file: &Path) -> String {
    let text = file.display().to_string();
    if text.contains('/') { text } else { format!("./{text}") }
}

/// The directory of a new plugin, as `--json` prints it.
#[derive(Serialize)]
struct Created<'c> {
    folder: &'c Path,
}

fn create(name: &str, kind: NewKind, session: &Session) -> Result<()> {
    let kind = match kind {
        NewKind::Service => plugin_development::Kind::Service,
        NewKind::Access => plugin_development::Kind::Access,
        NewKind::DocumentFilter => plugin_development::Kind::Filter,
    };
    let folder = plugin_development::create(Path::new("."), name, kind)?;
    let folder = folder.strip_prefix(".").unwrap_or(&folder);
    session.summary(&Created { folder }, |created| {
        let folder = created.folder.display();
        format!(
            "{folder}/ contains a working plugin. To test it: (cd {folder} && cargo test). To build it: couchcopy plugin \
             build {folder}\n"
        )
    });
    Ok(())
}

fn build(folder: &Path, file: Option<&Path>, session: &Session) -> Result<()> {
    let built = plugin_development::build(folder, file)?;
    session.summary(&built, |built| {
        let path = built.path.display();
        format!("{path}: {}\nTo try it: couchcopy plugin check {path}\n", bytes(built.bytes))
    });
    Ok(())
}

//! What plugins may do, and the sandbox that they run in.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use outcome::{Result, printable};
use plugin_host::Ungranted;
use site::plugins::{Answer, Ask, PluginOptions, Plugins};

use crate::session::{Session, ask};

/// Options of every command that runs plugins.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Plugins")]
pub(crate) struct GrantFlags {
    /// Allow a plugin that is not built in, with the commands that it describes, this time only. Can be repeated.
    ///
    /// PLUGIN is the plugin's name, path or hash. `couchcopy plugin grants --add` remembers a grant.
    #[arg(long, value_name = "PLUGIN", hide_short_help = true)]
    pub(crate) grant: Vec<String>,

    /// Time limit for one start, stop or status query, in seconds [default: 300]. A document filter has at most 10 for a document.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400), hide_short_help = true)]
    pub(crate) deadline: Option<u64>,
}

impl GrantFlags {
    /// Sets the sandbox up.
    pub(crate) fn plugins(&self, session: &Session) -> Result<Plugins> {
        let options = PluginOptions {
            grant: self.grant.clone(),
            deadline: self.deadline.map(Duration::from_secs),
            ask: session.can_ask().then(|| Box::new(ask_for_grant) as Ask),
        };
        Plugins::new(options, session.shared_reporter() as Arc<_>)
    }
}

/// Asks at the terminal whether a plugin may be used.
fn ask_for_grant(plugin: &Ungranted) -> Answer {
    let changed = if plugin.was_granted { "\nIts file has CHANGED since it was granted." } else { "" };
    let answer = ask(&format!(
        "Plugin {} {} is not built in:\n  {}\n  BLAKE3 {}{changed}\n{}\nGrant this? [y] yes, and remember it  [o] once  [N] no: ",
        plugin.plugin,
        plugin.version,
        printable(&plugin.file.display().to_string()),
        plugin.hash,
        plugin.request()
    ));
    match answer.as_str() {
        "y" | "yes" => Answer::Remember,
        "o" | "once" => Answer::Once,
        _ => Answer::No,
    }
}

//! The nodes that a command is about, and what reaches them.

use std::io::{IsTerminal, Write as _};
use std::sync::Arc;
use std::time::Duration;

use outcome::{Code, Failure, Result};
use plugin_host::{Ungranted, printable};
use site::plugins::{Answer, Ask, PluginOptions, Plugins};
use site::{ClusterFile, CredentialSources, HttpAddress, PluginChoice, SiteNode, TunnelMode};

use crate::nodes;
use crate::output::Output;
use crate::plugin_arguments::{GrantFlags, HttpFlags, PluginFlags, Tunnel};
use crate::progress::Terminal;

/// Whether there is somebody to ask.
pub(crate) fn can_ask(output: &Output) -> bool {
    !output.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Plugins, set up as the user wants them.
pub(crate) fn sandbox(
    flags: Option<&GrantFlags>,
    output: &Output,
    reporter: &Arc<Terminal>,
) -> Result<Plugins> {
    let options = PluginOptions {
        grant: flags.map(|flags| flags.grant.clone()).unwrap_or_default(),
        deadline: flags.and_then(|flags| flags.deadline).map(Duration::from_secs),
        ask: can_ask(output).then(|| Box::new(ask) as Ask),
    };
    Plugins::new(options, Arc::clone(reporter) as Arc<_>)
}

/// Asks at the terminal.
fn ask(ungranted: &Ungranted) -> Answer {
    let mut err = std::io::stderr().lock();
    let changed = if ungranted.was_granted { "\nIts file has CHANGED since it was granted." } else { "" };
    let _ = write!(
        err,
        "Plugin {} {} is not built in:\n  {}\n  BLAKE3 {}{changed}\nIt wants to run:{}\n\
         Grant it these commands? [y] yes, remember it  [o] for this once  [N] no: ",
        ungranted.plugin,
        ungranted.version,
        printable(&ungranted.file.display().to_string()),
        ungranted.hash,
        ungranted.list()
    );
    let _ = err.flush();
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).is_err() {
        return Answer::No;
    }
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Answer::Remember,
        "o" | "once" => Answer::Once,
        _ => Answer::No,
    }
}

/// The nodes that are named, or all of the cluster file.
pub(crate) fn chosen_nodes(names: &[String], flags: &PluginFlags) -> Result<Vec<SiteNode>> {
    let choice = PluginChoice {
        service: flags.service.clone(),
        via: flags.via.clone(),
        start_stop: flags.couchdb_start.clone().zip(flags.couchdb_stop.clone()),
        sudo: flags.use_sudo,
    };
    let Some(path) = &flags.cluster else {
        return names.iter().map(|name| choice.node(nodes::site(name)?)).collect();
    };
    let file = ClusterFile::read(path)?;
    let chosen: Vec<SiteNode> = if names.is_empty() {
        file.nodes.clone()
    } else {
        let find = |name: &String| {
            if let Some(node) = file.node(name) {
                return Ok(node.clone());
            }
            if nodes::says_more_than_a_name(name) {
                let argument = nodes::site(name)?;
                return file.refined(&argument).map_or_else(|| choice.node(argument), Ok);
            }
            let known: Vec<String> = file.nodes.iter().map(SiteNode::shown).collect();
            Err(Failure::refused(
                Code::new("CC-X09"),
                format!("{name} is no node of {}", path.display()),
                format!("It has these: {}.", known.join(", ")),
            ))
        };
        names.iter().map(find).collect::<Result<_>>()?
    };
    chosen.into_iter().map(|node| choice.overrule(node)).collect()
}

/// The same with name and password for their CouchDB, as far as anybody knows them.
pub(crate) fn nodes_with_credentials(
    names: &[String],
    flags: &PluginFlags,
    http: &HttpFlags,
    output: &Output,
) -> Result<Vec<SiteNode>> {
    completed(chosen_nodes(names, flags)?, http, can_ask(output))
}

/// The same without asking anybody who did not name a user: the command can do without.
pub(crate) fn nodes_with_known_credentials(
    names: &[String],
    flags: &PluginFlags,
    http: &HttpFlags,
    output: &Output,
) -> Result<Vec<SiteNode>> {
    completed(chosen_nodes(names, flags)?, http, http.user.is_some() && can_ask(output))
}

fn completed(mut nodes: Vec<SiteNode>, http: &HttpFlags, ask: bool) -> Result<Vec<SiteNode>> {
    if let Some(url) = &http.url {
        let [node] = &mut nodes[..] else {
            return Err(Failure::refused(
                Code::new("CC-X10"),
                "--url is the address of one node, and there are several",
                "Give each its own as `url` in a --cluster file, or as HOST:PORT.",
            ));
        };
        let before = std::mem::take(&mut node.http);
        let (credentials, user, ca) = (before.credentials, before.user, before.ca);
        node.http = HttpAddress { credentials, user, ca, ..HttpAddress::parse(url)? };
    }
    if let Some(ca) = &http.ca {
        for node in &mut nodes {
            node.http.ca = Some(ca.clone());
        }
    }
    let mut sources = CredentialSources::of_environment(http.user.clone(), http.password_file.clone());
    if ask {
        sources.ask = Some(Box::new(|user, host| {
            rpassword::prompt_password(format!("Password of {user} at {}: ", printable(host)))
                .ok()
                .filter(|password| !password.is_empty())
        }));
    }
    sources.complete(&mut nodes)?;
    Ok(nodes)
}

/// When to use tunnels.
pub(crate) fn tunnel(flags: &HttpFlags) -> TunnelMode {
    match flags.tunnel {
        Tunnel::Auto => TunnelMode::Auto,
        Tunnel::Always => TunnelMode::Always,
        Tunnel::Never => TunnelMode::Never,
    }
}

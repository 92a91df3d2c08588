//! Carries out the commands about plugins.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use outcome::{Code, Failure, Result};
use plugin_host::{Command, Inherited, Kind, State, printable};
use serde::Serialize;
use site::plugins::{self, GrantListing, PluginList, PluginListing, ServiceAction};
use site::{PluginChoice, SiteNode, plugin_development};

use crate::cluster::{chosen_nodes, sandbox};
use crate::exit::Outcome;
use crate::nodes;
use crate::output::{Output, bytes};
use crate::plugin_arguments::{NewKind, PluginAction, PluginRun, RunVerb, Service, ServiceVerb};
use crate::progress::Terminal;

/// Carries out `couchcopy plugin …`.
pub(crate) fn plugin(action: &PluginAction, output: &Output, reporter: &Arc<Terminal>) -> Result<Outcome> {
    match action {
        PluginAction::List => {
            let list = sandbox(None, output, reporter)?.list()?;
            output.print(&list, list_text);
            Ok(if list.failures.is_empty() { Outcome::Done } else { Outcome::DoneWithProblems })
        }
        PluginAction::Show { name } => {
            let shown = sandbox(None, output, reporter)?.show(name)?;
            output.print(&shown, |shown| shown.iter().map(show_text).collect::<Vec<_>>().join("\n"));
            Ok(Outcome::Done)
        }
        PluginAction::Check { file } => {
            let shown = sandbox(None, output, reporter)?.show(&as_path(file))?;
            output.print(&shown, |shown| shown.iter().map(check_text).collect::<Vec<_>>().join("\n"));
            Ok(Outcome::Done)
        }
        PluginAction::Run(run) => try_plugin(run, output, reporter),
        PluginAction::New { name, kind } => new(name, *kind, output),
        PluginAction::Build { folder, output: file } => build(folder, file.as_deref(), output),
        PluginAction::Grants { add, revoke } => {
            let (listed, what) = match (add, revoke) {
                (Some(name), _) => (sandbox(None, output, reporter)?.grant(name)?, "granted"),
                (None, Some(what)) => (plugins::revoke(what)?, "revoked"),
                (None, None) => (plugins::grants()?, ""),
            };
            output.print(&listed, |listed| grants_text(listed, what));
            Ok(Outcome::Done)
        }
    }
}

/// A path for a terminal, whatever somebody has called it.
fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// A path that is not taken for a name.
fn as_path(file: &Path) -> String {
    let text = file.display().to_string();
    if text.contains('/') { text } else { format!("./{text}") }
}

#[derive(Serialize)]
struct StateJson<'a> {
    node: String,
    plugin: &'a str,
    state: &'static str,
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Stopped => "stopped",
        State::Unknown => "unknown",
    }
}

fn try_plugin(run: &PluginRun, output: &Output, reporter: &Arc<Terminal>) -> Result<Outcome> {
    let choice =
        PluginChoice { service: Some(run.plugin.clone()), via: run.via.clone(), ..PluginChoice::default() };
    let mut node = choice.node(nodes::site(&run.node)?)?;
    let action = match run.action {
        RunVerb::Start => ServiceAction::Start,
        RunVerb::Stop => ServiceAction::Stop,
        RunVerb::Status => ServiceAction::Status,
        RunVerb::Exec | RunVerb::Connect => {
            node.via.clone_from(&run.via);
            node.via.push(run.plugin.clone());
            return if run.action == RunVerb::Exec {
                execute(&node, run, output, reporter)
            } else {
                connect(&node, run, output, reporter)
            };
        }
    };
    if !run.command.is_empty() {
        return Err(Failure::refused(
            Code::new("CC-X13"),
            "what stands after -- is for `exec` and `connect` only",
            "Leave it out, or write one of them in place of start, stop or status.",
        ));
    }
    let (state, plugin) = sandbox(Some(&run.grants), output, reporter)?.service(&node, action)?;
    let result = StateJson { node: node.shown(), plugin: &plugin, state: state_word(state) };
    if !reporter.is_quiet() || action == ServiceAction::Status {
        output.print(&result, |result| result.state.to_owned());
    }
    Ok(Outcome::Done)
}

fn execute(node: &SiteNode, run: &PluginRun, output: &Output, reporter: &Arc<Terminal>) -> Result<Outcome> {
    let Some((program, arguments)) = run.command.split_first() else {
        return Err(Failure::refused(
            Code::new("CC-X14"),
            "there is no command to run",
            "Write it after --, e.g. `couchcopy plugin run ssh exec db1 -- uname -n`.",
        ));
    };
    let command = Command { program: program.clone(), arguments: arguments.to_vec() };
    let sandbox = sandbox(Some(&run.grants), output, reporter)?;
    Ok(ended(sandbox.execute(node, &command, State::Unknown)?))
}

fn connect(node: &SiteNode, run: &PluginRun, output: &Output, reporter: &Arc<Terminal>) -> Result<Outcome> {
    let [port] = run.command.as_slice() else {
        return Err(Failure::refused(
            Code::new("CC-X15"),
            "there is no port to connect to, or more than one",
            "Write it after --, e.g. `couchcopy plugin run ssh connect db1 -- localhost:5984`.",
        ));
    };
    let (host, port) = nodes::port(port)?;
    let sandbox = sandbox(Some(&run.grants), output, reporter)?;
    Ok(ended(sandbox.connect_to_port(node, host, port, State::Unknown)?))
}

fn ended(program: Inherited) -> Outcome {
    match program {
        Inherited::Code(0) => Outcome::Done,
        Inherited::Code(code) => Outcome::Ended(u8::try_from(code).unwrap_or(u8::MAX)),
        Inherited::Signal(signal) => {
            Outcome::Ended(128u8.saturating_add(u8::try_from(signal).unwrap_or(127)))
        }
    }
}

/// Carries out `couchcopy service …`.
pub(crate) fn service(command: &Service, output: &Output, reporter: &Arc<Terminal>) -> Result<Outcome> {
    let nodes = chosen_nodes(&command.nodes, &command.flags)?;
    let sandbox = sandbox(Some(&command.flags.grants), output, reporter)?;
    let action = match command.action {
        ServiceVerb::Start => ServiceAction::Start,
        ServiceVerb::Stop => ServiceAction::Stop,
        ServiceVerb::Status => ServiceAction::Status,
    };
    let mut told = Vec::new();
    for node in &nodes {
        told.push((node.shown(), sandbox.service(node, action)?));
    }
    let states: Vec<StateJson<'_>> = told
        .iter()
        .map(|(node, (state, plugin))| StateJson { node: node.clone(), plugin, state: state_word(*state) })
        .collect();
    if !reporter.is_quiet() || action == ServiceAction::Status {
        output.print(&states, |states| {
            states.iter().fold(String::new(), |mut text, state| {
                let _ = writeln!(text, "{:<8} {}  ({})", state.state, state.node, state.plugin);
                text
            })
        });
    }
    Ok(Outcome::Done)
}

fn list_text(list: &PluginList) -> String {
    let mut text = String::new();
    for kind in [Kind::Service, Kind::Access] {
        let what = match kind {
            Kind::Service => "Service plugins (--service): start and stop CouchDB",
            Kind::Access => "Node-access plugins (--via): how a command reaches a node",
        };
        let _ = writeln!(text, "{what}");
        for plugin in list.plugins.iter().filter(|plugin| plugin.contract.kind == kind) {
            let from = plugin.file.as_ref().map_or_else(String::new, |file| {
                let granted = if plugin.granted { "granted" } else { "NOT granted" };
                format!("  [{}, {granted}]", shown(file))
            });
            let _ = writeln!(
                text,
                "  {:<12} {:<8} {}{from}",
                plugin.description.name, plugin.description.version, plugin.description.summary
            );
        }
    }
    for failure in &list.failures {
        let _ = writeln!(text, "PROBLEM: {}\n  {}", printable(&failure.message), printable(&failure.remedy));
    }
    text
}

fn show_text(plugin: &PluginListing) -> String {
    let description = &plugin.description;
    let mut text = format!(
        "{} {}, a {} plugin: {}\n",
        description.name, description.version, plugin.contract.kind, description.summary
    );
    match &plugin.file {
        None => text.push_str("It is built in.\n"),
        Some(file) => {
            let _ = writeln!(
                text,
                "{}, BLAKE3 {}, {}granted",
                shown(file),
                plugin.hash,
                if plugin.granted { "" } else { "NOT " }
            );
        }
    }
    text.push_str(if description.settings.is_empty() { "It has no settings.\n" } else { "Settings:\n" });
    for setting in &description.settings {
        let value = match &setting.default {
            Some(default) => format!(" (default: {default})"),
            None if setting.required => " (required)".into(),
            None => String::new(),
        };
        let _ = writeln!(text, "  {:<12} {}{value}", setting.name, setting.meaning);
    }
    if plugin.contract.tunnel {
        text.push_str("It can tunnel: connect to TCP ports as seen from the node.\n");
    }
    text.push_str(match (plugin.contract.kind, plugin.contract.tunnel) {
        (Kind::Service, _) => "Commands that it may run on the node:\n",
        (Kind::Access, false) => "Commands that it may make of another one ({command…}):\n",
        (Kind::Access, true) => {
            "Commands that it may make of another one ({command…}), or connect with (without that):\n"
        }
    });
    for command in &description.commands {
        let _ = writeln!(text, "  {}\n      {}", command.pattern, command.purpose);
    }
    text
}

fn check_text(plugin: &PluginListing) -> String {
    let contract = &plugin.contract;
    let world = match (contract.kind, contract.tunnel) {
        (Kind::Service, _) => "service-control",
        (Kind::Access, false) => "node-access",
        (Kind::Access, true) => "node-access-with-tunnel",
    };
    let names = |names: &[String]| if names.is_empty() { "nothing".into() } else { names.join(", ") };
    format!(
        "It is a plugin that couchcopy can load: world {world}, contract {}, {}.\nIt imports {}.\nIt exports {}.\n\n{}",
        contract.version,
        bytes(plugin.bytes),
        names(&contract.imports),
        names(&contract.exports),
        show_text(plugin)
    )
}

fn grants_text(grants: &[GrantListing], what: &str) -> String {
    if grants.is_empty() {
        return "Nothing has been granted to plugins that are not built in.\n".into();
    }
    let mut text = String::new();
    for GrantListing { grant, configured } in grants {
        let file = grant.file.as_ref().map_or_else(String::new, |file| format!("  {}", shown(file)));
        let date = grant.granted.as_deref().unwrap_or("");
        let place = if *configured { "  (config.toml)" } else { "" };
        let what = if what.is_empty() { String::new() } else { format!("{what}: ") };
        let _ = writeln!(text, "{what}{:<12} {}  {date}{file}{place}", grant.plugin, grant.hash);
    }
    text
}

fn new(name: &str, kind: NewKind, output: &Output) -> Result<Outcome> {
    let kind = match kind {
        NewKind::Service => plugin_development::Kind::Service,
        NewKind::Access => plugin_development::Kind::Access,
    };
    let folder = plugin_development::create(Path::new("."), name, kind)?;
    let folder = folder.strip_prefix(".").unwrap_or(&folder).to_owned();
    output.print(&serde_json::json!({ "folder": folder }), |_| {
        let folder = folder.display();
        format!(
            "{folder}/ holds a plugin that works. Test it: (cd {folder} && cargo test). Build it: couchcopy plugin build \
             {folder}\n"
        )
    });
    Ok(Outcome::Done)
}

fn build(folder: &Path, file: Option<&Path>, output: &Output) -> Result<Outcome> {
    let built = plugin_development::build(folder, file)?;
    output.print(&built, |built| {
        let path = built.path.display();
        format!("{path}: {}\nTry it: couchcopy plugin check {path}\n", bytes(built.bytes))
    });
    Ok(Outcome::Done)
}

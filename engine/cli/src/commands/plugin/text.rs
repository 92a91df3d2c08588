//! Plugins and grants for people.

use std::fmt::Write as _;
use std::path::Path;

use outcome::printable;
use plugin_host::Kind;
use site::plugins::{GrantListing, PluginList, PluginListing};

use crate::text::sizes::bytes;

/// A path for a terminal, whatever its name contains.
fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// All plugins, by kind, with the files that cannot be loaded.
pub(crate) fn list(list: &PluginList) -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        let heading = match kind {
            Kind::Service => "Service plugins (--service): start and stop CouchDB",
            Kind::Access => "Node-access plugins (--via): carry commands to a node",
            Kind::Filter => {
                "Document filters (restore --transform): decide what is restored of each document"
            }
        };
        let _ = writeln!(text, "{heading}");
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

/// One plugin with its settings and commands.
pub(crate) fn description(plugin: &PluginListing) -> String {
    let description = &plugin.description;
    let mut text = format!(
        "{} {}, a {} plugin: {}\n",
        description.name, description.version, plugin.contract.kind, description.summary
    );
    match &plugin.file {
        None => text.push_str("It is built in.\n"),
        Some(file) => {
            let granted = if plugin.granted { "granted" } else { "NOT granted" };
            let _ = writeln!(text, "{}, BLAKE3 {}, {granted}", shown(file), plugin.hash);
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
        (Kind::Filter, _) => "It runs no commands.\n",
        (Kind::Service, _) => "Commands that it may run on the node:\n",
        (Kind::Access, false) => "Commands that it may make from another command ({command…}):\n",
        (Kind::Access, true) => {
            "Commands that it may make from another command ({command…}), or connect with (without {command…}):\n"
        }
    });
    for command in &description.commands {
        let _ = writeln!(text, "  {}\n      {}", command.pattern, command.purpose);
    }
    text
}

/// One plugin with what couchcopy found in its file.
pub(crate) fn check(plugin: &PluginListing) -> String {
    let contract = &plugin.contract;
    let world = match (contract.kind, contract.tunnel) {
        (Kind::Service, _) => "service-control",
        (Kind::Access, false) => "node-access",
        (Kind::Access, true) => "node-access-with-tunnel",
        (Kind::Filter, _) => "document-filter",
    };
    let names = |names: &[String]| if names.is_empty() { "nothing".into() } else { names.join(", ") };
    format!(
        "couchcopy can load this plugin: world {world}, contract {}, {}.\nIt imports {}.\nIt exports {}.\n\n{}",
        contract.version,
        bytes(plugin.bytes),
        names(&contract.imports),
        names(&contract.exports),
        description(plugin)
    )
}

/// Grants, each after a word on what was done with it.
pub(crate) fn grants(grants: &[GrantListing], done: &str) -> String {
    if grants.is_empty() {
        return "No plugin has a grant, apart from the built-in plugins, which need none.\n".into();
    }
    let mut text = String::new();
    for GrantListing { grant, configured } in grants {
        let file = grant.file.as_ref().map_or_else(String::new, |file| format!("  {}", shown(file)));
        let date = grant.granted.as_deref().unwrap_or("");
        let place = if *configured { "  (config.toml)" } else { "" };
        let done = if done.is_empty() { String::new() } else { format!("{done}: ") };
        let _ = writeln!(text, "{done}{:<12} {}  {date}{file}{place}", grant.plugin, grant.hash);
    }
    text
}

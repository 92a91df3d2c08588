//! The checks of one node.

use std::path::Path;

use cluster::identity::Identity;
use node::{FileEntry, FileKind, Node, NodeError, OddEntry, Oddity};
use outcome::Advice;
use plugin_host::State;

use super::placement::ToldPlacement;
use super::{Allowed, Learned, Proof, Proofs, holdings, programs, stopped_way};
use crate::folders::{OLDEST_TARGET, only_md5};
use crate::outside::{self, Views};
use crate::swap::{self, Change, Journal, Situation};

/// A directory that is created and removed to check permissions.
const TRIAL: &str = ".couchcopy-check";
/// How often a node is queried for its name, each time on a new connection: a load balancer distributes the connections over
/// several nodes.
const ASKED: usize = 4;

/// Runs all checks of one node.
pub(super) fn prove(node: &Node, allowed: Allowed) -> (Vec<Proof>, Learned) {
    let mut proofs = Proofs::default();
    let mut learned = Learned::default();
    if let Err(e) = of_http(node, allowed, &mut proofs, &mut learned) {
        proofs.problem(node, "http", describe(&e), e.remedy().unwrap_or_default());
    }
    of_service(node, &mut proofs);
    programs::prove(node, &mut proofs);
    if let Err(e) = of_files(node, &mut proofs, &mut learned) {
        proofs.problem(node, "files", describe(&e), e.remedy().unwrap_or_default());
    }
    stopped_way::prove(node, &mut proofs);
    (proofs.proofs, learned)
}

/// An error with its cause.
pub(crate) fn describe(error: &NodeError) -> String {
    match std::error::Error::source(error) {
        Some(cause) if !error.to_string().contains(&cause.to_string()) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}

fn of_http(
    node: &Node,
    allowed: Allowed,
    proofs: &mut Proofs,
    learned: &mut Learned,
) -> Result<(), NodeError> {
    let before = jiff::Timestamp::now();
    let answer = node.http.ask(node::Method::GET, "/", None)?;
    learned.clock = answer.date.as_deref().and_then(|date| {
        let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        Some(theirs.as_millisecond() - before.as_millisecond())
    });
    if !node.http.has_credentials() {
        proofs.problem(
            node,
            "http",
            "the name and password of a server admin are not known",
            "Give user:password@ before the host, or use --password-file or COUCHCOPY_PASSWORD.",
        );
        return Ok(());
    }
    let version = node.http.version()?;
    if !version.at_least(OLDEST_TARGET.0, OLDEST_TARGET.1) {
        proofs.problem(
            node,
            "version",
            format!("it runs CouchDB {version}"),
            "Restore to CouchDB 3.1 or newer. Backups of older versions are possible.",
        );
    } else if only_md5([&version]).is_some() {
        proofs.fine(
            node,
            "http",
            format!(
                "CouchDB {version} answers at {}; a restore replaces checksums that it cannot read (xxHash) by MD5",
                node.http.url()
            ),
        );
    } else {
        proofs.fine(node, "http", format!("CouchDB {version} answers at {}", node.http.url()));
    }
    learned.version = Some(version);
    let identity = Identity::learn(&node.http)?;
    if let Some(why) = &identity.not_up {
        proofs.warning(
            node,
            "http",
            format!("it answers, but reports that it is not up ({why}); a restore does not wait for it to be up afterwards"),
            match why.as_str() {
                "seeding" => "A host of `[cluster] seedlist` does not answer: correct the list, or start that host.",
                _ => "It is in maintenance mode: `[couchdb] maintenance_mode` in its configuration.",
            },
        );
    }
    let name = node.http.node_name()?;
    let mut names = node.http.names_told(ASKED - 1)?;
    names.insert(name.clone());
    if names.len() > 1 {
        proofs.problem(
            node,
            "name",
            format!(
                "{ASKED} connections to {} lead to {} nodes: {}",
                node.http.url(),
                names.len(),
                names.into_iter().collect::<Vec<_>>().join(", ")
            ),
            "That address is a load balancer. Give the address of each node's own CouchDB: HOST:PORT, --url, or `url` in the \
             cluster file.",
        );
        return Ok(());
    }
    learned.identity = Some(identity);
    match &node.id.name {
        Some(given) if *given != name => proofs.problem(
            node,
            "name",
            format!("the node at {} is {name}, not {given}", node.http.url()),
            "Give the name that the node has, or omit the name.",
        ),
        _ => proofs.fine(node, "name", name.clone()),
    }
    learned.name = Some(name);
    learned.membership = Some(node.http.membership()?);
    let seeds = node.http.config("cluster", "seedlist")?.unwrap_or_default();
    learned.seeds =
        seeds.split(',').map(str::trim).filter(|seed| !seed.is_empty()).map(str::to_owned).collect();
    learned.placement = Some(ToldPlacement::of(&node.http)?);
    learned.databases = node.http.get("/_node/_local/_dbs")?["doc_count"].as_u64();
    of_database_dir(node, node.http.config("couchdb", "database_dir")?.as_deref(), proofs);
    learned.outside = outside::look(node)?;
    of_views(node, allowed, &learned.outside.views, proofs);
    Ok(())
}

/// Checks that the data directory is the one that CouchDB is configured with. A relative one says nothing.
pub(crate) fn of_database_dir(node: &Node, configured: Option<&str>, proofs: &mut Proofs) {
    let Some(configured) = configured.map(Path::new).filter(|path| path.is_absolute()) else { return };
    if !outside::is_same(node, configured) {
        proofs.problem(
            node,
            "data directory",
            format!("its database_dir is {}, not {}", configured.display(), node.data.display()),
            "Give that directory as couchcopy sees it on the node. Inside a container it may have another path: then reach into \
             the container with --via.",
        );
    }
}

/// Checks for view indexes outside the data directory: the archive's indexes cannot be restored there, and existing ones stay.
fn of_views(node: &Node, allowed: Allowed, views: &Views, proofs: &mut Proofs) {
    let folder = match views {
        Views::Inside => return,
        Views::Elsewhere(folder) => folder.display().to_string(),
        Views::Unknown(folder) => format!("./{} (relative to where CouchDB starts)", folder.display()),
    };
    if allowed.keep_suffix {
        proofs.problem(
            node,
            "view indexes",
            format!("its view_index_dir is {folder}: with --keep-suffix, indexes of a newer state there stay wrong"),
            "Omit --keep-suffix.",
        );
    } else {
        proofs.warning(
            node,
            "view indexes",
            format!("its view_index_dir is {folder}, not the data directory"),
            "A restore leaves out the archive's view indexes, and CouchDB rebuilds them. To restore them, first set [couchdb] \
             view_index_dir to the value of database_dir and restart the node.",
        );
    }
}

fn of_service(node: &Node, proofs: &mut Proofs) {
    let plugin = node.service.shown();
    match node.service.status() {
        Ok(State::Running) => proofs.fine(node, "service", format!("running ({plugin})")),
        Ok(State::Stopped) => proofs.problem(
            node,
            "service",
            format!("{plugin} reports that it is stopped"),
            "Start it, give the plugin and settings that control it (--service), or restore with --offline.",
        ),
        Ok(State::Unknown) => proofs.warning(
            node,
            "service",
            format!("{plugin} cannot report whether it runs"),
            "Check that the plugin can stop and start CouchDB: `couchcopy service stop` and `couchcopy service start`.",
        ),
        Err(e) => proofs.problem(node, "service", describe(&e), e.remedy().unwrap_or_default()),
    }
}

fn of_files(node: &Node, proofs: &mut Proofs, learned: &mut Learned) -> Result<(), NodeError> {
    let Some(entries) = node.files.list(&node.data)? else {
        proofs.problem(
            node,
            "data directory",
            format!("there is no directory {}", node.data.display()),
            "Give the directory that `[couchdb] database_dir` names.",
        );
        return Ok(());
    };
    let Some(maps) = entries.iter().find(|entry| entry.name == "_dbs.couch") else {
        proofs.problem(
            node,
            "data directory",
            format!(
                "{} is not the data directory of a node that has run: it has no _dbs.couch",
                node.data.display()
            ),
            "Give the directory that `[couchdb] database_dir` names.",
        );
        return Ok(());
    };
    of_moved(node, &entries, proofs)?;
    permissions(node, Some(maps), proofs)?;
    let free = node.files.free_bytes(&node.data)?;
    proofs.fine(node, "room", format!("{} MiB free", free >> 20));
    learned.free = Some(free);
    earlier_change(node, proofs);
    Ok(())
}

/// Checks that couchcopy can change a data directory, given the entry of its shard maps if it has any.
pub(crate) fn permissions(
    node: &Node,
    maps: Option<&FileEntry>,
    proofs: &mut Proofs,
) -> Result<(), NodeError> {
    let entries = node.files.list(&node.data)?.unwrap_or_default();
    let trial = node.data.join(TRIAL);
    if entries.iter().any(|entry| entry.name == TRIAL) {
        node.files.remove(std::slice::from_ref(&trial))?;
    }
    let listed = node.files.create_folder(&trial).and_then(|()| node.files.list(&node.data));
    // Whatever failed: a command whose answer was lost may have been carried out.
    node.files.remove(std::slice::from_ref(&trial)).or_else(|_| node.files.remove(&[trial]))?;
    let made = listed?.unwrap_or_default().into_iter().find(|entry| entry.name == TRIAL);
    match (made, maps) {
        (Some(made), Some(maps)) if made.uid != maps.uid && made.uid != 0 => proofs.problem(
            node,
            "permissions",
            format!("files belong to user {}, but couchcopy runs there as user {}", maps.uid, made.uid),
            "Run couchcopy as the user that owns CouchDB's data, or as root (--use-sudo).",
        ),
        (Some(_), _) => proofs.fine(node, "permissions", format!("{} can be changed", node.data.display())),
        (None, _) => {}
    }
    Ok(())
}

/// Checks that nothing is left of an earlier change.
pub(crate) fn earlier_change(node: &Node, proofs: &mut Proofs) {
    match swap::look(node) {
        Ok(state) => {
            let change = state.journal.as_ref().map_or(Change::Restore, Journal::change);
            let command = change.command();
            match state.situation {
                Situation::Untouched | Situation::Undone | Situation::Leftover => {}
                Situation::Done | Situation::Removing => proofs.problem(
                    node,
                    "earlier restore",
                    format!("the data that an earlier {change} replaced is still there"),
                    format!("Remove it with `couchcopy clean`, or restore it with `couchcopy {command} --roll-back`."),
                ),
                _ => proofs.problem(
                    node,
                    "earlier restore",
                    format!("an earlier {change} is unfinished"),
                    format!(
                        "Finish it with `couchcopy {command} --resume`, or roll it back with `couchcopy {command} \
                         --roll-back`."
                    ),
                ),
            }
        }
        Err(e) => proofs.problem(node, "earlier restore", e.to_string(), e.remedy().unwrap_or_default()),
    }
}

/// Checks that only plain files and directories of one file system are swapped: a link or a mount would be moved without its
/// content, or not at all, and the data behind it would stay.
pub(crate) fn of_moved(node: &Node, entries: &[FileEntry], proofs: &mut Proofs) -> Result<(), NodeError> {
    let mut odd = Vec::new();
    for entry in entries {
        match entry.name.as_str() {
            "shards" | ".shards" => odd.extend(node.files.odd_entries(&node.data.join(&entry.name))?),
            swap::FOLDER if entry.kind != FileKind::Folder => {
                odd.push(OddEntry { path: node.data.join(&entry.name), oddity: Oddity::Link });
            }
            name if name.starts_with("_dbs.couch") && entry.kind == FileKind::Link => {
                odd.push(OddEntry { path: node.data.join(&entry.name), oddity: Oddity::Link });
            }
            _ => {}
        }
    }
    let of = |wanted: Oddity| -> Vec<String> {
        let these = odd.iter().filter(|entry| entry.oddity == wanted);
        these.map(|entry| entry.path.display().to_string()).collect()
    };
    for (oddity, what) in [
        (Oddity::Link, "symbolic links"),
        (Oddity::Mount, "mount points"),
        (Oddity::Special, "sockets, FIFOs or devices"),
    ] {
        let paths = of(oddity);
        if paths.is_empty() {
            continue;
        }
        let remedy = match oddity {
            Oddity::Special => "Remove them: they do not belong to CouchDB.".to_owned(),
            _ => format!(
                "A restore swaps data by renaming within one file system. Stop CouchDB, replace the links and mounts by the \
                 data behind them, or move the complete data directory ({}) to the other file system; start CouchDB and try \
                 again.",
                node.data.display()
            ),
        };
        proofs.problem(
            node,
            "data directory",
            format!("it contains {what}: {}", holdings::some_of(&paths)),
            remedy,
        );
    }
    Ok(())
}
